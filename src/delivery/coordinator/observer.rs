//! What the outside learns of the delivery: metrics, traces, the console and the log.
//!
//! Decides nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use prometheus_client::metrics::counter::Counter;

use super::super::{
    Lane, broker,
    pending::{Failure, Route},
    probe::{Probe, Published},
    store::Append,
    submission::{Sending, Settings},
};
use crate::{
    clock,
    metrics::{Metrics, ReasonLabels, TopicLabels},
    telemetry::traces::{Place, Traces},
};

/// How often refusals are logged, a line for all of them.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// See the module.
pub(in crate::delivery) struct Observer {
    metrics: Metrics,
    traces: Traces,
    probe: Option<Probe>,
    /// By `Lane as usize`.
    topics: [Arc<str>; 3],
    /// `cardhook_published_total` of each topic.
    published: [Counter; 3],
    /// Lanes of which the log says that Kafka is away.
    away: [bool; 3],
    why_away: Option<String>,
    /// Producers that have failed and were not replaced yet.
    failed: Vec<(Lane, Route)>,
    refused_at: Option<Instant>,
    /// Refusals since the last line.
    refused: u64,
}

impl Observer {
    pub(in crate::delivery) fn new(settings: &Settings, metrics: Metrics) -> Self {
        let published = settings.topics.each_ref().map(|topic| {
            let topic = Arc::clone(topic);
            metrics.published.get_or_create(&TopicLabels { topic }).clone()
        });
        Self {
            metrics,
            traces: settings.traces.clone(),
            probe: settings.probe.clone(),
            topics: settings.topics.clone(),
            published,
            away: [false; 3],
            why_away: None,
            failed: Vec::new(),
            refused_at: None,
            refused: 0,
        }
    }

    pub(super) fn topic(&self, lane: Lane) -> &str {
        self.topics.get(lane as usize).map_or("", |topic| topic)
    }

    /// Records that memory alone has, because the spool takes none.
    pub(super) fn bypassed(&self, records: usize) {
        self.metrics.spool_bypassed.inc_by(records as u64);
    }

    /// A record is committed, with the transaction that was handed over then.
    pub(super) fn stored(&self, append: &Append, handed_over: Instant) {
        self.traces.stored(&append.sending.record, handed_over);
    }

    /// A record is acknowledged. `sent`: for the first time.
    pub(super) fn acked(&self, lane: Lane, sending: &Sending, sent: Instant, position: broker::Position, now: Instant) {
        if let Some(published) = self.published.get(lane as usize) {
            published.inc();
        }
        let at_ms = clock::unix_millis();
        if let Some(topic) = self.topics.get(lane as usize) {
            let broker::Position { partition, offset } = position;
            self.traces.published(&sending.record, sent, &Place { topic, partition, offset });
            if let (Some(probe), Some(id)) = (&self.probe, sending.id) {
                let topic = Arc::clone(topic);
                probe.published(Published { event_id: id.event_id, at_ms, topic, partition, offset });
            }
        }
        self.metrics.publish_seconds.observe(now.saturating_duration_since(sent).as_secs_f64());
        if lane == Lane::Events {
            let age = at_ms - sending.record.timestamp_ms;
            #[expect(clippy::cast_precision_loss, reason = "an age in milliseconds fits in 52 bits")]
            self.metrics.event_age_seconds.observe((age.max(0) as f64) / 1000.0);
        }
    }

    /// A record, a producer or a connection failed.
    pub(super) fn count_failure(&self, reason: &'static str) {
        self.metrics.publish_errors.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// A producer of a topic failed: a line for all its records.
    pub(super) fn failed(&mut self, lane: Lane, route: Route, failure: Failure) {
        let (Failure::Topic(reason) | Failure::Producer(reason)) = failure else { return };
        if !self.failed.contains(&(lane, route)) {
            self.failed.push((lane, route));
            let topic = self.topic(lane);
            let (found, cure) = broker::words(reason).unzip();
            tracing::warn!(%topic, reason, found, cure, "publishing failed; trying again with a new producer");
        }
    }

    /// It has a new one.
    pub(super) fn connected(&mut self, lane: Lane, route: Route) {
        self.failed.retain(|failed| *failed != (lane, route));
    }

    /// The broker refuses a record for good.
    pub(super) fn refused(&mut self, lane: Lane, reason: &'static str, detail: &'static str, now: Instant) {
        self.count_failure(reason);
        self.refused += 1;
        if self.refused_at.is_none_or(|at| now >= at + LOG_EVERY) {
            let (topic, records) = (self.topic(lane), self.refused);
            tracing::warn!(topic, reason, detail, records, "the broker refuses a record for good");
            (self.refused_at, self.refused) = (Some(now), 0);
        }
    }

    /// All brokers are down, and this is why.
    pub(super) fn all_down(&mut self, why: String) {
        self.why_away = Some(why);
    }

    /// The line that says that Kafka is away may have left before its reason was known.
    pub(super) fn reason(&self, lane: Lane, why: &str) {
        if self.away.get(lane as usize) == Some(&true) {
            tracing::warn!(topic = self.topic(lane), why, "no broker answers");
        }
    }

    /// Whether Kafka is away for a topic, as far as that is to be said: `silent` is more than not reached yet.
    pub(super) fn presence(&mut self, lane: Lane, away: bool, silent: bool) {
        let logged = self.away.get(lane as usize).copied().unwrap_or_default();
        if silent && !logged {
            let why = self.why_away.take();
            let why = why.as_deref().unwrap_or("the oldest record in flight has waited delivery.ack_timeout");
            tracing::warn!(topic = self.topic(lane), why, "Kafka counts as away; answers no longer wait for it");
        } else if !away && logged {
            tracing::info!(topic = self.topic(lane), "Kafka acknowledges again");
        }
        if let Some(logged) = self.away.get_mut(lane as usize) {
            *logged = silent || *logged && away;
        }
    }

    /// After [`presence`](Self::presence) of all topics: whether Kafka can be counted on for the next event.
    pub(super) fn kafka_up(&mut self, up: bool) {
        self.why_away = None;
        self.metrics.kafka_up.set(i64::from(up));
    }
}
