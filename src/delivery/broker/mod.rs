//! The broker: where records go. librdkafka in the service, a double in the delivery's tests.
//!
//! Does not depend on answers and on the store.

mod complaint;
mod errors;
mod kafka;
mod links;
mod pacing;
mod properties;
mod statistics;

use std::{sync::Arc, time::Duration};

use rdkafka::error::KafkaError;

pub use complaint::{ADVERTISED_CURE, Complaint, Complaints, unreachable_address};
pub use errors::{MISSING, NO_WRITE, NO_WRITE_ON_IT, refusal, why_unpublished};
pub(super) use errors::{REASONS, detail, label, words};
pub(super) use kafka::Kafka;
pub use kafka::kafka_headers;
pub(super) use links::Links;
pub use properties::producer as producer_properties;

use super::{
    Lane,
    pending::{Failure, Route, Seq},
};
use crate::event::Record;

/// Why a record was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// No room now: try again soon.
    QueueFull,
    /// As a failed report would say.
    Failed(Failure),
}

/// A connection to one topic. Every record that was taken is reported once, as [`Report::Acked`] or [`Report::Failed`].
pub(super) trait Producer: Send {
    /// Takes a record, or says why not. Never blocks.
    fn send(&self, seq: Seq, record: &Record) -> Result<(), NotTaken>;
    /// Gives back what has not left yet, reported as [`Failure::Purged`].
    fn purge(&self);
}

/// Makes producers: one at the start, a new one after a failure.
pub(super) trait Connect: Send + Sync {
    /// A producer that reports as `to`.
    fn connect(&self, to: Link, reports: Reports) -> Result<Box<dyn Producer>, KafkaError>;
    /// How long a producer keeps a record for others to share its request.
    fn linger(&self) -> Duration;
}

/// Which producer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) lane: Lane,
    pub(super) route: Route,
    /// Counts the producers of a lane's route: what an old one reports is not for the new one.
    pub(super) generation: u64,
}

/// Where a record stands in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// The proof that all in-sync replicas have a record. Nothing but a producer's report makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Acked {
    seq: Seq,
    position: Position,
}

impl Acked {
    /// The record's place in its lane.
    pub(super) fn seq(self) -> Seq {
        self.seq
    }

    /// Where it stands in its topic.
    pub(super) fn position(self) -> Position {
        self.position
    }

    /// For the tests of what follows from it, which have no broker.
    #[cfg(test)]
    pub(super) fn in_a_test(seq: Seq) -> Self {
        Self { seq, position: Position { partition: 0, offset: 0 } }
    }
}

/// What producers report.
#[derive(Debug)]
pub(super) enum Report {
    /// All in-sync replicas have the record, there.
    Acked(Link, Acked),
    /// It failed, or was given back.
    Failed(Link, Seq, Failure),
    /// A broker is connected, or none is at the moment.
    Connected(Link, bool),
    /// All brokers are down, and this is why.
    AllDown(Link, String),
    /// Why no broker answers, when that is learnt or changes.
    Reason(Link, String),
    /// Something failed that is no record's failure: a label of `cardhook_publish_errors_total`.
    Complaint(&'static str),
}

/// Where reports go.
pub(super) type Reports = Arc<dyn Fn(Report) + Send + Sync>;
