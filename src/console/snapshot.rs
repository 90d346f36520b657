//! What is looked at once a second: readiness, Kafka, spool, ids.

use std::{collections::VecDeque, path::PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    delivery::{self, Delivery, Probe},
    metrics::Metrics,
};

/// Seconds between two looks at how fast the spool fills, and how many are kept.
const FILLS: (i64, usize) = (10, 30);

/// Seconds beyond which nobody can say when the spool will be full: 30 days.
const FORESEEN: u64 = 30 * 86_400;

/// Readiness, as `/readyz` tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Checks {
    /// There is somewhere durable to put an event.
    pub durable: bool,
    /// The spool takes appends.
    pub spool: bool,
    /// Kafka acknowledges; null without brokers.
    pub kafka: Option<bool>,
    /// A stop has begun.
    pub draining: bool,
}

/// Kafka, as the delivery sees it.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Kafka {
    /// null without brokers.
    pub up: Option<bool>,
    /// Since when it is so, Unix milliseconds.
    pub since: i64,
    /// Records acknowledged since the start.
    pub published: u64,
    /// Hand-over to ack since the start, milliseconds: median and 99th percentile (upper end of the histogram's bucket).
    pub publish_p50: Option<f64>,
    /// See `publish_p50`.
    pub publish_p99: Option<f64>,
    /// `CreateTime` to ack since the start, seconds: 95th percentile.
    pub event_age_p95: Option<f64>,
    /// Failed deliveries since the start, those that there were.
    pub errors: Vec<PublishError>,
    /// The brokers, as seen by the producer of the events, every two seconds.
    pub brokers: Vec<Broker>,
    /// What last went wrong with a connection to them; null when nothing did since the start.
    pub last_error: Option<LastError>,
}

/// One broker.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Broker {
    /// `node.id`; −1 until the broker has told it.
    pub id: i32,
    /// Host and port.
    pub address: String,
    /// librdkafka's word: `UP`, `DOWN`, `INIT` (not connected), `TRY_CONNECT`, …
    pub state: String,
    /// From a request to its answer, milliseconds, on average over the last two seconds in which there was one: a produce
    /// request waits for all in-sync replicas. Null before the first.
    pub rtt_ms: Option<f64>,
}

/// A failed connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LastError {
    /// When, Unix milliseconds.
    pub at: i64,
    /// `authentication`, `tls`, `authorization`, `resolve`, `advertised`, `closed`, `unreachable`: the cure hangs on it.
    pub kind: &'static str,
    /// In librdkafka's words.
    pub reason: String,
}

/// Failed deliveries of one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PublishError {
    /// The label of `cardhook_publish_errors_total`.
    pub reason: String,
    /// How many since the start.
    pub count: u64,
    /// When last, Unix milliseconds.
    pub last: i64,
}

/// The spool.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Spool {
    /// Pending records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// `spool.max_bytes`.
    pub capacity: u64,
    /// Receipt of the oldest pending record, Unix milliseconds; null when none waits.
    pub oldest: Option<i64>,
    /// Seconds until it is full, at the rate of the last 5 minutes; null while it does not grow, or beyond 30 days.
    pub full_in: Option<u64>,
    /// Records that the broker refused on the DLQ topic too.
    pub parked: u64,
    /// Transactions that failed since the start.
    pub write_errors: u64,
    /// Events that went to Kafka past a failing spool since the start.
    pub bypassed: u64,
    /// When either last rose, Unix milliseconds.
    pub failed_at: Option<i64>,
    /// Free bytes of its file system.
    pub disk_free: Option<u64>,
}

/// The memory of ids.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Dedup {
    /// Remembered ids.
    pub entries: u64,
    /// Ids forgotten before `dedup.window`, since the start.
    pub forgotten_early: u64,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    pub(super) checks: Checks,
    pub(super) kafka: Kafka,
    pub(super) spool: Spool,
    pub(super) dedup: Dedup,
    /// False while `server.allow_from` names WeChat and its addresses were never learnt.
    pub(super) allow_list_known: bool,
}

/// Whom to ask, and what is remembered from one look to the next.
#[derive(Debug)]
pub(super) struct Look {
    delivery: Delivery,
    probe: Probe,
    metrics: Metrics,
    spool_path: PathBuf,
    last: Snapshot,
    fills: VecDeque<(i64, u64)>,
}

impl Look {
    pub(super) fn new(delivery: Delivery, probe: Probe, metrics: Metrics, spool_path: PathBuf) -> Self {
        Self { delivery, probe, metrics, spool_path, last: Snapshot::default(), fills: VecDeque::new() }
    }

    pub(super) fn now(&mut self, draining: bool, now_ms: i64) -> Snapshot {
        self.delivery.refresh_gauges();
        let health = self.delivery.health();
        let checks = Checks { durable: health.durable, spool: health.spool, kafka: health.kafka, draining };
        let (kafka, spool) = (self.kafka(health.kafka, now_ms), self.spool(now_ms));
        let metrics = &self.metrics;
        let snapshot = Snapshot {
            checks,
            kafka,
            spool,
            dedup: Dedup {
                entries: metrics.dedup_entries.get().unsigned_abs(),
                forgotten_early: metrics.dedup_forgotten_early.get(),
            },
            allow_list_known: metrics.allow_list_known.get() == 1,
        };
        self.last = snapshot.clone();
        snapshot
    }

    fn kafka(&self, up: Option<bool>, now_ms: i64) -> Kafka {
        let last = &self.last.kafka;
        let (brokers, last_error) = self.probe.brokers();
        let broker = |delivery::Broker { id, address, state, rtt_ms }| Broker { id, address, state, rtt_ms };
        let last_error =
            last_error.map(|delivery::LastError { at_ms, kind, reason }| LastError { at: at_ms, kind, reason });
        let text = self.metrics.text();
        let publish = |percent| percentile(&text, "cardhook_publish_seconds_bucket{le=\"", percent);
        let errors = labelled(&text, "cardhook_publish_errors_total{reason=\"").filter(|(_, count)| *count > 0.0);
        let error = |(reason, count): (&str, f64)| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter")]
            let count = count as u64;
            let before = last.errors.iter().find(|error| error.reason == reason && error.count == count);
            PublishError { reason: reason.to_owned(), count, last: before.map_or(now_ms, |before| before.last) }
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter")]
        let published = labelled(&text, "cardhook_published_total{topic=\"").map(|(_, count)| count as u64).sum();
        Kafka {
            up,
            since: if last.up == up && last.since != 0 { last.since } else { now_ms },
            published,
            publish_p50: publish(50.0).map(|seconds| seconds * 1000.0),
            publish_p99: publish(99.0).map(|seconds| seconds * 1000.0),
            event_age_p95: percentile(&text, "cardhook_event_age_seconds_bucket{le=\"", 95.0),
            errors: errors.map(error).collect(),
            brokers: brokers.into_iter().map(broker).collect(),
            last_error,
        }
    }

    fn spool(&mut self, now_ms: i64) -> Spool {
        let metrics = &self.metrics;
        let gauge = |gauge: &prometheus_client::metrics::gauge::Gauge| gauge.get().unsigned_abs();
        #[expect(clippy::cast_possible_truncation, reason = "an age in milliseconds")]
        let oldest_ms = (metrics.spool_oldest_seconds.get() * 1000.0) as i64;
        let (write_errors, bypassed) = (metrics.spool_write_errors.get(), metrics.spool_bypassed.get());
        let last = &self.last.spool;
        let rose = write_errors > last.write_errors || bypassed > last.bypassed;
        let (bytes, capacity) = (gauge(&metrics.spool_bytes), gauge(&metrics.spool_capacity_bytes));
        let (failed_at, records) = (if rose { Some(now_ms) } else { last.failed_at }, gauge(&metrics.spool_records));
        let disk = rustix::fs::statvfs(&self.spool_path).ok();
        let spool = Spool {
            records,
            bytes,
            capacity,
            oldest: (records > 0 && oldest_ms > 0).then(|| now_ms - oldest_ms),
            full_in: None,
            parked: gauge(&metrics.spool_parked),
            write_errors,
            bypassed,
            failed_at,
            disk_free: disk.map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
        };
        Spool { full_in: self.full_in(bytes, capacity, now_ms), ..spool }
    }

    fn full_in(&mut self, bytes: u64, capacity: u64, now_ms: i64) -> Option<u64> {
        let now = now_ms.div_euclid(1000);
        if self.fills.back().is_none_or(|(last, _)| now - last >= FILLS.0) {
            if self.fills.len() == FILLS.1 {
                self.fills.pop_front();
            }
            self.fills.push_back((now, bytes));
        }
        let (then, before) = *self.fills.front()?;
        let grown = bytes.checked_sub(before).filter(|grown| *grown > 0)?;
        let seconds = u64::try_from(now - then).ok().filter(|seconds| *seconds > 0)?;
        let room = u128::from(capacity.saturating_sub(bytes));
        u64::try_from(room * u128::from(seconds) / u128::from(grown)).ok().filter(|seconds| *seconds <= FORESEEN)
    }
}

/// Label and value of every series of a metric with one label.
fn labelled<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    text.lines().filter_map(move |line| {
        let (label, value) = line.strip_prefix(prefix)?.split_once("\"} ")?;
        Some((label, value.parse().ok()?))
    })
}

/// The upper end of the bucket that holds a percentile; `None` when nothing was observed, or it lies beyond all buckets.
fn percentile(text: &str, prefix: &str, percent: f64) -> Option<f64> {
    let buckets: Vec<(&str, f64)> = labelled(text, prefix).collect();
    let (_, all) = *buckets.last().filter(|(_, all)| *all > 0.0)?;
    let (end, _) = buckets.iter().find(|(_, below)| *below >= all * percent / 100.0)?;
    end.parse().ok().filter(|end: &f64| end.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_labels_are_read_from_the_metrics_text() {
        let metrics = Metrics::new();
        assert_eq!(percentile(&metrics.text(), "cardhook_publish_seconds_bucket{le=\"", 50.0), None);
        for _ in 0..99 {
            metrics.publish_seconds.observe(0.002);
        }
        metrics.publish_seconds.observe(2.5);
        let text = metrics.text();
        assert_eq!(percentile(&text, "cardhook_publish_seconds_bucket{le=\"", 50.0), Some(0.0025));
        assert_eq!(percentile(&text, "cardhook_publish_seconds_bucket{le=\"", 100.0), Some(3.0));
        metrics.publish_errors.get_or_create(&crate::metrics::ReasonLabels { reason: "too_large" }).inc_by(3);
        let text = metrics.text();
        let errors: Vec<_> = labelled(&text, "cardhook_publish_errors_total{reason=\"").collect();
        assert_eq!(errors, [("too_large", 3.0)]);
    }
}
