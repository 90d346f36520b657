//! librdkafka's properties: what the promise needs, what measurement chose, what the user added.

use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

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

/// Chosen by measurement (`benches/`); a user may choose otherwise.
const TUNED: &[(&str, &str)] = &[
    ("client.id", "cardhook"),
    ("linger.ms", "4"),
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

/// A producer's configuration that keeps the promise of contract §3.1. `options` are the user's, `bootstrap.servers` among
/// them.
#[must_use]
pub fn producer(options: &[(String, String)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Info);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_promise_is_not_overridden() {
        let config = producer(&[("acks".to_owned(), "1".to_owned()), ("linger.ms".to_owned(), "7".to_owned())]);
        assert_eq!(config.get("acks"), Some("all"));
        assert_eq!(config.get("linger.ms"), Some("7"));
    }
}
