//! `cardhook init`: a configuration with a fresh token and EncodingAESKey, and what to type into WeChat's page.
//!
//! Nothing is overwritten, and nothing is written unless the configuration is valid. Does not depend on a network.

mod answers;
mod file;
mod page;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use self::answers::{Answers, Given};
use super::{Misconfigured, letters::letters, note};
use crate::config::{self, Config};

/// Write a configuration with a fresh token and EncodingAESKey, and say what to type into WeChat's page
#[derive(Debug, Args)]
#[command(after_help = "It asks for what no flag says. Nothing is overwritten.

Examples:
  cardhook init --dir /etc/cardhook
  cardhook init --dir . --account shop --app-id wx0123456789abcdef --brokers 127.0.0.1:9092 --yes")]
pub(super) struct InitArgs {
    /// The folder of cardhook.toml and the secrets' files; made where it is missing
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    given: Given,
    /// Ask nothing: take the default for what no flag says
    #[arg(long)]
    yes: bool,
    /// Print token and EncodingAESKey into a pipe or a file too, not only on a terminal
    #[arg(long)]
    show: bool,
    /// The language of the questions and of the page; the environment's (LC_ALL, LC_MESSAGES, LANG) when not given
    #[arg(long, value_enum)]
    lang: Option<Language>,
}

/// The language in which this command speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// English
    En,
    /// 中文
    Zh,
}

impl Language {
    fn of_the_environment() -> Self {
        if config::locale().is_some_and(|locale| locale.starts_with("zh")) { Self::Zh } else { Self::En }
    }

    fn say<'a>(self, english: &'a str, chinese: &'a str) -> &'a str {
        match self {
            Self::En => english,
            Self::Zh => chinese,
        }
    }
}

pub(super) fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let language = args.lang.unwrap_or_else(Language::of_the_environment);
    let answers = Answers::complete(&args.given, args.yes, language, &mut io::stdin().lock())?;
    let secrets = Secrets { token: letters::<32>()?, aes_key: letters::<43>()? };
    fs::create_dir_all(&args.dir).with_context(|| format!("cannot make {}", args.dir.display()))?;
    let folder = fs::canonicalize(&args.dir).with_context(|| format!("cannot use {}", args.dir.display()))?;
    let files = Files::in_folder(&folder, &answers);
    files.refuse_existing()?;
    validate(&answers, &secrets, &folder)?;
    files.write(&answers, &secrets, &folder)?;
    let show = args.show || io::stdout().is_terminal();
    let page = page::page(&answers, &files, show.then_some(&secrets), language)?;
    write!(io::stdout().lock(), "{page}")?;
    Ok(ExitCode::SUCCESS)
}

/// What this run makes up. It has no `Debug`.
struct Secrets {
    token: String,
    aes_key: String,
}

/// The three files.
struct Files {
    config: PathBuf,
    token: PathBuf,
    aes_key: PathBuf,
}

impl Files {
    fn in_folder(folder: &Path, answers: &Answers) -> Self {
        Self {
            config: folder.join("cardhook.toml"),
            token: folder.join(format!("{}.token", answers.account)),
            aes_key: folder.join(format!("{}.aes_key", answers.account)),
        }
    }

    fn all(&self) -> [&Path; 3] {
        [&self.token, &self.aes_key, &self.config]
    }

    fn refuse_existing(&self) -> anyhow::Result<()> {
        let existing: Vec<_> = self.all().into_iter().filter(|file| file.symlink_metadata().is_ok()).collect();
        if let [_, ..] = existing.as_slice() {
            let named: Vec<_> = existing.iter().map(|file| file.display().to_string()).collect();
            bail!("there is already {}: nothing was written (choose another --dir or --account)", named.join(", "));
        }
        Ok(())
    }

    /// Writes all three, or leaves none of them.
    fn write(&self, answers: &Answers, secrets: &Secrets, folder: &Path) -> anyhow::Result<()> {
        let contents = [
            format!("{}\n", secrets.token),
            format!("{}\n", secrets.aes_key),
            file::config(answers, folder, file::spool_path(folder)),
        ];
        let mut written: Vec<&Path> = Vec::new();
        for ((path, content), mode) in self.all().into_iter().zip(contents).zip([0o600, 0o600, 0o644]) {
            let outcome = create(path, mode).and_then(|mut file| {
                written.push(path);
                file.write_all(content.as_bytes())?;
                file.sync_all()
            });
            if let Err(error) = outcome {
                for path in written {
                    // What cannot be removed stays as it is: the error below names the folder.
                    let _ = fs::remove_file(path);
                }
                return Err(error).with_context(|| format!("cannot write {}", path.display()));
            }
        }
        Ok(())
    }
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// The answers are judged as the service will judge them, before anything is written where they say.
fn validate(answers: &Answers, secrets: &Secrets, folder: &Path) -> anyhow::Result<()> {
    let trial = tempfile::Builder::new().prefix(".cardhook-init-").tempdir_in(folder);
    let trial = trial.with_context(|| format!("cannot write into {}", folder.display()))?;
    let files = Files::in_folder(trial.path(), answers);
    // An account's name that is no file's name is refused below by its own rule.
    let written = Files { token: trial.path().join("token"), aes_key: trial.path().join("aes_key"), ..files };
    for (path, secret) in [(&written.token, &secrets.token), (&written.aes_key, &secrets.aes_key)] {
        create(path, 0o600).and_then(|mut file| file.write_all(secret.as_bytes()))?;
    }
    let text = file::config_with_secrets(answers, &written.token, &written.aes_key, &trial.path().join("spool"));
    create(&written.config, 0o600).and_then(|mut file| file.write_all(text.as_bytes()))?;
    match Config::load(Some(&written.config), [], &[]) {
        Ok(_) => Ok(()),
        Err(errors) => {
            note("nothing was written");
            Err(Misconfigured(errors).into())
        }
    }
}
