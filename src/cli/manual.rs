//! `cardhook completions` and `cardhook man`: what a package installs beside the binary, made from the command line's own
//! definition.

use std::{fs, io, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Cli;

/// Print the completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: cardhook completions bash > /usr/share/bash-completion/completions/cardhook")]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Write the manual pages into a folder, one for each command
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: cardhook man /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// The folder, which must exist
    folder: PathBuf,
}

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    // Generating panics where the reader has gone: so into memory first.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cardhook", &mut script);
    io::Write::write_all(&mut io::stdout().lock(), &script)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    fs::metadata(&args.folder).with_context(|| format!("no folder {}", args.folder.display()))?;
    clap_mangen::generate_to(Cli::command(), &args.folder)
        .with_context(|| format!("cannot write into {}", args.folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
