//! Where to send, and in whose name: an account of a configuration, or what the flags spell out.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::{
    cli::{Usage, load_config, simulator::Target},
    config::{Account, Config},
    protocol::{AesKey, AppId, Credentials, Mode, Token},
};

const TO_USER: &str = "gh_51b0cardhook";

#[derive(Debug, Args)]
#[command(next_help_heading = "Where")]
pub(super) struct TargetArgs {
    /// The configuration file: URL, mode, token and key of an account
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The configuration's account; not needed when there is only one
    #[arg(long, value_name = "NAME", requires = "config")]
    account: Option<String>,
    /// The server URL; with --config in place of the configured listener's
    #[arg(long, required_unless_present = "config", value_parser = server_url)]
    url: Option<String>,
    /// A file that holds the token
    #[arg(long, value_name = "FILE", required_unless_present = "config", conflicts_with = "config")]
    token_file: Option<PathBuf>,
    /// A file that holds the EncodingAESKey
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    aes_key_file: Option<PathBuf>,
    /// The account's AppID
    #[arg(long, value_name = "wx…", conflicts_with = "config")]
    app_id: Option<String>,
    /// How to send: the account's mode, or secure, when not given
    #[arg(long, value_enum)]
    mode: Option<ModeArg>,
    /// `ToUserName`
    #[arg(long, value_name = "gh_…")]
    to_user: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ModeArg {
    Secure,
    Compat,
    Plaintext,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Secure => Self::Secure,
            ModeArg::Compat => Self::Compat,
            ModeArg::Plaintext => Self::Plaintext,
        }
    }
}

impl TargetArgs {
    /// # Errors
    /// Flags that do not fit together, a wrong configuration, or a file that cannot be read.
    pub(super) fn target(&self) -> anyhow::Result<Target> {
        let mut target = match &self.config {
            Some(file) => self.configured(&load_config(file)?)?,
            None => self.spelled_out()?,
        };
        if let Some(url) = &self.url {
            target.url.clone_from(url);
        }
        if let Some(mode) = self.mode {
            target.credentials.mode = mode.into();
        }
        if let Some(to_user) = &self.to_user {
            target.to_user.clone_from(to_user);
        }
        let sealed = target.credentials.aes_key.is_some() && target.credentials.app_id.is_some();
        if target.credentials.mode != Mode::Plaintext && !sealed {
            return Err(Usage("secure and compat mode need an EncodingAESKey and an AppID".to_owned()).into());
        }
        Ok(target)
    }

    fn configured(&self, config: &Config) -> anyhow::Result<Target> {
        let account = self.pick(&config.accounts)?;
        let mut listener = config.server.listen;
        if listener.ip().is_unspecified() {
            listener.set_ip([127, 0, 0, 1].into());
        }
        Ok(Target {
            url: format!("http://{listener}{}", account.path),
            credentials: account.credentials.clone(),
            to_user: account.account_id.clone().unwrap_or_else(|| TO_USER.to_owned()),
        })
    }

    fn pick<'a>(&self, accounts: &'a [Account]) -> anyhow::Result<&'a Account> {
        let problem = match (&self.account, accounts) {
            (None, [only]) => return Ok(only),
            (None, _) => "--account NAME is needed".to_owned(),
            (Some(name), _) => match accounts.iter().find(|account| account.name == *name) {
                Some(account) => return Ok(account),
                None => format!("there is no account {name}"),
            },
        };
        let names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
        Err(Usage(format!("{problem}: the configuration has {}", names.join(", "))).into())
    }

    fn spelled_out(&self) -> anyhow::Result<Target> {
        let token = self.token_file.as_deref().context("--token-file is needed")?;
        let aes_key = self.aes_key_file.as_deref().map(|path| -> anyhow::Result<AesKey> {
            AesKey::parse(&secret(path)?).with_context(|| format!("{} holds no EncodingAESKey", path.display()))
        });
        Ok(Target {
            url: String::new(),
            credentials: Credentials {
                mode: Mode::Secure,
                token: Token::new(secret(token)?),
                previous_token: None,
                aes_key: aes_key.transpose()?,
                previous_aes_key: None,
                app_id: self.app_id.clone().map(AppId::new),
            },
            to_user: TO_USER.to_owned(),
        })
    }
}

fn server_url(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.map(|_| text.to_owned()).ok_or_else(|| "expected a URL such as https://your.domain/wechat/shop".to_owned())
}

/// The secret in a file, less one trailing newline.
pub(in crate::cli) fn secret(path: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)).to_owned())
}
