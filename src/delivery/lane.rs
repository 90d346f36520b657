//! One topic's lane: what waits, what is in flight, whom an ack wakes; shared by writer, forwarder and delivery callbacks.
//!
//! All state stands behind one lock, held for microseconds. Order within a lane is the order of `seq`: a record read from
//! the spool, one handed over in memory, and one that bypassed a failing spool differ only in where they waited.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    AnswerAfter, Lane, spool,
    ticket::{State, Ticket},
};
use crate::{clock, event::Record, metrics::Metrics};

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
    /// In the spool; else it bypassed a failing one.
    pub(super) stored: bool,
    pub(super) ticket: Option<Arc<Ticket>>,
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
    pub(super) sent_at: Instant,
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
    /// The highest seq committed to the spool.
    pub(super) last_stored: u64,
    /// Handed to the producer, by seq; failed ones stay until all have been reported.
    pub(super) in_flight: BTreeMap<u64, InFlight>,
    pub(super) in_flight_bytes: u64,
    /// Of `in_flight`, not reported yet.
    pub(super) outstanding: usize,
    /// Acknowledged, to be removed from the spool: (seq, bytes).
    acked: Vec<(u64, u64)>,
    /// Tickets of records that are only in the spool, and of duplicates.
    joined: HashMap<u64, Vec<Arc<Ticket>>>,
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

/// A lane, shared.
pub(super) struct Shared {
    pub(super) lane: Lane,
    pub(super) topic: Arc<str>,
    pub(super) answer_after: AnswerAfter,
    pub(super) metrics: Metrics,
    published: prometheus_client::metrics::counter::Counter,
    state: Mutex<LaneState>,
    pub(super) work: Condvar,
    /// Tells the writer that something is to be removed; called when `acked` was empty.
    nudge: Box<dyn Fn() + Send + Sync>,
    /// A broker is reported up by the client's statistics.
    pub(super) broker_up: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(
        lane: Lane,
        topic: Arc<str>,
        answer_after: AnswerAfter,
        metrics: Metrics,
        last_stored: u64,
        nudge: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        let published =
            metrics.published.get_or_create(&crate::metrics::TopicLabels { topic: Arc::clone(&topic) }).clone();
        let state = LaneState { last_stored, gapped: last_stored > 0, ..LaneState::default() };
        let (state, work) = (Mutex::new(state), Condvar::new());
        Self { lane, topic, answer_after, metrics, published, state, work, nudge, broker_up: AtomicBool::new(false) }
    }

    /// A thread that panicked while it held the lock left whole values behind: each change is one statement.
    pub(super) fn lock(&self) -> MutexGuard<'_, LaneState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, LaneState>, limit: Duration) -> MutexGuard<'a, LaneState> {
        self.work.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Committed records, in order: into memory while the forwarder keeps up, else they wait in the spool.
    pub(super) fn hand_over(&self, items: impl Iterator<Item = Item>) {
        let mut state = self.lock();
        for mut item in items {
            state.last_stored = item.seq;
            item.ticket = item.ticket.take().and_then(|ticket| self.waits(&state, ticket, true));
            if state.gapped || !state.has_room(item.bytes()) {
                state.gapped = true;
                if let Some(ticket) = item.ticket.take() {
                    state.joined.entry(item.seq).or_default().push(ticket);
                }
            } else {
                state.push(item);
            }
        }
        drop(state);
        self.work.notify_one();
    }

    /// A record that could not be stored: behind everything queued, in memory. `false` (and refused) while Kafka is away
    /// or memory is full.
    pub(super) fn bypass(&self, mut item: Item) -> bool {
        let mut state = self.lock();
        if state.away || !state.has_room(item.bytes()) {
            drop(state);
            if let Some(ticket) = item.ticket.take() {
                ticket.settle(State::Refused);
            }
            return false;
        }
        item.stored = false;
        state.push(item);
        drop(state);
        self.work.notify_one();
        true
    }

    /// A duplicate's ticket joins the wait of the first copy, which is pending under `seq`.
    pub(super) fn join(&self, seq: u64, stored: bool, ticket: Arc<Ticket>) {
        let mut state = self.lock();
        if state.acked.iter().any(|(acked, _)| *acked == seq) {
            return ticket.settle(State::SafeInKafka);
        }
        if !stored && !state.in_flight.contains_key(&seq) && !state.queue.iter().any(|item| item.seq == seq) {
            return ticket.settle(State::SafeInKafka);
        }
        if let Some(ticket) = self.waits(&state, ticket, stored) {
            state.joined.entry(seq).or_default().push(ticket);
        }
    }

    /// Settles what need not wait for an ack, or must not while Kafka is away; gives the ticket back when it waits.
    fn waits(&self, state: &LaneState, ticket: Arc<Ticket>, stored: bool) -> Option<Arc<Ticket>> {
        let settled = match self.answer_after {
            AnswerAfter::Disk if stored => Some(State::SafeOnDisk),
            AnswerAfter::Kafka if stored && state.away => Some(State::SafeOnDisk),
            AnswerAfter::Kafka | AnswerAfter::Disk | AnswerAfter::KafkaOnly if state.away => Some(State::Refused),
            AnswerAfter::Kafka | AnswerAfter::Disk | AnswerAfter::KafkaOnly => None,
        };
        if let Some(settled) = settled {
            ticket.settle(settled);
            return None;
        }
        if stored && self.answer_after == AnswerAfter::Kafka {
            ticket.settle(State::Stored);
        }
        Some(ticket)
    }

    /// The broker has it.
    pub(super) fn acked(&self, generation: u64, seq: u64) {
        let mut state = self.lock();
        if state.generation != generation {
            return;
        }
        let Some(flown) = state.in_flight.remove(&seq) else { return };
        state.outstanding -= 1;
        state.in_flight_bytes -= flown.item.bytes();
        let first = flown.item.stored && state.acked.is_empty();
        if flown.item.stored {
            state.acked.push((seq, flown.item.bytes()));
        }
        let joined = if state.joined.is_empty() { None } else { state.joined.remove(&seq) };
        let back = std::mem::replace(&mut state.away, false);
        state.acked_since_failure = true;
        let last = state.outstanding == 0;
        let wake = state.wants_room || last && (state.recovering || state.stop != Stop::Running);
        drop(state);

        for ticket in flown.item.ticket.iter().chain(joined.iter().flatten()) {
            ticket.settle(State::SafeInKafka);
        }
        if first {
            (self.nudge)();
        }
        if wake {
            self.work.notify_one();
        }
        if back {
            self.report_up(true);
        }
        self.measure(&flown);
    }

    fn measure(&self, flown: &InFlight) {
        self.published.inc();
        self.metrics.publish_seconds.observe(flown.sent_at.elapsed().as_secs_f64());
        if self.lane == Lane::Events {
            let age = clock::unix_millis() - flown.item.record.timestamp_ms;
            // Milliseconds of an age fit in 52 bits.
            #[expect(clippy::cast_precision_loss, reason = "an age in milliseconds fits in 52 bits")]
            self.metrics.event_age_seconds.observe((age.max(0) as f64) / 1000.0);
        }
    }

    /// The broker or the client gave it back.
    pub(super) fn failed(&self, generation: u64, seq: u64, failure: Failure) {
        let mut state = self.lock();
        if state.generation != generation {
            return;
        }
        state.give_up(seq, failure);
        drop(state);
        self.work.notify_one();
        self.count(failure);
    }

    /// Counts a failure that is not our own purge.
    pub(super) fn count(&self, failure: Failure) {
        if let Some(reason) = failure.reason() {
            self.metrics.publish_errors.get_or_create(&crate::metrics::ReasonLabels { reason }).inc();
        }
    }

    /// From now until the next ack no answer waits.
    pub(super) fn set_away(&self, why: &str) {
        let mut state = self.lock();
        if std::mem::replace(&mut state.away, true) {
            return;
        }
        let LaneState { queue, in_flight, joined, .. } = &mut *state;
        let waiting = queue.iter_mut().chain(in_flight.values_mut().map(|flown| &mut flown.item));
        for item in waiting {
            if let Some(ticket) = item.ticket.take() {
                settle_without_ack(&ticket);
            }
        }
        for ticket in joined.drain().flat_map(|(_, tickets)| tickets) {
            settle_without_ack(&ticket);
        }
        drop(state);
        tracing::warn!(topic = %self.topic, why, "Kafka counts as away; answers no longer wait for it");
        self.report_up(false);
    }

    fn report_up(&self, up: bool) {
        if self.lane == Lane::Events {
            self.metrics.kafka_up.set(i64::from(up));
        }
        if up {
            tracing::info!(topic = %self.topic, "Kafka acknowledges again");
        }
    }

    /// What is to be removed from the spool.
    pub(super) fn take_acked(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.lock().acked)
    }

    /// Puts removals back that could not be committed.
    pub(super) fn restore_acked(&self, acked: Vec<(u64, u64)>) {
        self.lock().acked.extend(acked);
    }

    /// Whether Kafka can be counted on for the next record: it acknowledges, or nothing is in flight and a broker is up.
    pub(super) fn is_up(&self) -> bool {
        let state = self.lock();
        !state.away || state.in_flight.is_empty() && self.broker_up.load(Ordering::Relaxed)
    }

    pub(super) fn set_stop(&self, stop: Stop) {
        self.lock().stop = stop;
        self.work.notify_all();
    }
}

fn settle_without_ack(ticket: &Ticket) {
    let stored = ticket.state() == State::Stored;
    ticket.settle(if stored { State::SafeOnDisk } else { State::Refused });
}

impl LaneState {
    fn has_room(&self, bytes: u64) -> bool {
        self.queue.len() < QUEUE_RECORDS && self.queue_bytes + bytes <= QUEUE_BYTES
    }

    fn push(&mut self, item: Item) {
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
    pub(super) fn fly(&mut self, item: Item) {
        self.in_flight_bytes += item.bytes();
        self.outstanding += 1;
        self.in_flight.insert(item.seq, InFlight { item, sent_at: Instant::now(), failure: None });
    }

    /// Takes a record back that the producer did not take.
    pub(super) fn land(&mut self, seq: u64) -> Option<Item> {
        let flown = self.in_flight.remove(&seq)?;
        self.outstanding -= 1;
        self.in_flight_bytes -= flown.item.bytes();
        Some(flown.item)
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
        std::mem::take(&mut self.in_flight).into_values().collect()
    }

    /// The spool's records up to `cursor` are taken: the next ones come from memory, unless some were stored meanwhile.
    pub(super) fn close_gap(&mut self, cursor: u64) {
        self.gapped = self.last_stored > cursor;
    }

    /// When the oldest record in flight was sent.
    pub(super) fn oldest_sent(&self) -> Option<Instant> {
        self.in_flight.values().map(|flown| flown.sent_at).next()
    }
}
