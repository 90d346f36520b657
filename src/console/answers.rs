//! What the API answers, as types: `schemas/console-api.json` is made of them.

use std::{collections::BTreeMap, net::IpAddr};

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    account::{OfAccount, Tally},
    event::EventRow,
    hints::{Hint, Verdict},
    observer::Refused,
    rotation::{SecretStatus, Uses},
    series::Series,
    snapshot::{Checks, Dedup, Kafka, Spool},
};
use crate::metrics::{CallbackResult, Cause, QUARANTINED};

/// `status`: how everything is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Status {
    /// This release.
    pub version: &'static str,
    /// When the service started, Unix milliseconds.
    pub started_at: i64,
    /// The server's clock, Unix milliseconds.
    pub now: i64,
    /// One word for all of it.
    pub verdict: Verdict,
    /// Readiness.
    pub checks: Checks,
    /// The figures of the overview.
    pub figures: Figures,
    /// Every configured account.
    pub accounts: Vec<AccountStatus>,
    /// Kafka.
    pub kafka: Kafka,
    /// The spool.
    pub spool: Spool,
    /// The memory of ids.
    pub dedup: Dedup,
    /// `unknown` while `server.allow_from` names WeChat and its addresses were never learnt.
    pub allow_list: &'static str,
    /// Pushes answered in the last hour: by kafka, disk, none.
    pub answered_by: BTreeMap<&'static str, u64>,
    /// Callbacks that the console was not told of, its queue being full.
    pub dropped: u64,
    /// What to look at, the worst first.
    pub hints: Vec<Hint>,
}

/// The figures of the overview.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Figures {
    /// Card events accepted a second, over the last 10 s.
    pub accepted_per_second: f64,
    /// 99th percentile of the pushes' answers in the last 5 minutes, milliseconds.
    pub p99_ms: Option<f32>,
    /// Records that wait.
    pub waiting: u64,
    /// Receipt of the oldest of them, Unix milliseconds.
    pub oldest: Option<i64>,
    /// Seconds until the spool is full.
    pub full_in: Option<u64>,
    /// Requests refused in the last 5 minutes.
    pub refused: u64,
}

/// One account.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AccountStatus {
    /// Its name.
    pub name: String,
    /// The path of its callbacks.
    pub path: String,
    /// `plaintext`, `compat`, `secure`.
    pub mode: &'static str,
    /// Its token.
    pub token: SecretStatus,
    /// Its EncodingAESKey; null when it has none.
    pub aes_key: Option<SecretStatus>,
    /// The last handshake since the start.
    pub handshake: Option<Handshake>,
    /// When a push last was verified and safe, Unix milliseconds.
    pub last_push: Option<i64>,
    /// By result, in the last 5 minutes.
    pub minutes: BTreeMap<&'static str, u64>,
    /// By result, in the last hour.
    pub hour: BTreeMap<&'static str, u64>,
    /// By result, in the last 24 hours.
    pub day: BTreeMap<&'static str, u64>,
    /// Refused requests of the last 24 hours by cause, those that there were.
    pub causes: BTreeMap<&'static str, u64>,
    /// Quarantined pushes by reason.
    pub quarantined: Quarantined,
}

/// Quarantined pushes by reason, those that there were.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Quarantined {
    /// In the last hour.
    pub hour: BTreeMap<&'static str, u64>,
    /// In the last 24 hours.
    pub day: BTreeMap<&'static str, u64>,
    /// Since the start.
    pub start: BTreeMap<&'static str, u64>,
}

impl AccountStatus {
    pub(super) fn new(account: &OfAccount, now_ms: i64) -> Self {
        let (hour, day) = (account.minutes(60, now_ms), account.day(now_ms));
        Self {
            name: account.facts.name.clone(),
            path: account.facts.path.clone(),
            mode: account.facts.mode,
            token: account.token.status(),
            aes_key: account.aes_key.as_ref().map(Uses::status),
            handshake: account.handshake.clone(),
            last_push: account.last_push,
            minutes: by_result(&account.minutes(5, now_ms)),
            hour: by_result(&hour),
            day: by_result(&day),
            causes: those(Cause::ALL.into_iter().map(|cause| (cause.label(), day.cause(cause)))),
            quarantined: Quarantined { hour: by_reason(&hour), day: by_reason(&day), start: by_reason(&account.all()) },
        }
    }
}

fn by_result(tally: &Tally) -> BTreeMap<&'static str, u64> {
    CallbackResult::ALL.into_iter().map(|result| (result.label(), tally.result(result))).collect()
}

fn by_reason(tally: &Tally) -> BTreeMap<&'static str, u64> {
    those(QUARANTINED.into_iter().map(|reason| (reason, tally.reason(reason))))
}

fn those(all: impl Iterator<Item = (&'static str, u64)>) -> BTreeMap<&'static str, u64> {
    all.filter(|(_, count)| *count > 0).collect()
}

/// A handshake.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Handshake {
    /// When, Unix milliseconds.
    pub at: i64,
    /// Whether it was answered.
    pub accepted: bool,
    /// Why not: a cause of `cardhook_refused_total`.
    pub cause: Option<&'static str>,
    /// Where it came from.
    pub source: Option<IpAddr>,
}

impl Handshake {
    pub(super) fn accepted(at: i64, source: Option<IpAddr>) -> Self {
        Self { at, accepted: true, cause: None, source }
    }

    pub(super) fn refused(at: i64, refused: &Refused) -> Self {
        Self { at, accepted: false, cause: Some(refused.cause.label()), source: refused.source }
    }
}

/// A refused request.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RefusedRow {
    /// When, Unix milliseconds.
    pub at: i64,
    /// The account whose path it asked for.
    pub account: String,
    /// `bad_signature`, …
    pub result: &'static str,
    /// Why.
    pub cause: &'static str,
    /// What was found; null where it was not looked into (a bounded number a second is).
    pub found: Option<String>,
    /// It was a handshake.
    pub handshake: bool,
    /// Where it came from.
    pub source: Option<IpAddr>,
    /// Whether WeChat publishes that address; null where its addresses are not known.
    pub published_source: Option<bool>,
}

impl RefusedRow {
    pub(super) fn new(at: i64, account: String, refused: &Refused) -> Self {
        Self {
            at,
            account,
            result: refused.result.label(),
            cause: refused.cause.label(),
            found: refused.found.as_deref().map(str::to_owned),
            handshake: refused.is_handshake,
            source: refused.source,
            published_source: refused.published_source,
        }
    }
}

/// A quarantined push.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct QuarantineRow {
    /// Receipt, Unix milliseconds.
    pub at: i64,
    /// The account.
    pub account: String,
    /// `dlq_reason`.
    pub reason: &'static str,
    /// `dlq_detail`: no bytes of the body.
    pub detail: String,
    /// Bytes of the body.
    pub bytes: usize,
}

/// `events`: the newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Events {
    /// At most `limit`.
    pub events: Vec<EventRow>,
    /// What `before` takes for those that follow; null when there are none.
    pub next: Option<u64>,
}

/// `refused`: the newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RefusedRows {
    /// At most 100.
    pub refused: Vec<RefusedRow>,
}

/// `quarantine`: the newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct QuarantineRows {
    /// At most 100.
    pub quarantine: Vec<QuarantineRow>,
}

/// The stream's `tick`, once a second.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tick {
    /// The server's clock, Unix milliseconds.
    pub now: i64,
    /// One word for all of it.
    pub verdict: Verdict,
    /// Readiness.
    pub checks: Checks,
    /// The figures of the overview.
    pub figures: Figures,
    /// The second that is over: one point of `series?window=15m`.
    pub point: Series,
}

/// The stream's `event`: new pushes, the oldest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NewEvents {
    /// At most 20 a second.
    pub events: Vec<EventRow>,
    /// Pushes that are left out.
    pub omitted: u64,
}

/// The stream's `hint`: all hints, when they have changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HintList {
    /// The worst first.
    pub hints: Vec<Hint>,
}

/// Every answer that is none of the above.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Problem {
    /// What is wrong.
    pub error: String,
    /// What to do.
    pub hint: String,
}
