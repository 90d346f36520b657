//! What is counted per callback, with every counter resolved at start.

use std::{
    sync::{Arc, OnceLock, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};

use super::{
    AccountLabels, AnsweredByLabels, CallbackLabels, Cause, EventLabels, Metrics, QuarantineLabels, RefusalLabels,
};

/// Why the listener quarantines a push: every `dlq_reason` but `rejected`, which is the broker's.
pub const QUARANTINED: [&str; 6] = ["decrypt", "app_id", "malformed", "missing_field", "wrong_account", "nonce_reused"];

/// What a callback came to: the label `result` of `cardhook_callbacks_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackResult {
    /// A card event, safe for the first time.
    Accepted,
    /// Of something that is safe already.
    Duplicate,
    /// Verified and unreadable.
    Quarantined,
    /// Not a card event.
    Other,
    /// A valid handshake.
    Handshake,
    /// Status 400.
    BadRequest,
    /// Status 403: the signature is wrong.
    BadSignature,
    /// Status 403: older than `max_age`, or from the future.
    Stale,
    /// Status 403: not from `server.allow_from`.
    ForbiddenSource,
    /// Status 413.
    TooLarge,
    /// Status 408, where the head was whole.
    Timeout,
    /// Status 503.
    Overloaded,
}

impl CallbackResult {
    /// Every result, in the order of the declaration.
    pub const ALL: [Self; 12] = [
        Self::Accepted,
        Self::Duplicate,
        Self::Quarantined,
        Self::Other,
        Self::Handshake,
        Self::BadRequest,
        Self::BadSignature,
        Self::Stale,
        Self::ForbiddenSource,
        Self::TooLarge,
        Self::Timeout,
        Self::Overloaded,
    ];

    /// The label's value.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Quarantined => "quarantined",
            Self::Other => "other",
            Self::Handshake => "handshake",
            Self::BadRequest => "bad_request",
            Self::BadSignature => "bad_signature",
            Self::Stale => "stale",
            Self::ForbiddenSource => "forbidden_source",
            Self::TooLarge => "too_large",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
        }
    }
}

/// What made an event safe: the label of `cardhook_answer_seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnsweredBy {
    /// The broker's ack.
    Kafka,
    /// The fsynced spool.
    Disk,
    /// There was nothing to make safe, or it was not.
    Nothing,
}

impl AnsweredBy {
    /// Every value, in the order of the declaration.
    const ALL: [Self; 3] = [Self::Kafka, Self::Disk, Self::Nothing];

    /// The label's value.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Disk => "disk",
            Self::Nothing => "none",
        }
    }
}

/// The counters of one account, resolved once: the hot path looks nothing up by label.
#[derive(Debug, Clone)]
pub struct AccountMetrics {
    callbacks: [Counter; CallbackResult::ALL.len()],
    answer_seconds: [Histogram; AnsweredBy::ALL.len()],
    events: Vec<(&'static str, Counter)>,
    refused: [Counter; Cause::ALL.len()],
    quarantined: [Counter; QUARANTINED.len()],
    last_push: Lazy<AccountLabels>,
    handshakes: [Lazy<CallbackLabels>; 2],
}

/// A time that has no series before it first is: 0 would read as half a century ago.
#[derive(Debug, Clone)]
struct Lazy<Labels> {
    series: Arc<OnceLock<Gauge<f64, AtomicU64>>>,
    family: Family<Labels, Gauge<f64, AtomicU64>>,
    labels: Labels,
}

impl<Labels: Clone + Eq + std::hash::Hash> Lazy<Labels> {
    fn new(family: &Family<Labels, Gauge<f64, AtomicU64>>, labels: Labels) -> Self {
        Self { series: Arc::default(), family: family.clone(), labels }
    }

    #[expect(clippy::cast_precision_loss, reason = "Unix milliseconds fit in 52 bits")]
    fn set(&self, now_ms: i64) {
        self.series.get_or_init(|| self.family.get_or_create_owned(&self.labels)).set(now_ms as f64 / 1000.0);
    }
}

impl AccountMetrics {
    /// Counts an answer. `result` is `None` where the contract counts none.
    pub fn answered(&self, result: Option<CallbackResult>, by: AnsweredBy, after: Duration) {
        if let Some(counter) = result.and_then(|result| self.callbacks.get(result as usize)) {
            counter.inc();
        }
        if let Some(histogram) = self.answer_seconds.get(by as usize) {
            histogram.observe(after.as_secs_f64());
        }
    }

    /// Counts a refused request.
    pub fn refused(&self, cause: Cause) {
        if let Some(counter) = self.refused.get(cause as usize) {
            counter.inc();
        }
    }

    /// Counts a push that was quarantined for the first time, by its `dlq_reason`.
    pub fn quarantined(&self, reason: &str) {
        let counters = QUARANTINED.iter().zip(&self.quarantined);
        if let Some((_, counter)) = counters.into_iter().find(|(known, _)| **known == reason) {
            counter.inc();
        }
    }

    /// A push was verified and answered `success`, at a Unix time in milliseconds.
    pub fn pushed(&self, now_ms: i64) {
        self.last_push.set(now_ms);
    }

    /// A handshake was answered or refused, at a Unix time in milliseconds.
    pub fn greeted(&self, accepted: bool, now_ms: i64) {
        let [accepts, refusals] = &self.handshakes;
        if accepted { accepts } else { refusals }.set(now_ms);
    }

    /// Counts an event that became safe for the first time.
    pub fn event(&self, event_type: &'static str) {
        if let Some((_, counter)) = self.events.iter().find(|(known, _)| *known == event_type) {
            counter.inc();
        }
    }
}

impl Metrics {
    /// The counters of an account, which stand at 0 from now on. `event_types` are all that [`AccountMetrics::event`] counts.
    #[must_use]
    pub fn of_account(
        &self,
        account: &Arc<str>,
        event_types: impl IntoIterator<Item = &'static str>,
    ) -> AccountMetrics {
        let labels = |result: CallbackResult| CallbackLabels { account: Arc::clone(account), result: result.label() };
        AccountMetrics {
            callbacks: CallbackResult::ALL.map(|result| self.callbacks.get_or_create_owned(&labels(result))),
            answer_seconds: AnsweredBy::ALL
                .map(|by| self.answer_seconds.get_or_create_owned(&AnsweredByLabels { answered_by: by.label() })),
            events: event_types
                .into_iter()
                .map(|event_type| {
                    let labels = EventLabels { account: Arc::clone(account), event_type };
                    (event_type, self.events.get_or_create_owned(&labels))
                })
                .collect(),
            refused: Cause::ALL.map(|cause| {
                let labels = RefusalLabels { account: Arc::clone(account), cause: cause.label() };
                self.refused.get_or_create_owned(&labels)
            }),
            quarantined: QUARANTINED.map(|reason| {
                self.quarantined.get_or_create_owned(&QuarantineLabels { account: Arc::clone(account), reason })
            }),
            last_push: Lazy::new(&self.last_push_seconds, AccountLabels { account: Arc::clone(account) }),
            handshakes: ["accepted", "refused"].map(|result| {
                Lazy::new(&self.handshake_seconds, CallbackLabels { account: Arc::clone(account), result })
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_and_each_answered_by_counts_under_its_own_label() {
        let metrics = Metrics::new();
        let account = metrics.of_account(&"shop".into(), ["card.received"]);
        for result in CallbackResult::ALL {
            account.answered(Some(result), AnsweredBy::Disk, Duration::from_millis(1));
            let line = format!("result=\"{}\"}} 1\n", result.label());
            assert!(metrics.text().contains(&line), "{line}");
        }
        assert!(metrics.text().contains("cardhook_answer_seconds_count{answered_by=\"disk\"} 12\n"));
    }

    #[test]
    fn each_cause_and_reason_counts_under_its_own_label() {
        let metrics = Metrics::new();
        let account = metrics.of_account(&"shop".into(), []);
        for cause in Cause::ALL {
            account.refused(cause);
            let line = format!("cardhook_refused_total{{account=\"shop\",cause=\"{}\"}} 1\n", cause.label());
            assert!(metrics.text().contains(&line), "{line}");
        }
        for reason in QUARANTINED {
            account.quarantined(reason);
            let line = format!("cardhook_quarantined_total{{account=\"shop\",reason=\"{reason}\"}} 1\n");
            assert!(metrics.text().contains(&line), "{line}");
        }
    }

    #[test]
    fn a_time_has_no_series_before_it_first_is() {
        let metrics = Metrics::new();
        let account = metrics.of_account(&"shop".into(), []);
        assert!(!metrics.text().contains("timestamp_seconds{"), "{}", metrics.text());
        account.pushed(1_700_000_000_500);
        account.greeted(false, 1_700_000_001_000);
        let text = metrics.text();
        assert!(text.contains("cardhook_last_push_timestamp_seconds{account=\"shop\"} 1700000000.5\n"), "{text}");
        let handshake = "cardhook_handshake_timestamp_seconds{account=\"shop\",result=\"refused\"} 1700000001.0\n";
        assert!(text.contains(handshake), "{text}");
        assert!(!text.contains("result=\"accepted\"} 17"), "{text}");
    }
}
