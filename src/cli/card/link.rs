//! `cardhook card link`: reads a redirect link, checks its signature, and asks for its code.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::{AccountArgs, or_stdin};
use crate::wechat_api::redirect::{Link, LinkSignature};

/// Read a redirect link that WeChat opened: `encrypt_code`, `card_id`, `openid`, `outer_str`
#[derive(Debug, Args)]
#[command(after_help = "Exit code 1 where the link's signature is wrong. Quote the link: & has a meaning in shells.

Examples:
  cardhook card link 'https://shop.example/?encrypt_code=XXIz%2BVd%3D&card_id=pCARD' --config cardhook.toml
  cardhook card link - --decrypt --config cardhook.toml < link.txt")]
pub(super) struct LinkArgs {
    /// The link; `-` reads it from standard input
    url: String,
    /// Ask WeChat for the code
    #[arg(long)]
    decrypt: bool,
    #[command(flatten)]
    account: AccountArgs,
}

pub(super) async fn run(args: &LinkArgs) -> anyhow::Result<ExitCode> {
    let (_, account) = args.account.load()?;
    let link = Link::parse(&or_stdin(&args.url)?)?;
    let signature = match account.app_secret.as_ref().map(|secret| link.check(secret)) {
        Some(LinkSignature::Valid) => "valid",
        Some(LinkSignature::Invalid) => "WRONG",
        None if link.is_signed() => "not checked: the account has no app_secret",
        Some(LinkSignature::Absent) | None => "none",
    };
    let code = if args.decrypt && signature != "WRONG" {
        let encrypt_code = link.encrypt_code.as_deref().context("the link has no encrypt_code to ask WeChat about")?;
        Some(args.account.api()?.0.decrypt_code(encrypt_code).await?)
    } else {
        None
    };
    let fields = [
        ("encrypt_code", &link.encrypt_code),
        ("card_id", &link.card_id),
        ("openid", &link.openid),
        ("outer_str", &link.outer_str),
        ("activate_ticket", &link.activate_ticket),
        ("code", &code),
    ];
    let mut lines = String::new();
    for (name, value) in fields {
        if let Some(value) = value {
            writeln!(lines, "{name:<16} {value}")?;
        }
    }
    writeln!(lines, "{:<16} {signature}", "signature")?;
    let mut object = json!(fields.into_iter().collect::<std::collections::BTreeMap<_, _>>());
    if let Some(object) = object.as_object_mut() {
        object.insert("signature".to_owned(), signature.into());
    }
    args.account.print(&object, &lines)?;
    Ok(if signature == "WRONG" { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
