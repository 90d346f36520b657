//! What is counted per callback, with every counter resolved at start.

use std::{sync::Arc, time::Duration};

use prometheus_client::metrics::{counter::Counter, histogram::Histogram};

use super::{AnsweredByLabels, CallbackLabels, EventLabels, Metrics};

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
    const ALL: [Self; 12] = [
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

    fn label(self) -> &'static str {
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
}
