//! `cardhook card consume`: redeems a code, once.

use std::process::ExitCode;

use clap::{Args, builder::NonEmptyStringValueParser};
use serde_json::json;

use super::{AccountArgs, channel, note};
use crate::wechat_api::card::{ConsumeRequest, Consumed, OuterStr};

/// Redeem a code; an answer that is lost is not followed by a second redemption, but by a look at the code's state
#[derive(Debug, Args)]
#[command(after_help = "Exit code 0 only where WeChat confirms the redemption.

Examples:
  cardhook card consume 012345678901 --config cardhook.toml
  cardhook card consume MY-CODE-7 --card-id pCARD --outer-str till-2 --config cardhook.toml --json")]
pub(super) struct ConsumeArgs {
    /// The code
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    code: String,
    /// The card; required for a card with custom codes
    #[arg(long, value_name = "CARD_ID")]
    card_id: Option<String>,
    /// Comes back in card.consumed; 1 to 128 printable characters
    #[arg(long, value_name = "TEXT", value_parser = channel)]
    outer_str: Option<OuterStr>,
    #[command(flatten)]
    account: AccountArgs,
}

pub(super) async fn run(args: &ConsumeArgs) -> anyhow::Result<ExitCode> {
    let (mut api, ..) = args.account.api()?;
    let request =
        ConsumeRequest { code: args.code.clone(), card_id: args.card_id.clone(), outer_str: args.outer_str.clone() };
    let (lost, found) = match api.consume_code(&request).await? {
        Consumed::Confirmed(redeemed) => {
            let card_id = redeemed.card.get("card_id").and_then(|card_id| card_id.as_str()).unwrap_or_default();
            let lines = format!("redeemed\ncard_id  {card_id}\nopenid   {}", redeemed.openid);
            return args.account.print(&json!({ "outcome": "redeemed", "answer": redeemed }), &lines);
        }
        Consumed::AnswerLost { lost, found } => (lost, found),
    };
    note(format_args!("the redemption's answer was lost: {lost}"));
    let (status, told) = match &found {
        Ok(state) if state.user_card_status == "CONSUMED" => (
            Some(state.user_card_status.as_str()),
            "WeChat says that the code is redeemed now: by this call, or by one before it. Do not redeem it again",
        ),
        Ok(state) => (
            Some(state.user_card_status.as_str()),
            "WeChat says that the code is not redeemed so far. Look again with `cardhook card get` before another attempt",
        ),
        Err(_) => {
            (None, "the code's state cannot be asked either: look with `cardhook card get` before another attempt")
        }
    };
    if let Err(error) = &found {
        note(error);
    }
    let shown = status.unwrap_or("unknown");
    let report = json!({ "outcome": "answer_lost", "user_card_status": status, "state": found.as_ref().ok() });
    args.account.print(&report, &format!("answer lost\nstatus   {shown}\n{told}"))?;
    Ok(ExitCode::FAILURE)
}
