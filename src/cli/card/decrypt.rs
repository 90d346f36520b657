//! `cardhook card decrypt`: the code behind a redirect link's `encrypt_code`.

use std::process::ExitCode;

use clap::{Args, builder::NonEmptyStringValueParser};
use serde_json::json;

use super::{AccountArgs, or_stdin};

/// Decode a redirect link's `encrypt_code`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cardhook card decrypt 'XXIzTtMqCxwOaawoE91+VJdsFmv7b8g0VZIZkqf4GWA=' --config cardhook.toml
  cardhook card link 'https://…' --decrypt --config cardhook.toml    # reads the whole link")]
pub(super) struct DecryptArgs {
    /// URL-decoded once; `-` reads it from standard input
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    encrypt_code: String,
    #[command(flatten)]
    account: AccountArgs,
}

pub(super) async fn run(args: &DecryptArgs) -> anyhow::Result<ExitCode> {
    let (mut api, ..) = args.account.api()?;
    let code = api.decrypt_code(&or_stdin(&args.encrypt_code)?).await?;
    args.account.print(&json!({ "code": code }), &code)
}
