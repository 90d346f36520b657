//! What a lane holds behind its lock: the queue in memory, what is in flight, what waits to be removed.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Instant,
};

use super::{spool, ticket::Ticket};
use crate::event::Record;

/// Records that wait in memory; beyond, they wait in the spool only.
const QUEUE_RECORDS: usize = 8192;
/// Their bytes.
const QUEUE_BYTES: u64 = 8 * 1024 * 1024;
/// Records handed to the producer and not reported yet.
const IN_FLIGHT_RECORDS: usize = 8192;
/// Their bytes.
const IN_FLIGHT_BYTES: u64 = 8 * 1024 * 1024;

/// A record on its way.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) seq: u64,
    /// The account's index in `Settings::accounts`, where it is still configured.
    pub(super) account: Option<usize>,
    pub(super) received_at_ms: i64,
    pub(super) record: Record,
    pub(super) ticket: Option<Arc<Ticket>>,
    /// When it was first handed to a producer: its wait goes on over failures.
    pub(super) first_sent: Option<Instant>,
}

impl Item {
    pub(super) fn bytes(&self) -> u64 {
        spool::size_of(&self.record)
    }
}

/// What a failed report means for the records behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The broker will never take this record.
    Refused(&'static str),
    /// The topic is missing or forbidden: this lane waits, with back-off.
    Topic(&'static str),
    /// The producer is of no use any more.
    Producer(&'static str),
    /// Taken back by our own purge.
    Purged,
}

impl Failure {
    /// The label of `cardhook_publish_errors_total`.
    pub(super) fn reason(self) -> Option<&'static str> {
        match self {
            Self::Refused(reason) | Self::Topic(reason) | Self::Producer(reason) => Some(reason),
            Self::Purged => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) item: Item,
    pub(super) failure: Option<Failure>,
}

/// The part of a lane behind its lock.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each of its own life")]
pub(super) struct LaneState {
    /// Handed over in memory, in order.
    pub(super) queue: VecDeque<Item>,
    queue_bytes: u64,
    /// The spool holds records that are not in `queue`.
    pub(super) gapped: bool,
    /// The highest seq committed to the spool. A higher one is being committed, or is past the spool (`bypassed`).
    pub(super) last_stored: u64,
    /// Handed to the producer, by seq; failed ones stay until all have been reported.
    pub(super) in_flight: BTreeMap<u64, InFlight>,
    pub(super) in_flight_bytes: u64,
    /// Of `in_flight`, not reported yet.
    pub(super) outstanding: usize,
    /// Past a failing spool and not acknowledged: in memory only, wherever they wait.
    pub(super) bypassed: HashSet<u64>,
    /// Acknowledged, to be removed from the spool: (seq, bytes).
    pub(super) acked: Vec<(u64, u64)>,
    /// Tickets of records that were acknowledged sooner than committed.
    pub(super) acked_early: Vec<Arc<Ticket>>,
    /// Tickets of records that are only in the spool or were taken back, of those past the spool, and of duplicates.
    pub(super) joined: HashMap<u64, Vec<Arc<Ticket>>>,
    pub(super) away: bool,
    /// A report failed: nothing is fed until all in flight are reported.
    pub(super) recovering: bool,
    /// The forwarder's producer; reports of older ones are ignored.
    pub(super) generation: u64,
    /// The forwarder sleeps until a record in flight is reported.
    pub(super) wants_room: bool,
    /// The producer works: the next failure starts with the shortest pause again.
    pub(super) acked_since_failure: bool,
    pub(super) stop: Stop,
}

/// How far a lane's stop is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    #[default]
    Running,
    /// Feed what waits in memory, read no more from the spool.
    Draining,
    /// Return.
    Now,
}

impl LaneState {
    /// As at a start: what the spool holds up to `last_stored` is still to be read.
    pub(super) fn after(last_stored: u64) -> Self {
        Self { last_stored, gapped: last_stored > 0, ..Self::default() }
    }

    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.queue.len() < QUEUE_RECORDS && self.queue_bytes + bytes <= QUEUE_BYTES
    }

    /// The queue takes what one commit holds at most, and nothing stands between it and the forwarder.
    pub(super) fn keeps_up(&self) -> bool {
        !self.away && !self.gapped && self.queue.len() < QUEUE_RECORDS / 2 && self.queue_bytes < QUEUE_BYTES / 2
    }

    /// Neither committed yet nor past the spool.
    pub(super) fn is_committing(&self, seq: u64) -> bool {
        seq > self.last_stored && !self.bypassed.contains(&seq)
    }

    pub(super) fn push(&mut self, item: Item) {
        self.queue_bytes += item.bytes();
        self.queue.push_back(item);
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = self.queue.pop_front()?;
        self.queue_bytes -= item.bytes();
        Some(item)
    }

    pub(super) fn can_fly(&self) -> bool {
        self.in_flight.len() < IN_FLIGHT_RECORDS && self.in_flight_bytes < IN_FLIGHT_BYTES
    }

    /// Notes a record as handed to the producer.
    pub(super) fn fly(&mut self, mut item: Item) {
        item.first_sent.get_or_insert_with(Instant::now);
        self.in_flight_bytes += item.bytes();
        self.outstanding += 1;
        self.in_flight.insert(item.seq, InFlight { item, failure: None });
    }

    /// Takes a record back that the producer did not take.
    pub(super) fn land(&mut self, seq: u64) -> Option<Item> {
        let flown = self.in_flight.remove(&seq)?;
        self.outstanding -= 1;
        self.in_flight_bytes -= flown.item.bytes();
        Some(self.keep_ticket(flown).item)
    }

    /// Notes a failed report; the record stays until all in flight are reported.
    pub(super) fn give_up(&mut self, seq: u64, failure: Failure) {
        let Some(flown) = self.in_flight.get_mut(&seq) else { return };
        if flown.failure.replace(failure).is_none() {
            self.outstanding -= 1;
        }
        self.recovering = true;
    }

    /// Takes everything back after the last report, in order.
    pub(super) fn land_all(&mut self) -> Vec<InFlight> {
        self.in_flight_bytes = 0;
        self.outstanding = 0;
        std::mem::take(&mut self.in_flight).into_values().map(|flown| self.keep_ticket(flown)).collect()
    }

    /// Takes the tickets of all that waits for an ack, but not of what is being committed: that commit settles those.
    pub(super) fn take_tickets(&mut self) -> Vec<Arc<Ticket>> {
        let Self { queue, in_flight, joined, bypassed, last_stored, .. } = self;
        let decided = |seq: u64| seq <= *last_stored || bypassed.contains(&seq);
        let items = queue.iter_mut().chain(in_flight.values_mut().map(|flown| &mut flown.item));
        let mut tickets: Vec<_> =
            items.filter(|item| decided(item.seq)).filter_map(|item| item.ticket.take()).collect();
        joined.retain(|seq, waiting| {
            let decided = decided(*seq);
            if decided {
                tickets.append(waiting);
            }
            !decided
        });
        tickets
    }

    /// The forwarder alone sees what it takes back: the ticket stays here, where an ack or a silence settles it.
    fn keep_ticket(&mut self, mut flown: InFlight) -> InFlight {
        if let Some(ticket) = flown.item.ticket.take() {
            self.joined.entry(flown.item.seq).or_default().push(ticket);
        }
        flown
    }

    /// The spool's records up to `cursor` are taken: the next ones come from memory, unless some were stored meanwhile.
    pub(super) fn close_gap(&mut self, cursor: u64) {
        self.gapped = self.last_stored > cursor;
    }

    /// When the oldest record in flight was first sent.
    pub(super) fn oldest_sent(&self) -> Option<Instant> {
        self.in_flight.values().next().and_then(|flown| flown.item.first_sent)
    }
}
