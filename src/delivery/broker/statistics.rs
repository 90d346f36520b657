//! The parts of librdkafka's statistics that are read: which brokers there are, in which state, how fast they answer.

use std::{borrow::Cow, collections::HashMap};

use serde::Deserialize;

use crate::delivery::probe;

/// See the module.
#[derive(Default, Deserialize)]
pub(super) struct Statistics<'a> {
    #[serde(borrow, default)]
    brokers: HashMap<Cow<'a, str>, Broker<'a>>,
}

#[derive(Deserialize)]
struct Broker<'a> {
    #[serde(borrow)]
    state: Cow<'a, str>,
    #[serde(borrow, default)]
    nodename: Cow<'a, str>,
    #[serde(borrow, default)]
    source: Cow<'a, str>,
    #[serde(default)]
    nodeid: i32,
    rtt: Option<RoundTrip>,
}

/// Over the last interval, microseconds.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RoundTrip {
    avg: i64,
    cnt: i64,
}

impl<'a> Statistics<'a> {
    /// Nothing is known from what is no statistics.
    pub(super) fn read(json: &'a [u8]) -> Self {
        serde_json::from_slice(json).unwrap_or_default()
    }

    /// A broker is connected.
    pub(super) fn is_up(&self) -> bool {
        self.brokers.values().any(|broker| broker.state == "UP")
    }

    /// For the console.
    pub(super) fn brokers(&self) -> impl Iterator<Item = probe::Broker> {
        self.brokers.values().filter(|broker| broker.is_real()).map(Broker::shown)
    }
}

impl Broker<'_> {
    /// librdkafka lists handles of its own too, which are no broker.
    fn is_real(&self) -> bool {
        matches!(&*self.source, "configured" | "learned")
    }

    fn shown(&self) -> probe::Broker {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a request")]
        let rtt_ms = self.rtt.as_ref().filter(|rtt| rtt.cnt > 0).map(|rtt| rtt.avg as f64 / 1000.0);
        probe::Broker { id: self.nodeid, address: self.nodename.to_string(), state: self.state.to_string(), rtt_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"{"name": "cardhook#producer-1", "ts": 1, "msg_cnt": 0, "brokers": {
        "a:9092/1": {"name": "a:9092/1", "nodeid": 1, "nodename": "a:9092", "source": "learned", "state": "UP",
            "stateage": 2, "rtt": {"min": 1, "max": 3, "avg": 1500, "sum": 5, "p99": 3, "cnt": 2}, "toppars": {}},
        "b:9092/bootstrap": {"nodeid": -1, "nodename": "b:9092", "source": "configured", "state": "TRY_CONNECT",
            "rtt": {"avg": 0, "cnt": 0}},
        "TxnCoordinator": {"nodeid": -1, "nodename": "", "source": "logical", "state": "INIT"}}, "topics": {}}"#;

    #[test]
    fn brokers_are_read_with_their_state_and_time_and_handles_of_librdkafkas_own_are_not() {
        let statistics = Statistics::read(SAMPLE.as_bytes());
        assert!(statistics.is_up());
        let mut brokers: Vec<_> = statistics.brokers().collect();
        brokers.sort_by_key(|broker| std::cmp::Reverse(broker.id));
        let broker = |id, address: &str, state: &str, rtt_ms| {
            let (address, state) = (address.to_owned(), state.to_owned());
            probe::Broker { id, address, state, rtt_ms }
        };
        assert_eq!(brokers, [broker(1, "a:9092", "UP", Some(1.5)), broker(-1, "b:9092", "TRY_CONNECT", None)]);
        assert!(!Statistics::read(b"{}").is_up() && !Statistics::read(b"x").is_up());
    }
}
