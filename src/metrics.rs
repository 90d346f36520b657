//! The metrics of contract §5: names, labels from closed sets, and their text.
//!
//! Everything here is made once at start; the hot path touches resolved counters only.

mod account;
mod process;
mod refusal;
mod text;
mod upstream;

use std::sync::{Arc, atomic::AtomicU64};

pub use account::{AccountMetrics, AnsweredBy, CallbackResult, QUARANTINED};
pub use refusal::{Cause, ConnectionLabels, NotHttp, RefusalLabels};
pub use text::Format;
pub use upstream::{UpstreamMetrics, UpstreamResult};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

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
    /// A closed set: see `delivery::broker`.
    pub reason: &'static str,
}

/// `account`, `reason`
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct QuarantineLabels {
    /// A configured account's name.
    pub account: Arc<str>,
    /// A `dlq_reason`.
    pub reason: &'static str,
}

/// `account`
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AccountLabels {
    /// A configured account's name.
    pub account: Arc<str>,
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
    /// `cardhook_upstream_total`
    pub upstream: Family<CallbackLabels, Counter>,
    /// `cardhook_refused_total`
    pub refused: Family<RefusalLabels, Counter>,
    /// `cardhook_connections_refused_total`
    pub connections_refused: Family<ConnectionLabels, Counter>,
    /// `cardhook_unknown_path_total`
    pub unknown_path: Counter,
    /// `cardhook_quarantined_total`
    pub quarantined: Family<QuarantineLabels, Counter>,
    /// `cardhook_last_push_timestamp_seconds`
    pub last_push_seconds: Family<AccountLabels, Gauge<f64, AtomicU64>>,
    /// `cardhook_handshake_timestamp_seconds`
    pub handshake_seconds: Family<CallbackLabels, Gauge<f64, AtomicU64>>,
    /// `cardhook_unverified_kept`
    pub unverified_kept: Gauge,
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
    /// `cardhook_allow_list_known`
    pub allow_list_known: Gauge,
    /// `cardhook_kafka_up`
    pub kafka_up: Gauge,
    /// `cardhook_schema_registry_up`
    pub schema_registry_up: Gauge,
    /// `cardhook_config_last_reload_successful`
    pub config_last_reload_successful: Gauge,
    /// `cardhook_observer_dropped_total`
    pub observer_dropped: Counter,
    /// `cardhook_console_clients`
    pub console_clients: Gauge,
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
            upstream: Family::default(),
            refused: Family::default(),
            connections_refused: Family::default(),
            unknown_path: Counter::default(),
            quarantined: Family::default(),
            last_push_seconds: Family::default(),
            handshake_seconds: Family::default(),
            unverified_kept: Gauge::default(),
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
            allow_list_known: Gauge::default(),
            kafka_up: Gauge::default(),
            schema_registry_up: Gauge::default(),
            config_last_reload_successful: Gauge::default(),
            observer_dropped: Counter::default(),
            console_clients: Gauge::default(),
        };
        // Where no list and no registry is asked for, none is missing.
        metrics.allow_list_known.set(1);
        metrics.schema_registry_up.set(1);
        // What a service starts with has been read.
        metrics.config_last_reload_successful.set(1);
        metrics.register(registry.sub_registry_with_prefix("cardhook"));
        Self { registry: Arc::new(registry), ..metrics }
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("callbacks", "Callbacks by account and result", self.callbacks.clone());
        registry.register("events", "Card events accepted, by account and type", self.events.clone());
        registry.register("upstream", "Forwarded pushes by account and what came of them", self.upstream.clone());
        self.register_refusals(registry);
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
        registry.register(
            "allow_list_known",
            "0 while server.allow_from names WeChat and its addresses were never learnt: anyone may call",
            self.allow_list_known.clone(),
        );
        registry.register("kafka_up", "1 while Kafka acknowledges, 0 while it counts as away", self.kafka_up.clone());
        registry.register(
            "schema_registry_up",
            "0 while kafka.schema_registry gives no id for the Avro schema (1 also without one)",
            self.schema_registry_up.clone(),
        );
        registry.register(
            "config_last_reload_successful",
            "1 when the configuration last read is in force, 0 when it was refused and the one before stays",
            self.config_last_reload_successful.clone(),
        );
        registry.register(
            "observer_dropped",
            "Callbacks that the console was not told of, its queue being full",
            self.observer_dropped.clone(),
        );
        registry.register("console_clients", "Open event streams of the console", self.console_clients.clone());
        let build: Family<BuildLabels, Gauge> = Family::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build_info", "The running release", build);
    }

    fn register_refusals(&self, registry: &mut Registry) {
        registry.register("refused", "Refused requests, by account and cause", self.refused.clone());
        registry.register(
            "connections_refused",
            "Connections that are not HTTP, by cause",
            self.connections_refused.clone(),
        );
        registry.register("unknown_path", "Requests to paths that no account has", self.unknown_path.clone());
        registry.register("quarantined", "Quarantined pushes, by account and reason", self.quarantined.clone());
        registry.register(
            "last_push_timestamp_seconds",
            "When a push was last verified and answered success; absent before the first",
            self.last_push_seconds.clone(),
        );
        registry.register(
            "handshake_timestamp_seconds",
            "When a handshake was last answered (accepted) or refused; absent before the first",
            self.handshake_seconds.clone(),
        );
        registry.register("unverified_kept", "Unverified pushes that are kept", self.unverified_kept.clone());
    }

    /// The OpenMetrics text of everything registered.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// The text of everything registered, for a scrape.
    #[must_use]
    pub fn scraped(&self, format: Format) -> String {
        match format {
            Format::OpenMetrics => self.text(),
            Format::Prometheus => text::prometheus(&self.text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_the_contracts() {
        let metrics = Metrics::new();
        metrics.of_account(&"shop".into(), ["card.received"]).event("card.received");
        let _counters = NotHttp::counters(&metrics);
        metrics.published.get_or_create(&TopicLabels { topic: "events".into() }).inc();
        metrics.publish_errors.get_or_create(&ReasonLabels { reason: "invalid" }).inc();
        let text = metrics.text();
        for line in [
            "cardhook_callbacks_total{account=\"shop\",result=\"bad_signature\"} 0\n",
            "cardhook_events_total{account=\"shop\",event_type=\"card.received\"} 1\n",
            "cardhook_refused_total{account=\"shop\",cause=\"token\"} 0\n",
            "cardhook_connections_refused_total{cause=\"not_http\"} 0\n",
            "cardhook_unknown_path_total 0\n",
            "cardhook_quarantined_total{account=\"shop\",reason=\"decrypt\"} 0\n",
            "cardhook_unverified_kept 0\n",
            "cardhook_answer_seconds_count{answered_by=\"none\"} 0\n",
            "cardhook_publish_seconds_count 0\n",
            "cardhook_event_age_seconds_count 0\n",
            "cardhook_published_total{topic=\"events\"} 1\n",
            "cardhook_publish_errors_total{reason=\"invalid\"} 1\n",
            "cardhook_spool_records 0\n",
            "cardhook_spool_bytes 0\n",
            "cardhook_spool_oldest_seconds 0.0\n",
            "cardhook_spool_capacity_bytes 0\n",
            "cardhook_spool_write_errors_total 0\n",
            "cardhook_spool_bypassed_total 0\n",
            "cardhook_spool_parked 0\n",
            "cardhook_dedup_entries 0\n",
            "cardhook_dedup_forgotten_early_total 0\n",
            "cardhook_allow_list_known 1\n",
            "cardhook_kafka_up 0\n",
            "cardhook_schema_registry_up 1\n",
            concat!("cardhook_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1\n"),
            "\nprocess_cpu_seconds_total ",
            "\nprocess_start_time_seconds ",
            "\nprocess_resident_memory_bytes ",
            "\nprocess_open_fds ",
            "\nprocess_max_fds ",
            "cardhook_config_last_reload_successful 1\n",
            "cardhook_observer_dropped_total 0\n",
            "cardhook_console_clients 0\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
