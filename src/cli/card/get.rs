//! `cardhook card get`: what WeChat knows of a code.

use std::{fmt::Write as _, process::ExitCode};

use clap::{Args, builder::NonEmptyStringValueParser};
use serde_json::Value;

use super::AccountArgs;
use crate::wechat_api::card::CodeState;

/// Look a code up: its status, whether it can be redeemed, who has it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cardhook card get 012345678901 --config cardhook.toml
  cardhook card get MY-CODE-7 --card-id pCARD --config cardhook.toml --account shop --json")]
pub(super) struct GetArgs {
    /// The code
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    code: String,
    /// The card; required for a card with custom codes
    #[arg(long, value_name = "CARD_ID")]
    card_id: Option<String>,
    #[command(flatten)]
    account: AccountArgs,
}

pub(super) async fn run(args: &GetArgs) -> anyhow::Result<ExitCode> {
    let (mut api, ..) = args.account.api()?;
    let state = api.get_code(&args.code, args.card_id.as_deref()).await?;
    args.account.print(&state, &lines(&state)?)
}

/// One line a field.
fn lines(state: &CodeState) -> anyhow::Result<String> {
    let mut lines = String::new();
    writeln!(lines, "status       {}", state.user_card_status)?;
    writeln!(lines, "can_consume  {}", state.can_consume)?;
    if let Some(card_id) = state.card.get("card_id").and_then(Value::as_str) {
        writeln!(lines, "card_id      {card_id}")?;
    }
    for name in ["begin_time", "end_time"] {
        let seconds = state.card.get(name).and_then(Value::as_i64);
        if let Some(time) = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()) {
            writeln!(lines, "{name:<12} {time}")?;
        }
    }
    writeln!(lines, "openid       {}", state.openid)?;
    if let Some(outer_str) = &state.outer_str {
        writeln!(lines, "outer_str    {outer_str}")?;
    }
    Ok(lines)
}
