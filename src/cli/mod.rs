//! One file per command. What a command is asked for goes to standard output, all else to standard error.
//!
//! The only place that turns an outcome into an exit code: 0 done, 1 failed at run time, 2 usage, 78 configuration.

mod card;
mod check;
mod dev;
mod health;
mod init;
mod json_line;
mod kafka_client;
mod letters;
mod manual;

mod replay;
mod schema;
mod send;
mod serve;
mod signal;
mod simulator;
mod spool;
mod tail;
mod topics;

use std::{
    fmt::Display,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::{
    config::{Config, ConfigError, environment},
    telemetry,
};

/// `EX_CONFIG` of sysexits(3).
const CONFIGURATION: u8 = 78;
const USAGE: u8 = 2;

/// Receives WeChat card events (卡券) and publishes them to Kafka: none lost, none doubled, none forged.
#[derive(Debug, Parser)]
#[command(version, after_help = "Start with `cardhook dev`: it needs no configuration and no Kafka.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::InitArgs),
    Dev(dev::DevArgs),
    Serve(serve::ServeArgs),
    Check(check::CheckArgs),
    Topics(topics::TopicsArgs),
    Card(card::CardArgs),
    Send(Box<send::SendArgs>),
    Tail(tail::TailArgs),
    Spool(spool::SpoolArgs),
    Replay(replay::ReplayArgs),
    Schema(schema::SchemaArgs),
    Health(health::HealthArgs),
    Completions(manual::CompletionsArgs),
    Man(manual::ManArgs),
}

/// The configuration cannot be used: exit code 78.
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be used:\n{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
struct Misconfigured(Vec<ConfigError>);

impl Misconfigured {
    /// The command needs brokers, and the configuration has none. `problem` says what there is not.
    fn without_brokers(problem: &str) -> Self {
        let cure = "write the brokers' addresses, as host:port";
        Self(vec![ConfigError {
            key: "kafka.brokers".to_owned(),
            problem: format!("empty: the spool is the store, and {problem}"),
            cure: cure.to_owned(),
        }])
    }
}

/// The flags do not fit together: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Parses the command line, runs the command, and says with which code to end.
#[must_use]
pub fn main() -> ExitCode {
    telemetry::keep_data_out_of_panics();
    match Cli::try_parse() {
        Ok(cli) => exit_code(cli.command.run()),
        Err(help_or_error) => {
            // Nothing is left to tell when the help's reader is gone.
            let _ = help_or_error.print();
            u8::try_from(help_or_error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
    }
}

impl Command {
    fn run(&self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Init(args) => init::run(args),
            Self::Dev(args) => dev::run(args),
            Self::Serve(args) => serve::run(args),
            Self::Check(args) => check::run(args),
            Self::Topics(args) => topics::run(args),
            Self::Card(args) => card::run(args),
            Self::Send(args) => send::run(args),
            Self::Tail(args) => tail::run(args),
            Self::Spool(args) => spool::run(args),
            Self::Replay(args) => replay::run(args),
            Self::Schema(args) => schema::run(args),
            Self::Health(args) => health::run(args),
            Self::Completions(args) => manual::completions(args),
            Self::Man(args) => manual::man(args),
        }
    }
}

fn exit_code(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    let error = match outcome {
        Ok(code) => return code,
        Err(error) => error,
    };
    if is_broken_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    note(format_args!("error: {}", told(&error)));
    if error.is::<Misconfigured>() {
        ExitCode::from(CONFIGURATION)
    } else if error.is::<Usage>() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::FAILURE
    }
}

/// What went wrong, from the outside in; errors that show their causes are not followed by them again.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        before if before.contains(&cause) => told,
        before => format!("{before}: {cause}"),
    })
}

/// Whether standard output's reader has gone (`cardhook tail | head`): no failure of ours.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|io| io.kind() == io::ErrorKind::BrokenPipe)
}

/// A line on standard error.
fn note(line: impl Display) {
    // Where standard error is closed, there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Where a command finds its configuration.
#[derive(Debug, clap::Args)]
struct ConfigArgs {
    /// The configuration (TOML); the environment's `CARDHOOK__…` override it
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Overrides file and environment: `server.listen=127.0.0.1:8080`, `account.shop.mode=compat` (repeatable; no secrets)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

impl ConfigArgs {
    fn load(&self) -> anyhow::Result<Config> {
        Ok(Config::load(Some(&self.config), environment(), &self.set).map_err(Misconfigured)?)
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Reads the configuration; every error at once.
fn load_config(file: &Path) -> anyhow::Result<Config> {
    Ok(Config::load(Some(file), environment(), &[]).map_err(Misconfigured)?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_has_no_contradictions() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let gone = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe)).context("cannot print");
        assert!(is_broken_pipe(&gone));
        assert!(!is_broken_pipe(&anyhow::anyhow!("the broker is away")));
    }

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow::anyhow!("down").context("fetch: down").context("no answer");
        assert_eq!(told(&error), "no answer: fetch: down");
        let error = anyhow::anyhow!("refused").context("/spool: refused (cure)");
        assert_eq!(told(&error), "/spool: refused (cure)");
    }

    #[test]
    fn an_unknown_command_is_a_usage_error() {
        let error = Cli::try_parse_from(["cardhook", "fly"]).unwrap_err();
        assert_eq!(error.exit_code(), i32::from(USAGE));
    }
}
