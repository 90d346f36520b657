//! `cardhook card whitelist`: who may claim a card before WeChat has approved it.

use std::process::ExitCode;

use clap::Args;

use super::{AccountArgs, Usage, note};
use crate::wechat_api::card::{TEST_USERS, TestUsers};

/// Set the test users, who may claim a card before it is approved; replaces WeChat's list
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cardhook card whitelist --openid oA1 --openid oB2 --username my-wechat-id --config cardhook.toml")]
pub(super) struct WhitelistArgs {
    /// An openid (repeatable)
    #[arg(long, value_name = "OPENID", required_unless_present = "username")]
    openid: Vec<String>,
    /// A WeChat id, 微信号 (repeatable)
    #[arg(long, value_name = "WECHAT_ID")]
    username: Vec<String>,
    #[command(flatten)]
    account: AccountArgs,
}

pub(super) async fn run(args: &WhitelistArgs) -> anyhow::Result<ExitCode> {
    let users = TestUsers { openid: args.openid.clone(), username: args.username.clone() };
    let count = users.openid.len() + users.username.len();
    if count > TEST_USERS {
        let told =
            format!("{count} test users, and WeChat's list holds {TEST_USERS} (openids and WeChat ids together)");
        return Err(Usage(told).into());
    }
    let (mut api, ..) = args.account.api()?;
    note(format_args!("replaces WeChat's list of test users by these {count}:"));
    for user in users.openid.iter().chain(&users.username) {
        note(format_args!("  {user}"));
    }
    let answer = api.set_test_users(&users).await?;
    args.account.print(&answer, &format!("{count} test users are set"))
}
