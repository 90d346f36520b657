//! `cardhook check`: is the configuration right; with `--connect`, are brokers, topics and disk as it says; with `--url`, does
//! the public way to this server work? Every finding at once, each with its key and its cure.
//!
//! Nothing is changed anywhere; with `--url` one signed message of a kind that nobody handles is sent.

mod kafka;
mod registry;
mod spool;
mod time;
mod upstream;
mod url;
mod wechat;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use super::ConfigArgs;
use crate::{clock, config::Config, delivery::spool_folder, finding::Findings, telemetry, unverified};

/// Say what is wrong with the configuration and with what it names, and what to do about it
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 all is well (warnings allowed), 1 something fails, 78 the configuration is wrong.

Examples:
  cardhook check --config cardhook.toml
  cardhook check --config cardhook.toml --connect
  cardhook check --config cardhook.toml --connect --url https://your.domain/wechat/shop")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Try what the configuration says: brokers, topics, permissions, schema registry, spool folder, upstreams, WeChat's API,
    /// clock
    #[arg(long)]
    connect: bool,
    /// Walk the public way to an account, as WeChat does: name, port, TLS, redirects, handshake, a push
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Print the effective configuration too, as TOML without secrets, before the findings
    #[arg(long)]
    print: bool,
    /// Print the findings as JSON
    #[arg(long, conflicts_with = "print")]
    json: bool,
}

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load()?;
    let mut out = io::stdout().lock();
    if args.print {
        out.write_all(config.effective().as_bytes())?;
    }
    telemetry::init(&config.log);
    let mut findings = Findings::default();
    configuration(&config, &mut findings);
    unverified(&config, &mut findings);
    if args.connect {
        kafka::look(&config, &mut findings)?;
        registry::look(&config, &mut findings)?;
        spool::look(&config, &mut findings);
        upstream::look(&config, &mut findings);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if args.connect {
        runtime.block_on(wechat::look(&config, &mut findings));
        runtime.block_on(time::look(&config, &mut findings));
    }
    if let Some(url) = &args.url {
        runtime.block_on(url::look(&config, url, &mut findings));
    }
    if args.json {
        findings.print_json(&mut out)?;
    } else if args.print {
        // The page stays TOML as a whole.
        let mut lines = Vec::new();
        findings.print(&mut lines)?;
        for line in String::from_utf8_lossy(&lines).lines() {
            writeln!(out, "# {line}")?;
        }
    } else {
        findings.print(&mut out)?;
    }
    Ok(if findings.all_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Pushes that failed verification and are kept: what a wrong token leaves.
fn unverified(config: &Config, findings: &mut Findings) {
    let window = i64::try_from(config.unverified.window.as_millis()).unwrap_or(i64::MAX);
    let from_ms = clock::unix_millis().saturating_sub(window);
    let kept = unverified::count(&spool_folder(&config.spool.path), from_ms).unwrap_or_default();
    for (account, number) in kept.into_iter().filter(|(_, number)| *number > 0) {
        findings.warn(
            "unverified",
            format_args!("pushes of {account} that failed verification and are kept: {number}"),
            "if the token was wrong, correct it, then `cardhook replay --unverified --config FILE`",
        );
    }
}

/// What the configuration alone tells.
fn configuration(config: &Config, findings: &mut Findings) {
    let names: Vec<_> = config.accounts.iter().map(|account| account.name.as_str()).collect();
    let accounts = if names.len() == 1 { "account" } else { "accounts" };
    findings.ok("configuration", format_args!("{} {accounts}: {}", names.len(), names.join(", ")));
    for account in &config.accounts {
        let routes = account.routes(&config.kafka).map(|route| format!("{}: {route}", route.pushes));
        findings.ok(format!("account.{}", account.name), routes.join("; "));
    }
    if let Some((key, found, cure)) = config.without_effect() {
        findings.warn(key, found, cure);
    }
    let protocol = config.kafka.options.iter().find(|(name, _)| name == "security.protocol");
    let sasl = protocol.is_some_and(|(_, value)| value.expose().to_ascii_lowercase().starts_with("sasl"));
    let given = config.kafka.sasl_password.is_some().then_some("kafka.sasl_password");
    let option = config.kafka.options.iter().map(|(name, _)| name.as_str()).find(|name| name.starts_with("sasl."));
    if let Some(key) = given.or(option).filter(|_| !sasl) {
        findings.warn(
            "kafka.options",
            format_args!("{key} has no effect: security.protocol is not SASL_SSL or SASL_PLAINTEXT"),
            "write \"security.protocol\" = \"SASL_SSL\", or remove it",
        );
    }
}
