//! What the console is shown of records and brokers. Without a console there is no probe, and nothing here runs.
//!
//! It never waits: what finds no room is dropped.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use crate::event::EventId;

/// Acknowledgements that wait for the console; it looks ten times a second.
const WAITING: usize = 4096;

/// A record that Kafka has acknowledged.
#[derive(Debug, Clone)]
pub struct Published {
    /// Whose record it is.
    pub event_id: EventId,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Its topic.
    pub topic: Arc<str>,
    /// Where it stands there.
    pub partition: i32,
    /// Where it stands in the partition.
    pub offset: i64,
}

/// A broker, as librdkafka's statistics tell of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Broker {
    /// `node.id`; −1 for an address of `kafka.brokers` that has not told its id yet.
    pub id: i32,
    /// Host and port.
    pub address: String,
    /// librdkafka's word: `UP`, `DOWN`, `INIT`, `TRY_CONNECT`, …
    pub state: String,
    /// From a request to its answer, on average over the last two seconds in which there was one, milliseconds.
    pub rtt_ms: Option<f64>,
}

impl Broker {
    /// Takes another handle of the same address in.
    fn join(&mut self, other: Self) {
        self.id = self.id.max(other.id);
        if self.state != "UP" && (other.state == "UP" || self.state == "INIT") {
            (self.state, self.rtt_ms) = (other.state, other.rtt_ms);
        }
    }
}

/// What last went wrong between the service and its brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Which kind, of a closed set: what is to be done hangs on it.
    pub kind: &'static str,
    /// In librdkafka's words; no secret is in it.
    pub reason: String,
}

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Probe {
    published: SyncSender<Published>,
    cluster: Arc<Mutex<Cluster>>,
}

/// What is known of the brokers.
#[derive(Debug, Default)]
struct Cluster {
    /// By address.
    brokers: HashMap<String, Broker>,
    last_error: Option<LastError>,
}

impl Probe {
    /// A probe, and where the acknowledgements come out.
    #[must_use]
    pub fn new() -> (Self, Receiver<Published>) {
        let (published, seen) = sync_channel(WAITING);
        (Self { published, cluster: Arc::default() }, seen)
    }

    /// The brokers, in the order of their ids, and the last error.
    #[must_use]
    pub fn brokers(&self) -> (Vec<Broker>, Option<LastError>) {
        let known = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        let mut brokers: Vec<Broker> = known.brokers.values().cloned().collect();
        brokers.sort_by(|a, b| (a.id, &a.address).cmp(&(b.id, &b.address)));
        (brokers, known.last_error.clone())
    }

    /// Tells of an acknowledgement.
    pub fn published(&self, published: Published) {
        // Nobody misses a position but the console.
        let _ = self.published.try_send(published);
    }

    /// Takes what the statistics say now in place of what they said. A broker without a request keeps its last time.
    ///
    /// After an outage librdkafka keeps two handles of one address, the configured one and the one that it learned from the
    /// cluster, and connects either: they are one broker, which is up when one of them is.
    pub(super) fn set_brokers(&self, found: impl Iterator<Item = Broker>) {
        let mut known = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut known.brokers);
        for broker in found {
            let rtt_ms = broker.rtt_ms.or_else(|| before.get(&broker.address)?.rtt_ms);
            let broker = Broker { rtt_ms, ..broker };
            match known.brokers.entry(broker.address.clone()) {
                Entry::Vacant(place) => drop(place.insert(broker)),
                Entry::Occupied(mut other) => other.get_mut().join(broker),
            }
        }
    }

    pub(super) fn set_last_error(&self, error: LastError) {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner).last_error = Some(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(id: i32, address: &str, rtt_ms: Option<f64>) -> Broker {
        Broker { id, address: address.to_owned(), state: "UP".to_owned(), rtt_ms }
    }

    #[test]
    fn a_broker_that_was_asked_nothing_keeps_its_last_time_and_one_that_is_gone_goes() {
        let (probe, _) = Probe::new();
        probe.set_brokers([broker(2, "b:1", Some(2.0)), broker(1, "a:1", None)].into_iter());
        probe.set_brokers([broker(2, "b:1", None), broker(3, "c:1", Some(0.5))].into_iter());
        assert_eq!(probe.brokers().0, [broker(2, "b:1", Some(2.0)), broker(3, "c:1", Some(0.5))]);
    }

    #[test]
    fn two_handles_of_one_address_are_one_broker_that_is_up_when_either_is() {
        let with_state = |id, state: &str, rtt_ms| Broker { state: state.to_owned(), ..broker(id, "a:1", rtt_ms) };
        let configured = || with_state(-1, "UP", Some(2.0));
        let learned = || with_state(1, "INIT", None);
        for handles in [[configured(), learned()], [learned(), configured()]] {
            let (probe, _) = Probe::new();
            probe.set_brokers(handles.into_iter());
            assert_eq!(probe.brokers().0, [broker(1, "a:1", Some(2.0))]);
        }
        let (probe, _) = Probe::new();
        probe.set_brokers([learned(), with_state(-1, "TRY_CONNECT", None)].into_iter());
        assert_eq!(probe.brokers().0, [with_state(1, "TRY_CONNECT", None)], "idle says less than connecting");
    }

    #[test]
    fn acknowledgements_that_nobody_takes_are_dropped() {
        let (probe, seen) = Probe::new();
        let event_id = EventId::of_quarantined("shop", b"x");
        for offset in 0..5000 {
            probe.published(Published { event_id, at_ms: 1, topic: "t".into(), partition: 0, offset });
        }
        assert_eq!(seen.try_iter().count(), WAITING);
    }
}
