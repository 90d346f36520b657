//! What is handed in and what is answered: lanes, settings, submissions, answers.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{
    probe::Probe,
    store::{Id, NO_EVENT_TIME},
};
use crate::{
    event::{Encoding, EventId, Record},
    telemetry::traces::Traces,
};

/// Which topic a record is for. The discriminants stand in the spool: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Lane {
    /// `kafka.topic`
    Events = 0,
    /// `kafka.dlq_topic`
    Dlq = 1,
    /// `kafka.other_topic`
    Other = 2,
    /// No topic: refused by the broker on the DLQ topic too, kept in the spool.
    Parked = 3,
}

impl Lane {
    /// Every lane, in the order of the discriminants.
    pub const ALL: [Self; 4] = [Self::Events, Self::Dlq, Self::Other, Self::Parked];
    /// Those that have a topic.
    pub const FORWARDED: [Self; 3] = [Self::Events, Self::Dlq, Self::Other];
}

/// What an answer waits for (contract §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerAfter {
    /// The broker's ack; the fsynced record after `ack_timeout`.
    Kafka,
    /// The fsynced record.
    Disk,
    /// Only the broker's ack.
    KafkaOnly,
}

/// How to build a [`Delivery`](super::Delivery). Debug leaves the properties out: passwords are among them.
#[derive(Clone)]
pub struct Settings {
    /// The spool's folder.
    pub path: PathBuf,
    /// Bound of the bytes of pending records.
    pub max_bytes: u64,
    /// What an answer waits for.
    pub answer_after: AnswerAfter,
    /// See contract §3.1.
    pub ack_timeout: Duration,
    /// How long ids are remembered.
    pub dedup_window: Duration,
    /// Bound of the remembered ids, bytes.
    pub dedup_max_bytes: u64,
    /// Account names with their mode (`secure`, …), by their index in [`Submission::account`].
    pub accounts: Vec<(String, &'static str)>,
    /// librdkafka properties, `bootstrap.servers` included; `None`: the spool is the store.
    pub producer: Option<Vec<(String, String)>>,
    /// Topic of each lane: events, dlq, other.
    pub topics: [Arc<str>; 3],
    /// How each lane's values are written; dead letters are always as they came.
    pub encodings: [Encoding; 3],
    /// Makes a span of each record's storing and publishing, where traces are sent.
    pub traces: Traces,
    /// Shows the console records and brokers; `None`: there is no console.
    pub probe: Option<Probe>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("path", &self.path).field("topics", &self.topics).finish_non_exhaustive()
    }
}

/// One record to deliver.
#[derive(Debug)]
pub struct Submission {
    /// Where it goes.
    pub lane: Lane,
    /// Index into [`Settings::accounts`].
    pub account: usize,
    /// Remembered per account.
    pub event_id: EventId,
    /// `CreateTime`, Unix seconds; 0 for a quarantined push.
    pub event_time: i64,
    /// Receipt, Unix milliseconds.
    pub received_at_ms: i64,
    /// What goes to Kafka.
    pub record: Record,
    /// For a push that nothing but a signature of timestamp and nonce verified.
    pub binding: Option<Binding>,
}

impl Submission {
    /// What it is remembered by.
    pub(super) fn id(&self) -> Id {
        Id { account: self.account, event_time: self.event_time, event_id: self.event_id }
    }

    /// A record that was on its way already, handed in once more.
    pub(super) fn again(lane: Lane, sending: &Sending) -> Self {
        let Sending { record, account, received_at_ms, id, .. } = sending;
        let none = Id { account: 0, event_time: NO_EVENT_TIME, event_id: EventId::from_bytes([0; 16]) };
        let Id { event_time, event_id, .. } = id.unwrap_or(none);
        let (account, received_at_ms, record) = (account.unwrap_or_default(), *received_at_ms, record.clone());
        Self { lane, account, event_id, event_time, received_at_ms, record, binding: None }
    }
}

/// A record on its way, once it has its place in the order.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) record: Record,
    /// Index into [`Settings::accounts`], where the account is still configured.
    pub(super) account: Option<usize>,
    /// Receipt, Unix milliseconds.
    pub(super) received_at_ms: i64,
    /// Not known of what a release before spool layout 5 stored.
    pub(super) id: Option<Id>,
    /// The signature that it is bound to.
    pub(super) signature: Option<[u8; 20]>,
}

/// A signature that may come with one event only (contract §3.1, `nonce_reused`).
pub struct Binding {
    /// Bound to the submission's id for `dedup_window`.
    pub signature: [u8; 20],
    /// Makes what is delivered in place of the submission when another event has the signature; `None`: the submission as
    /// it is.
    pub instead: Option<Box<dyn FnOnce() -> Submission + Send>>,
}

impl std::fmt::Debug for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Binding")
    }
}

/// Why a submission's answer may be `success`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Safe {
    /// The broker acknowledged it; else it is in the fsynced spool.
    pub by_kafka: bool,
    /// It was known already.
    pub duplicate: bool,
    /// Its signature came with another event: what is safe is its quarantine.
    pub nonce_reused: bool,
}

/// Not safe: answer 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Overloaded {
    /// Spool full or failing, and Kafka not answering.
    #[error("no durable place left")]
    NoDurablePlace,
    /// Neither safe nor failed at the deadline.
    #[error("neither safe nor failed in time")]
    Late,
}

/// What `/readyz` asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// The spool takes appends: neither failing nor at `spool.max_bytes`.
    pub spool: bool,
    /// Kafka acknowledges, or (nothing being in flight) a broker is reported up. `None` without brokers.
    pub kafka: Option<bool>,
    /// There is somewhere durable to put an event, by `answer_after`.
    pub durable: bool,
}
