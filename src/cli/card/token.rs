//! `cardhook card token`: whose access token it is, and how long it lives.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::AccountArgs;
use crate::{clock, protocol::AppId};

/// Say whose access token calls are made with and how long it lives; the token itself only with --show
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cardhook card token --config cardhook.toml
  cardhook card token --ticket --json --config cardhook.toml    # the api_ticket of card signatures")]
pub(super) struct TokenArgs {
    /// The `api_ticket` (`wx_card`) in place of the access token
    #[arg(long)]
    ticket: bool,
    /// Print the token: whoever reads it can call in the account's name until it ends
    #[arg(long)]
    show: bool,
    #[command(flatten)]
    account: AccountArgs,
}

pub(super) async fn run(args: &TokenArgs) -> anyhow::Result<ExitCode> {
    let (mut api, account, kept) = args.account.api()?;
    let lease = if args.ticket { api.lease_card_ticket().await? } else { api.lease_access_token().await? };
    let app_id = account.credentials.app_id.as_ref().map(AppId::as_str).unwrap_or_default();
    let kept_in = match &account.access_token_file {
        Some(file) if !args.ticket => file.display().to_string(),
        _ => kept.display().to_string(),
    };
    let seconds = lease.until.map(|until| (until - clock::unix_millis() / 1000).max(0));
    let lives = seconds.map_or_else(|| "unknown: a token server keeps it".to_owned(), |seconds| format!("{seconds} s"));
    let kind = if args.ticket { "api_ticket" } else { "access_token" };
    let mut value =
        json!({ "kind": kind, "account": account.name, "app_id": app_id, "expires_in": seconds, "kept_in": kept_in });
    let mut text = format!("{kind} of account {} ({app_id})\nlives    {lives}\nkept in  {kept_in}", account.name);
    if args.show {
        text.push_str("\nvalue    ");
        text.push_str(lease.expose());
        if let Some(object) = value.as_object_mut() {
            object.insert("value".to_owned(), lease.expose().into());
        }
    }
    args.account.print(&value, &text)
}
