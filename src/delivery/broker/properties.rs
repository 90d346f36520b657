//! librdkafka's properties: what the promise needs, what measurement chose, what the user added.

use std::time::Duration;

use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

use crate::delivery::AnswerAfter;

/// What makes a record safe and keeps its order: not to be overridden (reserved in `kafka.options`, stack.md).
const PROMISE: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "true"),
    // After a record that failed for good nothing of its partition is sent any more: it would overtake what is sent again.
    ("enable.gapless.guarantee", "true"),
    ("partitioner", "murmur2_random"),
    // A record that times out leaves a gap that idempotence does not close; the spool keeps it anyway.
    ("message.timeout.ms", "0"),
    ("allow.auto.create.topics", "false"),
];

const ALONE: &[(&str, &str)] = &[
    ("batch.num.messages", "1"),
    (LINGER, "0"),
    // One record of a key is in flight at most: the delivery keeps the order.
    ("enable.gapless.guarantee", "false"),
];

const LINGER: &str = "linger.ms";
/// librdkafka's older name for it.
const LINGER_ALIAS: &str = "queue.buffering.max.ms";

/// Chosen by measurement (`benches/`); a user may choose otherwise.
const TUNED: &[(&str, &str)] = &[
    ("client.id", "cardhook"),
    // The requests of several partitions leave together; with Nagle's algorithm each waits for the one before.
    ("socket.nagle.disable", "true"),
    ("compression.type", "lz4"),
    ("socket.timeout.ms", "10000"),
    ("socket.keepalive.enable", "true"),
    ("reconnect.backoff.max.ms", "1000"),
    // Above what a lane keeps in flight, so that the client's queue is never what is full.
    ("queue.buffering.max.messages", "20000"),
    ("statistics.interval.ms", "2000"),
    // A missing topic is to be noticed before the default 30 s.
    ("topic.metadata.propagation.max.ms", "5000"),
];

/// How long librdkafka waits for more records of a partition where answers wait for it. Its shortest wait is 1 ms.
const LINGER_OF_ANSWERS: &str = "1";
/// Where none do: as long as it takes to hand a batch over. What comes behind a request waits for that one's report, and meanwhile
/// librdkafka's thread spins.
const LINGER_OF_BATCHES: &str = "5";

/// A producer's configuration that keeps the promise of contract §3.1. `options` are the user's, `bootstrap.servers` among
/// them.
#[must_use]
pub fn producer(options: &[(String, String)], answer_after: AnswerAfter) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Info);
    config.set(
        LINGER,
        match answer_after {
            AnswerAfter::Kafka | AnswerAfter::KafkaOnly => LINGER_OF_ANSWERS,
            AnswerAfter::Disk => LINGER_OF_BATCHES,
        },
    );
    for (key, value) in TUNED {
        config.set(*key, *value);
    }
    for (key, value) in options {
        config.set(key, value);
    }
    for (key, value) in PROMISE {
        config.set(*key, *value);
    }
    config
}

/// The same for a producer whose batches hold one record: a refusal is surely that record's own, and ends nothing.
pub(super) fn alone(batches: &ClientConfig) -> ClientConfig {
    let mut config = batches.clone();
    for (key, value) in ALONE {
        config.set(*key, *value);
    }
    // Another name of the same property.
    config.remove(LINGER_ALIAS);
    config
}

/// How long records wait in the client for others to share their request.
pub(super) fn linger(config: &ClientConfig) -> Duration {
    let milliseconds =
        config.get(LINGER_ALIAS).or_else(|| config.get(LINGER)).and_then(|text| text.trim().parse().ok());
    Duration::try_from_secs_f64(milliseconds.unwrap_or(0.0) / 1000.0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linger_is_read_under_either_of_its_names() {
        let linger = |options: &[(&str, &str)]| {
            let options: Vec<_> = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            linger(&producer(&options, AnswerAfter::Kafka))
        };
        assert_eq!(linger(&[]), Duration::from_millis(1));
        assert_eq!(super::linger(&producer(&[], AnswerAfter::Disk)), Duration::from_millis(5));
        assert_eq!(linger(&[("linger.ms", "0.5")]), Duration::from_micros(500));
        assert_eq!(linger(&[("queue.buffering.max.ms", "7")]), Duration::from_millis(7));
        assert_eq!(linger(&[("linger.ms", "x")]), Duration::ZERO, "librdkafka refuses it by itself");
    }

    #[test]
    fn the_promise_is_not_overridden() {
        let config = producer(
            &[("acks".to_owned(), "1".to_owned()), ("linger.ms".to_owned(), "7".to_owned())],
            AnswerAfter::Disk,
        );
        assert_eq!(config.get("acks"), Some("all"));
        assert_eq!(config.get("linger.ms"), Some("7"));
    }
}
