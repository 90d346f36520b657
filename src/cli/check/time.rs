//! This machine's clock against others': the `Date` of WeChat's API and of the schema registry. The brokers' is looked at with
//! their topics (`cluster`).

use std::time::Duration;

use reqwest::{Client, header::DATE, redirect::Policy};

use crate::{
    clock,
    cluster::{CLOCK as SUBJECT, CLOCK_CURE as CURE},
    config::Config,
    finding::Findings,
};

const PATIENCE: Duration = Duration::from_secs(5);
/// `Date` has whole seconds, and an answer takes its time.
const NOTED_MS: i64 = 5_000;
/// WeChat's timestamps are refused when they are five minutes ahead; long before that something is wrong.
const WRONG_MS: i64 = 60_000;

pub(super) async fn look(config: &Config, findings: &mut Findings) {
    let wechat = config.api_caller().map(|_| ("WeChat's API", config.wechat_api.base_url.clone()));
    let registry = config.kafka.schema_registry.as_ref().map(|url| ("the schema registry", url.expose().to_owned()));
    let mut compared = findings.about(SUBJECT);
    for (name, url) in wechat.into_iter().chain(registry) {
        let Some(ahead_ms) = ahead_of(&url).await else { continue };
        compared = true;
        let (seconds, side) = (ahead_ms.abs() / 1000, if ahead_ms > 0 { "ahead of" } else { "behind" });
        let found = format!("{seconds} s {side} that of {name}");
        if ahead_ms.abs() <= NOTED_MS {
            findings.ok(SUBJECT, format_args!("as that of {name}, within 5 s"));
        } else if ahead_ms.abs() <= WRONG_MS {
            findings.warn(SUBJECT, found, CURE);
        } else {
            findings.fail(SUBJECT, found, CURE);
        }
    }
    if !compared {
        let found =
            "not compared: neither a broker, nor WeChat's API (app_secret), nor a schema registry told its time";
        findings.ok(SUBJECT, found);
    }
}

/// How far this clock is ahead of a server's, milliseconds; `None` when it does not tell its time.
async fn ahead_of(url: &str) -> Option<i64> {
    let client = Client::builder().redirect(Policy::none()).timeout(PATIENCE).build().ok()?;
    let begun = clock::unix_millis();
    let answer = client.get(url).send().await.ok()?;
    let ours = i64::midpoint(begun, clock::unix_millis());
    let date = answer.headers().get(DATE)?.to_str().ok()?;
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_millisecond();
    // Between a second's beginning and its end.
    Some(ours - theirs - 500)
}
