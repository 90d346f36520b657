//! `cardhook card sign`: the signed values that a page's JS-SDK wants.

use std::process::ExitCode;

use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};
use serde_json::json;

use super::{super::letters::letters, AccountArgs, channel};
use crate::{
    clock,
    protocol::AppId,
    wechat_api::{CardExt, ChooseCard, card::OuterStr, sign_card_ext, sign_choose_card},
};

/// Sign a cardExt (wx.addCard) or a cardSign (wx.chooseCard)
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cardhook card sign add pCARD --outer-str poster-7 --config cardhook.toml
  cardhook card sign choose --card-type GROUPON --config cardhook.toml --json")]
pub(super) struct SignArgs {
    #[command(subcommand)]
    command: SignCommand,
}

#[derive(Debug, Subcommand)]
enum SignCommand {
    /// The cardExt of one claim through wx.addCard; print it anew for every claim
    Add(AddArgs),
    /// The cardSign of wx.chooseCard
    Choose(ChooseArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The card
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    card_id: String,
    /// Its code, for a card with custom codes
    #[arg(long, default_value = "", hide_default_value = true)]
    code: String,
    /// Who may claim it, for a card bound to an openid
    #[arg(long, default_value = "", hide_default_value = true)]
    openid: String,
    /// The amount in cents (分), of a red packet
    #[arg(long, default_value = "", hide_default_value = true)]
    balance: String,
    /// The channel; 1 to 128 printable characters
    #[arg(long, value_name = "TEXT", value_parser = channel)]
    outer_str: Option<OuterStr>,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    account: AccountArgs,
}

#[derive(Debug, Args)]
struct ChooseArgs {
    /// The shop (`location_id`)
    #[arg(long, default_value = "", hide_default_value = true)]
    location_id: String,
    /// One card only
    #[arg(long, default_value = "", hide_default_value = true)]
    card_id: String,
    /// One type only: GROUPON, CASH, DISCOUNT, GIFT, …
    #[arg(long, default_value = "", hide_default_value = true)]
    card_type: String,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    account: AccountArgs,
}

/// What is another one for each signature.
#[derive(Debug, Args)]
struct Once {
    /// Unix seconds; now when not given
    #[arg(long, value_name = "SECONDS")]
    timestamp: Option<i64>,
    /// At random when not given
    #[arg(long, value_name = "TEXT")]
    nonce_str: Option<String>,
}

impl Once {
    fn values(&self) -> anyhow::Result<(String, String)> {
        let timestamp = self.timestamp.unwrap_or_else(|| clock::unix_millis() / 1000);
        let nonce_str = self.nonce_str.clone().map_or_else(letters::<16>, Ok)?;
        Ok((timestamp.to_string(), nonce_str))
    }
}

pub(super) async fn run(args: &SignArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        SignCommand::Add(args) => add(args).await,
        SignCommand::Choose(args) => choose(args).await,
    }
}

async fn add(args: &AddArgs) -> anyhow::Result<ExitCode> {
    let (mut api, ..) = args.account.api()?;
    let ticket = api.lease_card_ticket().await?;
    let (timestamp, nonce_str) = args.once.values()?;
    let card_ext = CardExt {
        card_id: &args.card_id,
        code: &args.code,
        openid: &args.openid,
        timestamp: &timestamp,
        nonce_str: &nonce_str,
        balance: &args.balance,
        outer_str: args.outer_str.as_ref().map(OuterStr::as_str).unwrap_or_default(),
    };
    let signature = sign_card_ext(ticket.expose(), &card_ext);
    let ready = card_ext.to_json(&signature);
    let lines = format!(
        "cardId     {}\ntimestamp  {timestamp}\nnonce_str  {nonce_str}\nsignature  {signature}\n\ncardExt (a string in JavaScript):\n{}",
        args.card_id,
        serde_json::to_string(&ready)?,
    );
    args.account.print(&json!({ "cardId": args.card_id, "cardExt": ready }), &lines)
}

async fn choose(args: &ChooseArgs) -> anyhow::Result<ExitCode> {
    let (mut api, account, _) = args.account.api()?;
    let ticket = api.lease_card_ticket().await?;
    let (timestamp, nonce_str) = args.once.values()?;
    let choose = ChooseCard {
        app_id: account.credentials.app_id.as_ref().map(AppId::as_str).unwrap_or_default(),
        location_id: &args.location_id,
        timestamp: &timestamp,
        nonce_str: &nonce_str,
        card_id: &args.card_id,
        card_type: &args.card_type,
    };
    let card_sign = sign_choose_card(ticket.expose(), &choose);
    let ready = json!({
        "shopId": args.location_id,
        "cardType": args.card_type,
        "cardId": args.card_id,
        "timestamp": timestamp,
        "nonceStr": nonce_str,
        "signType": "SHA1",
        "cardSign": card_sign,
    });
    args.account.print(&ready, &serde_json::to_string_pretty(&ready)?)
}
