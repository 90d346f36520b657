//! What somebody should look at: rules over the console's state. The words, in both languages, are the page's.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    account::{OfAccount, Tally},
    rotation::Uses,
    state::State,
};
use crate::metrics::{CallbackResult, Cause};

/// How long a hint that ended is remembered as `recovered`.
const RECOVERED_MS: i64 = 600_000;
/// Errors of the broker that need a person.
const REFUSALS: [&str; 6] = [
    "unknown_topic",
    "topic_authorization_failed",
    "cluster_authorization_failed",
    "authentication_failed",
    "tls_failed",
    "schema_registry_unavailable",
];

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something is lost now, or soon.
    Error,
    /// Something is wrong, and nothing is lost.
    Warn,
    /// Good to know.
    Info,
}

/// One word for everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Verdict {
    /// The worst hint's; null when everything is all right.
    pub level: Option<Level>,
    /// The worst hint; null when everything is all right.
    pub hint: Option<&'static str>,
}

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Hint {
    /// Names the words that are shown for it.
    pub id: &'static str,
    /// How bad.
    pub level: Level,
    /// The account that it is about.
    pub account: Option<String>,
    /// Since when, Unix milliseconds.
    pub since: i64,
    /// What its words count: numbers, and words of closed sets.
    pub values: BTreeMap<&'static str, serde_json::Value>,
}

impl Hint {
    fn new(id: &'static str, level: Level) -> Self {
        Self { id, level, account: None, since: 0, values: BTreeMap::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<serde_json::Value>) -> Self {
        self.values.insert(name, value.into());
        self
    }

    /// Everything that holds now.
    pub(super) fn all(state: &State, now_ms: i64) -> Vec<Self> {
        let mut hints = of_delivery(state, now_ms);
        for account in &state.accounts {
            let of_account = of_account(account, now_ms);
            hints.extend(of_account.into_iter().map(|hint| Self { account: Some(account.facts.name.clone()), ..hint }));
        }
        hints
    }
}

fn of_delivery(state: &State, now_ms: i64) -> Vec<Hint> {
    let mut hints = Vec::new();
    let (kafka, spool) = (&state.snapshot.kafka, &state.snapshot.spool);
    if !state.snapshot.checks.durable {
        hints.push(Hint::new("nowhere_durable", Level::Error));
    }
    let recently = |at: i64| now_ms - at < RECOVERED_MS;
    for error in kafka.errors.iter().filter(|error| recently(error.last)) {
        if REFUSALS.contains(&error.reason.as_str()) {
            hints.push(Hint::new("kafka_refuses", Level::Error).with("reason", error.reason.as_str()));
        }
    }
    if kafka.up == Some(false) {
        let hint = Hint::new("kafka_away", Level::Warn).with("waiting", spool.records);
        hints.push(match spool.full_in {
            Some(seconds) => hint.with("full_in", seconds),
            None => hint,
        });
    }
    let percent = spool.bytes.saturating_mul(100).checked_div(spool.capacity).unwrap_or(0);
    let fills_soon = percent >= 10 && spool.full_in.is_some_and(|seconds| seconds < 4 * 3600);
    if percent >= 80 || fills_soon {
        hints.push(Hint::new("spool_fills", Level::Error).with("percent", percent));
    }
    let fails = !state.snapshot.checks.spool && percent < 99;
    if fails || spool.failed_at.is_some_and(|at| now_ms - at < 300_000) {
        hints.push(Hint::new("disk_fails", Level::Error));
    }
    if spool.parked > 0 {
        hints.push(Hint::new("parked", Level::Warn).with("count", spool.parked));
    }
    if let Some(p99) = state.p99(now_ms).filter(|p99| *p99 > 3000.0) {
        hints.push(Hint::new("slow", Level::Warn).with("ms", f64::from(p99.round())));
    }
    if !state.snapshot.allow_list_known {
        hints.push(Hint::new("open_to_anyone", Level::Warn));
    }
    hints
}

fn of_account(account: &OfAccount, now_ms: i64) -> Vec<Hint> {
    let (ten, hour) = (account.minutes(10, now_ms), account.minutes(60, now_ms));
    let mut hints = of_signatures(&ten);
    match &account.handshake {
        None if account.all().good() == 0 => hints.push(Hint::new("handshake_never", Level::Info)),
        Some(last) if !last.accepted && now_ms - last.at < 3_600_000 => {
            hints.push(Hint::new("handshake_failed", Level::Warn).with("cause", last.cause.unwrap_or_default()));
        }
        _ => {}
    }
    let encrypted = account.encrypted_at.is_some_and(|at| now_ms - at < RECOVERED_MS);
    if ten.cause(Cause::ClearPush) > 0 || encrypted {
        hints.push(Hint::new("mode_mismatch", Level::Error).with("mode", account.facts.mode));
    }
    hints.extend(of_rotation(account));
    let changed = ten.cause(Cause::BodyChanged) + ten.cause(Cause::Compressed);
    if changed >= 3 {
        hints.push(Hint::new("body_changed", Level::Error).with("count", changed));
    }
    let decrypt = if encrypted { 0 } else { hour.reason("decrypt") };
    let others = ["malformed", "missing_field", "wrong_account", "nonce_reused"].map(|reason| hour.reason(reason));
    for (id, count) in [
        ("quarantine_decrypt", decrypt),
        ("quarantine_app_id", hour.reason("app_id")),
        ("quarantine_other", others.into_iter().sum()),
    ] {
        if count > 0 {
            hints.push(Hint::new(id, Level::Warn).with("count", count));
        }
    }
    if account.last_push.is_some_and(|at| now_ms - at > 3_600_000) && account.yesterday(now_ms).good() > 20 {
        hints.push(Hint::new("silence", Level::Warn));
    }
    let duplicates = ten.result(CallbackResult::Duplicate);
    if duplicates >= 20 && duplicates * 20 > ten.good() {
        hints.push(Hint::new("retries", Level::Warn).with("count", duplicates));
    }
    let accepted = ten.result(CallbackResult::Accepted);
    if ten.off_clock() >= 10 && ten.off_clock() * 2 > accepted {
        hints.push(Hint::new("clock", Level::Warn).with("count", ten.off_clock()));
    }
    if ten.result(CallbackResult::ForbiddenSource) > 20 {
        let count = ten.result(CallbackResult::ForbiddenSource);
        hints.push(Hint::new("forbidden_sources", Level::Warn).with("count", count));
    }
    hints
}

/// While a previous token or key is configured: whether pushes still come with it.
fn of_rotation(account: &OfAccount) -> impl Iterator<Item = Hint> {
    let secrets = [("previous_token", Some(&account.token)), ("previous_aes_key", account.aes_key.as_ref())];
    let of = |holds: fn(&Uses) -> bool| {
        let held = secrets.iter().filter_map(|(name, uses)| Some((*name, (*uses)?))).filter(|(_, uses)| holds(uses));
        let (names, last): (Vec<_>, Vec<_>) = held.map(|(name, uses)| (name, uses.previous)).unzip();
        (!names.is_empty()).then(|| (names.join(", "), last.into_iter().max().flatten()))
    };
    let used = of(Uses::is_used)
        .map(|(names, last)| Hint::new("previous_secret_used", Level::Info).with("secrets", names).with("last", last));
    let unused =
        of(Uses::is_replaced).map(|(names, _)| Hint::new("previous_secret_unused", Level::Info).with("secrets", names));
    used.into_iter().chain(unused)
}

fn of_signatures(ten: &Tally) -> Vec<Hint> {
    let wrong = ten.result(CallbackResult::BadSignature);
    let others_cause = ten.cause(Cause::ClearPush) + ten.cause(Cause::BodyChanged) + ten.cause(Cause::JsonBody);
    if wrong < 20 || wrong <= ten.good() || others_cause * 2 > wrong {
        return Vec::new();
    }
    let hint = if ten.strangers() * 2 > wrong {
        Hint::new("strangers", Level::Info)
    } else {
        Hint::new("signatures_fail", Level::Error)
    };
    vec![hint.with("count", wrong)]
}

/// Those that hold, and those that ended lately.
#[derive(Debug, Default)]
pub(super) struct Hints {
    holding: Vec<Hint>,
    recovered: Vec<Hint>,
}

impl Hints {
    /// What holds now in place of what held; says whether something began or ended.
    pub(super) fn replace(&mut self, mut found: Vec<Hint>, now_ms: i64) -> bool {
        let same = |a: &Hint, b: &Hint| {
            a.id == b.id && a.account == b.account && a.values.get("reason") == b.values.get("reason")
        };
        for hint in &mut found {
            hint.since = self.holding.iter().find(|before| same(before, hint)).map_or(now_ms, |before| before.since);
        }
        let before = self.recovered.len();
        self.recovered.retain(|hint| {
            let holds =
                found.iter().any(|held| held.account == hint.account && hint.values.get("of") == Some(&held.id.into()));
            now_ms - hint.since < RECOVERED_MS && !holds
        });
        let mut changed = before != self.recovered.len() || found.len() != self.holding.len();
        for ended in self.holding.iter().filter(|held| !found.iter().any(|hint| same(hint, held))) {
            changed = true;
            if ended.level != Level::Info {
                let recovered = Hint::new("recovered", Level::Info).with("of", ended.id);
                self.recovered.push(Hint { account: ended.account.clone(), since: now_ms, ..recovered });
            }
        }
        changed |= found.iter().any(|hint| hint.since == now_ms);
        found.sort_by_key(|hint| (hint.level, hint.since));
        self.holding = found;
        changed
    }

    /// The worst first.
    pub(super) fn all(&self) -> Vec<Hint> {
        self.holding.iter().chain(&self.recovered).cloned().collect()
    }

    pub(super) fn verdict(&self) -> Verdict {
        let worst = self.holding.first().filter(|hint| hint.level != Level::Info);
        Verdict { level: worst.map(|hint| hint.level), hint: worst.map(|hint| hint.id) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    #[test]
    fn a_hint_keeps_its_beginning_and_is_recovered_for_ten_minutes() {
        let mut hints = Hints::default();
        let away = || vec![Hint::new("kafka_away", Level::Warn)];
        assert!(hints.replace(away(), NOW));
        assert!(!hints.replace(away(), NOW + 1000));
        assert_eq!(hints.all()[0].since, NOW);
        assert_eq!(hints.verdict().hint, Some("kafka_away"));
        assert!(hints.replace(Vec::new(), NOW + 2000));
        let recovered = hints.all();
        assert_eq!((recovered[0].id, &recovered[0].values["of"]), ("recovered", &"kafka_away".into()));
        assert_eq!(hints.verdict(), Verdict { level: None, hint: None });
        assert!(hints.replace(away(), NOW + 3000));
        assert_eq!(hints.all().len(), 1, "what holds again is not recovered");
        hints.replace(Vec::new(), NOW + 4000);
        assert!(hints.replace(Vec::new(), NOW + 4000 + RECOVERED_MS));
        assert!(hints.all().is_empty());
    }

    #[test]
    fn the_worst_is_first() {
        let mut hints = Hints::default();
        hints.replace(vec![Hint::new("slow", Level::Warn), Hint::new("disk_fails", Level::Error)], NOW);
        assert_eq!(hints.verdict().hint, Some("disk_fails"));
    }
}
