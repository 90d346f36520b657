//! The metrics of contract §5: names, labels from closed sets, and their text.
//!
//! Everything here is made once at start; the hot path touches resolved counters only.

mod process;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

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
    /// Status 403.
    BadSignature,
    /// Status 413.
    TooLarge,
    /// Status 408, where the head was whole.
    Timeout,
    /// Status 503.
    Overloaded,
}

impl CallbackResult {
    /// Every result, in the order of the declaration.
    const ALL: [Self; 10] = [
        Self::Accepted,
        Self::Duplicate,
        Self::Quarantined,
        Self::Other,
        Self::Handshake,
        Self::BadRequest,
        Self::BadSignature,
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

/// The counters of one account, resolved once: the hot path looks nothing up by label but the event type.
#[derive(Debug, Clone)]
pub struct AccountMetrics {
    account: Arc<str>,
    callbacks: [Counter; CallbackResult::ALL.len()],
    answer_seconds: [Histogram; AnsweredBy::ALL.len()],
    events: Family<EventLabels, Counter>,
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
        self.events.get_or_create(&EventLabels { account: Arc::clone(&self.account), event_type }).inc();
    }
}

/// `account`, `result`
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallbackLabels {
    /// A configured account's name.
    pub account: Arc<str>,
    /// See contract §5.
    pub result: &'static str,
}

/// `account`, `event_type`
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EventLabels {
    /// A configured account's name.
    pub account: Arc<str>,
    /// A row of contract §1.1, or `other`.
    pub event_type: &'static str,
}

/// `topic`
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TopicLabels {
    /// A configured topic.
    pub topic: Arc<str>,
}

/// `reason`
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabels {
    /// A closed set: see `delivery::sink`.
    pub reason: &'static str,
}

/// `answered_by`
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AnsweredByLabels {
    /// `kafka`, `disk`, `none`.
    pub answered_by: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// All metrics, cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// `cardhook_callbacks_total`
    pub callbacks: Family<CallbackLabels, Counter>,
    /// `cardhook_events_total`
    pub events: Family<EventLabels, Counter>,
    /// `cardhook_answer_seconds`
    pub answer_seconds: Family<AnsweredByLabels, Histogram, fn() -> Histogram>,
    /// `cardhook_publish_seconds`: hand-over to the producer to ack.
    pub publish_seconds: Histogram,
    /// `cardhook_event_age_seconds`: `CreateTime` to ack.
    pub event_age_seconds: Histogram,
    /// `cardhook_published_total`
    pub published: Family<TopicLabels, Counter>,
    /// `cardhook_publish_errors_total`
    pub publish_errors: Family<ReasonLabels, Counter>,
    /// `cardhook_spool_records`
    pub spool_records: Gauge,
    /// `cardhook_spool_bytes`
    pub spool_bytes: Gauge,
    /// `cardhook_spool_oldest_seconds`
    pub spool_oldest_seconds: Gauge<f64, AtomicU64>,
    /// `cardhook_spool_capacity_bytes`
    pub spool_capacity_bytes: Gauge,
    /// `cardhook_spool_write_errors_total`
    pub spool_write_errors: Counter,
    /// `cardhook_spool_bypassed_total`
    pub spool_bypassed: Counter,
    /// `cardhook_spool_parked`
    pub spool_parked: Gauge,
    /// `cardhook_dedup_entries`
    pub dedup_entries: Gauge,
    /// `cardhook_dedup_forgotten_early_total`
    pub dedup_forgotten_early: Counter,
    /// `cardhook_kafka_up`
    pub kafka_up: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn answer_histogram() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0])
}

impl Metrics {
    /// Registers every metric.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Process::new(crate::clock::unix_millis())));
        let metrics = Self {
            registry: Arc::default(),
            callbacks: Family::default(),
            events: Family::default(),
            answer_seconds: Family::new_with_constructor(answer_histogram),
            publish_seconds: answer_histogram(),
            event_age_seconds: Histogram::new([0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0, 3600.0, 21_600.0, 86_400.0]),
            published: Family::default(),
            publish_errors: Family::default(),
            spool_records: Gauge::default(),
            spool_bytes: Gauge::default(),
            spool_oldest_seconds: Gauge::default(),
            spool_capacity_bytes: Gauge::default(),
            spool_write_errors: Counter::default(),
            spool_bypassed: Counter::default(),
            spool_parked: Gauge::default(),
            dedup_entries: Gauge::default(),
            dedup_forgotten_early: Counter::default(),
            kafka_up: Gauge::default(),
        };
        for by in AnsweredBy::ALL {
            drop(metrics.answer_seconds.get_or_create(&AnsweredByLabels { answered_by: by.label() }));
        }
        metrics.register(registry.sub_registry_with_prefix("cardhook"));
        Self { registry: Arc::new(registry), ..metrics }
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("callbacks", "Callbacks by account and result", self.callbacks.clone());
        registry.register("events", "Card events accepted, by account and type", self.events.clone());
        registry.register(
            "answer_seconds",
            "Head received to answer, by what made the event safe",
            self.answer_seconds.clone(),
        );
        registry.register(
            "publish_seconds",
            "Hand-over to the producer to the broker's ack",
            self.publish_seconds.clone(),
        );
        registry.register("event_age_seconds", "CreateTime to the broker's ack", self.event_age_seconds.clone());
        registry.register("published", "Records acknowledged by the broker, by topic", self.published.clone());
        registry.register("publish_errors", "Failed deliveries to the broker, by reason", self.publish_errors.clone());
        registry.register("spool_records", "Pending records in the spool", self.spool_records.clone());
        registry.register("spool_bytes", "Bytes of pending records in the spool", self.spool_bytes.clone());
        registry.register(
            "spool_oldest_seconds",
            "Age of the oldest pending record",
            self.spool_oldest_seconds.clone(),
        );
        registry.register("spool_capacity_bytes", "spool.max_bytes", self.spool_capacity_bytes.clone());
        registry.register(
            "spool_write_errors",
            "Transactions of the spool that failed",
            self.spool_write_errors.clone(),
        );
        registry.register(
            "spool_bypassed",
            "Events that went to Kafka past a failing spool",
            self.spool_bypassed.clone(),
        );
        registry.register(
            "spool_parked",
            "Records that the broker refused on the DLQ topic too",
            self.spool_parked.clone(),
        );
        registry.register("dedup_entries", "Remembered event ids", self.dedup_entries.clone());
        registry.register(
            "dedup_forgotten_early",
            "Ids forgotten before dedup.window, for dedup.max_bytes",
            self.dedup_forgotten_early.clone(),
        );
        registry.register("kafka_up", "1 while Kafka acknowledges, 0 while it counts as away", self.kafka_up.clone());
        let build: Family<BuildLabels, Gauge> = Family::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build_info", "The running release", build);
    }

    /// The counters of an account, which stand at 0 from now on.
    #[must_use]
    pub fn of_account(&self, account: &Arc<str>) -> AccountMetrics {
        let labels = |result: CallbackResult| CallbackLabels { account: Arc::clone(account), result: result.label() };
        AccountMetrics {
            account: Arc::clone(account),
            callbacks: CallbackResult::ALL.map(|result| self.callbacks.get_or_create_owned(&labels(result))),
            answer_seconds: AnsweredBy::ALL
                .map(|by| self.answer_seconds.get_or_create_owned(&AnsweredByLabels { answered_by: by.label() })),
            events: self.events.clone(),
        }
    }

    /// The OpenMetrics text of everything registered.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}
