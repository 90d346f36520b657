//! `cardhook card call`: any other call of WeChat's API, with the token added and refusals explained.

use std::{fs, io, process::ExitCode};

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;

use super::{AccountArgs, Usage};

/// Post a JSON file to any other path of WeChat's API (card/create, card/batchget, …)
#[derive(Debug, Args)]
#[command(
    after_help = "The file is JSON in UTF-8; \\u escapes in it are sent as the characters that they stand for. The call is made once.

Examples:
  cardhook card call card/create --data card.json --config cardhook.toml
  echo '{\"offset\":0,\"count\":10}' | cardhook card call card/batchget --data - --config cardhook.toml"
)]
pub(super) struct CallArgs {
    /// The path, without host and query
    path: String,
    /// The body; `-` reads it from standard input
    #[arg(long, value_name = "FILE")]
    data: String,
    #[command(flatten)]
    account: AccountArgs,
}

pub(super) async fn run(args: &CallArgs) -> anyhow::Result<ExitCode> {
    let path = args.path.trim_start_matches('/');
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-.".contains(&byte);
    if path.is_empty() || path.contains("..") || !path.bytes().all(legal) {
        let told = format!("{:?} is no path of WeChat's API: expected one such as card/batchget", args.path);
        return Err(Usage(told).into());
    }
    let text = if args.data == "-" { io::read_to_string(io::stdin()) } else { fs::read_to_string(&args.data) };
    let text = text.with_context(|| format!("--data {} cannot be read as UTF-8", args.data))?;
    let body: Value = serde_json::from_str(&text).with_context(|| format!("--data {} is not JSON", args.data))?;
    let (mut api, ..) = args.account.api()?;
    let answer = api.call_path(&format!("/{path}"), &body).await?;
    let lines = serde_json::to_string_pretty(&answer)?;
    args.account.print(&answer, &lines)
}
