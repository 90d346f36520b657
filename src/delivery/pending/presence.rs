//! Whether Kafka answers: away or not, from what the brokers and the acks say.
//!
//! Does not depend on I/O, clocks, SQLite or Kafka.

use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Nothing was acknowledged for too long with records in flight, or all brokers were reported down; until the next ack.
    silent: bool,
    broker_up: bool,
    last_ack: Option<Instant>,
}

impl Presence {
    /// Kafka is away. It is so from the start until a broker is connected.
    pub(super) fn is_away(&self) -> bool {
        self.silent || self.last_ack.is_none() && !self.broker_up
    }

    /// Kafka was reported away, or found so: not only not reached yet.
    pub(super) fn is_silent(&self) -> bool {
        self.silent
    }

    /// Whether a broker was reported connected by the last that was heard.
    pub(super) fn is_connected(&self) -> bool {
        self.broker_up
    }

    /// A broker is connected, or none is at the moment: that says nothing of the next acks.
    pub(super) fn connected(&mut self, up: bool) {
        self.broker_up = up;
    }

    /// The client reports a broker up, or all of them down.
    pub(super) fn broker_up(&mut self, up: bool) {
        self.broker_up = up;
        self.silent |= !up;
    }

    /// When Kafka counts as away, unless an ack comes before: `timeout` after the oldest record in flight was sent, `since`, or
    /// after the last ack. So a partition without a leader does not make Kafka away while others are acknowledged.
    pub(super) fn silent_at(&self, since: Instant, timeout: Duration) -> Option<Instant> {
        if self.silent {
            return None;
        }
        Some(self.last_ack.map_or(since, |ack| ack.max(since)) + timeout)
    }

    pub(super) fn silent(&mut self) {
        self.silent = true;
    }

    pub(super) fn acked(&mut self, now: Instant) {
        *self = Self { silent: false, broker_up: true, last_ack: Some(now) };
    }
}
