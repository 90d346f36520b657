//! `cardhook card …`: WeChat's card API from the command line, one file per command.
//!
//! Each reads the configuration, calls in one account's name, and prints what was asked for. Nothing is logged.

mod call;
mod channels;
mod consume;
mod decrypt;
mod get;
mod link;
mod picture;
mod qrcode;
mod sign;
mod token;
mod whitelist;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Subcommand};
use reqwest::Url;
use serde::Serialize;

use super::{ConfigArgs, Misconfigured, Usage, note};
use crate::{
    config::{Account, Config, ConfigError, locale},
    protocol::AppId,
    wechat_api::{Api, ApiError, Caller},
};

/// Call WeChat's card API: put a card out, look a code up, redeem it, sign, read redirect links
#[derive(Debug, Args)]
#[command(after_help = "Needs app_secret_file (or access_token_file) in the account's section of the configuration.

The loop:
  cardhook card qrcode pCARD --outer-str poster-7 --config cardhook.toml    # scan it
  cardhook tail --config cardhook.toml                                      # card.received … outer_str=poster-7
  cardhook card consume CODE --config cardhook.toml                         # card.consumed")]
pub(super) struct CardArgs {
    #[command(subcommand)]
    command: CardCommand,
}

#[derive(Debug, Subcommand)]
enum CardCommand {
    Qrcode(Box<qrcode::QrcodeArgs>),
    Whitelist(whitelist::WhitelistArgs),
    Get(get::GetArgs),
    Consume(consume::ConsumeArgs),
    Decrypt(decrypt::DecryptArgs),
    Link(link::LinkArgs),
    Sign(sign::SignArgs),
    Token(token::TokenArgs),
    Call(call::CallArgs),
}

/// In whose name, and how to print.
#[derive(Debug, Args)]
struct AccountArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The account to call for; not needed where there is only one
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CardArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        match &args.command {
            CardCommand::Qrcode(args) => qrcode::run(args).await,
            CardCommand::Whitelist(args) => whitelist::run(args).await,
            CardCommand::Get(args) => get::run(args).await,
            CardCommand::Consume(args) => consume::run(args).await,
            CardCommand::Decrypt(args) => decrypt::run(args).await,
            CardCommand::Link(args) => link::run(args).await,
            CardCommand::Sign(args) => sign::run(args).await,
            CardCommand::Token(args) => token::run(args).await,
            CardCommand::Call(args) => call::run(args).await,
        }
    });
    if let Err(error) = &outcome {
        explain(error);
    }
    outcome
}

/// WeChat's own words, and in Chinese what they mean, where that is the language.
fn explain(error: &anyhow::Error) {
    let Some(refused) = error.chain().find_map(|cause| cause.downcast_ref::<ApiError>()) else { return };
    if let ApiError::Refused { errmsg, .. } = refused {
        note(format_args!("WeChat's words: {}", errmsg.shown()));
    }
    if let (Some(meaning), true) = (refused.meaning(), locale().is_some_and(|locale| locale.starts_with("zh"))) {
        note(format_args!("{}：{}；{}", meaning.errcode, meaning.zh, meaning.zh_cure));
    }
}

impl AccountArgs {
    fn load(&self) -> anyhow::Result<(Config, Account)> {
        let config = self.config.load()?;
        let found = match &self.account {
            Some(name) => config.accounts.iter().find(|account| account.name == *name),
            None if config.accounts.len() == 1 => config.accounts.first(),
            None => None,
        };
        let names = || config.accounts.iter().map(|account| account.name.as_str()).collect::<Vec<_>>().join(", ");
        let Some(account) = found.cloned() else {
            return Err(Usage(format!("name one account with --account; the configuration has: {}", names())).into());
        };
        Ok((config, account))
    }

    /// The API in the account's name; tokens are shared through a file in the spool's folder.
    fn api(&self) -> anyhow::Result<(Api, Account, PathBuf)> {
        let (config, account) = self.load()?;
        let base: Url = config.wechat_api.base_url.parse().map_err(|_| {
            misconfigured("wechat_api.base_url", "is no address", "write one such as \"https://api.weixin.qq.com\"")
        })?;
        let app_id = account.credentials.app_id.as_ref().map(AppId::as_str).unwrap_or_default().to_owned();
        let api = match (&account.access_token_file, &account.app_secret) {
            (Some(file), _) => Api::with_token_file(base, file.clone())?,
            (None, Some(app_secret)) => {
                Api::new(base, Caller { app_id: app_id.clone(), app_secret: app_secret.clone() })?
            }
            (None, None) => {
                let key = format!("account.{}.app_secret", account.name);
                let cure = "write app_secret_file, or access_token_file where a token server of yours keeps one";
                return Err(misconfigured(&key, "is missing, and WeChat's API needs it", cure));
            }
        };
        let kept =
            crate::delivery::spool_folder(&config.spool.path).join(format!("wechat-tokens-{}.json", account.name));
        Ok((api.sharing(kept.clone(), &app_id).repeating(), account, kept))
    }

    /// Prints one JSON object, or the lines.
    fn print(&self, value: &impl Serialize, lines: &str) -> anyhow::Result<ExitCode> {
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string(value)?)?;
        } else {
            writeln!(out, "{}", lines.trim_end())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn misconfigured(key: &str, problem: &str, cure: &str) -> anyhow::Error {
    Misconfigured(vec![ConfigError { key: key.to_owned(), problem: problem.to_owned(), cure: cure.to_owned() }]).into()
}

/// An argument that may come from standard input instead: `-`.
fn or_stdin(argument: &str) -> anyhow::Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    Ok(io::read_to_string(io::stdin())?.trim().to_owned())
}

/// `outer_str` of the command line.
fn channel(text: &str) -> Result<crate::wechat_api::card::OuterStr, String> {
    crate::wechat_api::card::OuterStr::parse(text).map_err(|error| error.to_string())
}
