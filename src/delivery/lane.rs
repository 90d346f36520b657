//! One topic's lane: what waits, what is in flight, whom an ack wakes; shared by writer, forwarder and delivery callbacks.
//!
//! All state stands behind one lock, held for microseconds. Order within a lane is the order of `seq`: a record read from
//! the spool, one handed over in memory, and one that bypassed a failing spool differ only in where they waited.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    AnswerAfter, Lane,
    state::{Failure, InFlight, Item, LaneState, Stop},
    ticket::{State, Ticket},
};
use crate::{clock, metrics::Metrics};

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
        let state = LaneState::after(last_stored);
        let (state, work) = (Mutex::new(state), Condvar::new());
        Self { lane, topic, answer_after, metrics, published, state, work, nudge, broker_up: AtomicBool::new(false) }
    }

    /// The lock is never found poisoned: a delivery thread that panics ends the process.
    pub(super) fn lock(&self) -> MutexGuard<'_, LaneState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, LaneState>, limit: Duration) -> MutexGuard<'a, LaneState> {
        self.work.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Committed records, in order: into memory while the forwarder keeps up, else they wait in the spool.
    pub(super) fn hand_over(&self, mut items: Vec<Item>) {
        let on_disk: Vec<_> = match self.answer_after {
            AnswerAfter::Disk => items.iter_mut().filter_map(|item| item.ticket.take()).collect(),
            AnswerAfter::Kafka | AnswerAfter::KafkaOnly => Vec::new(),
        };
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
        // Not under the lock, which others want; and not before it: a stop sends what was answered, and looks for it here.
        for ticket in on_disk {
            ticket.settle(State::SafeOnDisk);
        }
    }

    /// A record that could not be stored: behind everything queued, in memory. `false` (and refused) while Kafka is away
    /// or memory is full. When nothing waits and a broker is up, it is the record whose ack says that Kafka is back.
    pub(super) fn bypass(&self, mut item: Item) -> bool {
        let mut state = self.lock();
        if state.away && !self.may_try(&state) || !state.has_room(item.bytes()) {
            drop(state);
            if let Some(ticket) = item.ticket.take() {
                ticket.settle(State::Refused);
            }
            return false;
        }
        state.bypassed.insert(item.seq);
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
        if !stored && !state.bypassed.contains(&seq) {
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
        let Some(mut flown) = state.in_flight.remove(&seq) else { return };
        state.outstanding -= 1;
        state.in_flight_bytes -= flown.item.bytes();
        let committing = state.is_committing(seq);
        let stored = state.bypassed.is_empty() || !state.bypassed.remove(&seq);
        let first = stored && state.acked.is_empty();
        if stored {
            state.acked.push((seq, flown.item.bytes()));
        }
        let joined = if state.joined.is_empty() { None } else { state.joined.remove(&seq) };
        let tickets = flown.item.ticket.take().into_iter().chain(joined.into_iter().flatten());
        let back = std::mem::replace(&mut state.away, false);
        state.acked_since_failure = true;
        let last = state.outstanding == 0;
        let waiting = state.recovering || state.stop != Stop::Running || state.gapped || !state.queue.is_empty();
        let wake = state.wants_room || last && waiting;
        if committing {
            // Answered once its id is remembered for good.
            state.acked_early.extend(tickets);
            drop(state);
        } else {
            drop(state);
            tickets.for_each(|ticket| ticket.settle(State::SafeInKafka));
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
        self.metrics.publish_seconds.observe(flown.item.first_sent.map_or(0.0, |sent| sent.elapsed().as_secs_f64()));
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
        state.take_tickets().iter().for_each(|ticket| ticket.settle_without_ack());
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
        !state.away || self.may_try(&state)
    }

    fn may_try(&self, state: &LaneState) -> bool {
        state.in_flight.is_empty() && state.queue.is_empty() && self.broker_up.load(Ordering::Relaxed)
    }

    /// A record that was refused for good leaves the lane; those who wait for it go where it goes.
    pub(super) fn give_away(&self, item: &mut Item) -> Vec<Arc<Ticket>> {
        let mut state = self.lock();
        state.bypassed.remove(&item.seq);
        let joined = state.joined.remove(&item.seq).unwrap_or_default();
        item.ticket.take().into_iter().chain(joined).collect()
    }

    pub(super) fn set_stop(&self, stop: Stop) {
        self.lock().stop = stop;
        self.work.notify_all();
    }
}
