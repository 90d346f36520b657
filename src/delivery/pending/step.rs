//! What goes into a lane and what it asks for: new records, its rules, the next step, refused records.
//!
//! Does not depend on I/O, clocks, SQLite or Kafka.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::{record::Seq, resend::Route};
use crate::delivery::AnswerAfter;

/// A number of records and of their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) struct Amount {
    /// Records.
    pub(in crate::delivery) records: usize,
    /// Bytes of their keys, headers and values.
    pub(in crate::delivery) bytes: u64,
}

impl Amount {
    pub(super) const ZERO: Self = Self { records: 0, bytes: 0 };

    pub(super) fn add(&mut self, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
    }

    pub(super) fn remove(&mut self, bytes: u64) {
        self.records -= 1;
        self.bytes -= bytes;
    }

    pub(in crate::delivery) fn is_below(self, limit: Self) -> bool {
        self.records < limit.records && self.bytes < limit.bytes
    }
}

/// What does not change in a lane's life.
#[derive(Debug, Clone, Copy)]
pub(in crate::delivery) struct Rules {
    /// What an answer waits for.
    pub(in crate::delivery) policy: AnswerAfter,
    /// After this long without an ack an answer is late, and Kafka is away.
    pub(in crate::delivery) ack_timeout: Duration,
    /// A record that is not acknowledged this long after its receipt is stored.
    pub(in crate::delivery) store_after: Duration,
    /// What memory holds of the lane before records are left on disk.
    pub(in crate::delivery) memory: Amount,
    /// What the producer has at most.
    pub(in crate::delivery) in_flight: Amount,
}

/// Who waits for a record's answer, each with the time since when. Nearly always one: it needs no memory of its own.
pub(in crate::delivery) type Waiting<A> = SmallVec<[(A, Instant); 1]>;

/// A new record.
#[derive(Debug)]
pub(in crate::delivery) struct New<P, A> {
    pub(in crate::delivery) seq: Seq,
    /// Records of the same key stay in order; those without a key have none.
    pub(in crate::delivery) key: Option<u64>,
    pub(in crate::delivery) bytes: u64,
    pub(in crate::delivery) payload: P,
    pub(in crate::delivery) waiting: Waiting<A>,
    pub(in crate::delivery) arrival: Arrival,
}

/// How a record comes into its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Arrival {
    /// It is known to be new.
    New,
    /// The store was asked whether it is new, and takes it if so: it and its key wait for
    /// `decided_new` or `take_duplicate`.
    Undecided,
    /// It is the DLQ record of a refused one, which the disk may still hold: never given up. `writing`: the store was asked to
    /// put it in that one's place.
    Moved { writing: bool },
}

/// What the lane wants of its owner next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Step {
    /// Make a producer for this route, and say `connected`.
    Connect(Route),
    /// Hand this record to the route's producer. It counts as sent: say `not_taken` when it was not taken.
    Send(Route, Seq),
    /// Take back what has not left the route's producer yet. Each record is reported.
    Purge(Route),
    /// Read the records with `after < seq <= upto` from the store, and say `loaded`.
    Read { after: Seq, upto: Seq },
    /// Nothing until something is reported, or until then.
    Idle(Option<Instant>),
}

/// A record that the broker will never take, taken out of its lane.
#[derive(Debug)]
pub(in crate::delivery) struct Refused<P, A> {
    pub(in crate::delivery) seq: Seq,
    pub(in crate::delivery) bytes: u64,
    pub(in crate::delivery) payload: P,
    pub(in crate::delivery) reason: &'static str,
    /// The store has it, or may have it soon: it is to be removed when its DLQ record is stored.
    pub(in crate::delivery) on_disk: bool,
    /// They go with it to its DLQ record, each with the time since when it waits.
    pub(in crate::delivery) waiting: Waiting<A>,
}
