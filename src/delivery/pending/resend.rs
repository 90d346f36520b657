//! The order in which a lane's records leave, over failures: what is queued, in flight, or suspected of being refused.
//!
//! Kafka refuses a whole batch for one bad record in it, and the producer ends with that, or the records behind would overtake.
//! So what was in a refused batch is *suspect*, and goes over a route of its own: a producer whose batches hold one record, so
//! that a refusal is surely the record's own, and ends nothing. What has a suspect's key waits behind it; all else goes on.
//! Does not depend on I/O, clocks, SQLite or Kafka.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::{Duration, Instant},
};

use super::{queue::Queue, record::Seq, step::Step};

/// First and last pause after failures in a row.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Pause when the producer's queue is full, and between purges.
const SHORT: Duration = Duration::from_millis(20);
/// Suspects in flight at most, one of a key.
const SUSPECTS_IN_FLIGHT: usize = 64;

/// Which producer a record goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Route {
    /// In batches.
    Batch,
    /// Each record is a batch of its own.
    Alone,
}

/// What a failed report means for the records behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Failure {
    /// The broker will never take the record, or one of its batch.
    Refused(&'static str),
    /// The topic is missing or forbidden: the lane waits and tries again.
    Topic(&'static str),
    /// The producer is of no use any more.
    Producer(&'static str),
    /// Taken back by a purge.
    Purged,
}

impl Failure {
    /// The label of `cardhook_publish_errors_total`.
    pub(in crate::delivery) fn reason(self) -> Option<&'static str> {
        match self {
            Self::Refused(reason) | Self::Topic(reason) | Self::Producer(reason) => Some(reason),
            Self::Purged => None,
        }
    }
}

/// What became of a record whose producer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Taken {
    /// Queued again.
    Back,
    /// Refused for good, and this is the reason.
    Refused(&'static str),
}

#[derive(Debug, Default)]
struct Producer {
    connected: bool,
    in_flight: BTreeSet<Seq>,
    /// Given back; they wait until all that is in flight has been reported, so that the order holds.
    failed: BTreeMap<Seq, Failure>,
    failures: u32,
    paused_until: Option<Instant>,
    purged_at: Option<Instant>,
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::delivery) struct Resend {
    pub(super) queue: Queue,
    /// Queued for the route of single records, with their keys.
    suspects: BTreeMap<Seq, Option<u64>>,
    batch: Producer,
    alone: Producer,
    alone_keys: HashSet<u64>,
    bytes_in_flight: u64,
}

impl Resend {
    /// Nothing up to `seq` is queued, and no producer has anything.
    pub(super) fn is_idle(&self, seq: Seq) -> bool {
        self.queue.first().is_none_or(|first| first > seq)
            && self.suspects.is_empty()
            && self.oldest_in_flight().is_none()
    }

    /// Records and bytes that a producer has.
    pub(super) fn in_flight(&self) -> (usize, u64) {
        (self.batch.in_flight.len() + self.alone.in_flight.len(), self.bytes_in_flight)
    }

    pub(super) fn oldest_in_flight(&self) -> Option<Seq> {
        let failed = [&self.batch, &self.alone].into_iter().filter_map(|producer| producer.failed.keys().next());
        let in_flight = [&self.batch, &self.alone].into_iter().filter_map(|producer| producer.in_flight.first());
        failed.chain(in_flight).min().copied()
    }

    /// What to do next. `may_leave` says whether a record stands before all that is on disk only.
    pub(super) fn next(&mut self, now: Instant, sendable: bool, may_leave: impl Fn(Seq) -> bool) -> Step {
        let suspect = self.next_suspect();
        let alone = self.alone.next(Route::Alone, now, suspect);
        if !matches!(alone, Step::Idle(_)) {
            return alone;
        }
        let first = self.queue.first().filter(|seq| sendable && may_leave(*seq));
        match (self.batch.next(Route::Batch, now, first), alone) {
            (Step::Idle(batch), Step::Idle(alone)) => Step::Idle([batch, alone].into_iter().flatten().min()),
            (step, _) => step,
        }
    }

    fn next_suspect(&self) -> Option<Seq> {
        if self.alone.in_flight.len() >= SUSPECTS_IN_FLIGHT {
            return None;
        }
        let free = |key: Option<u64>| key.is_none_or(|key| !self.alone_keys.contains(&key));
        self.suspects.iter().find(|(_, key)| free(**key)).map(|(seq, _)| *seq)
    }

    /// A record counts as handed to the producer of its route.
    pub(super) fn sent(&mut self, seq: Seq, bytes: u64) {
        self.bytes_in_flight += bytes;
        if self.queue.take(seq) {
            self.batch.in_flight.insert(seq);
        } else if let Some(key) = self.suspects.remove(&seq) {
            self.alone.in_flight.insert(seq);
            self.alone_keys.extend(key);
        }
    }

    pub(super) fn connected(&mut self, route: Route) {
        self.producer(route).connected = true;
    }

    pub(super) fn pause(&mut self, route: Route, now: Instant) {
        self.producer(route).pause(now);
    }

    fn producer(&mut self, route: Route) -> &mut Producer {
        match route {
            Route::Batch => &mut self.batch,
            Route::Alone => &mut self.alone,
        }
    }

    pub(super) fn not_taken(&mut self, seq: Seq, key: Option<u64>, bytes: u64, now: Instant) {
        self.bytes_in_flight -= bytes;
        if self.batch.in_flight.remove(&seq) {
            self.batch.paused_until = Some(now + SHORT);
            self.queue.add(seq, key);
        } else if self.alone.in_flight.remove(&seq) {
            self.alone.paused_until = Some(now + SHORT);
            self.back_among_suspects(seq, key);
        }
    }

    fn back_among_suspects(&mut self, seq: Seq, key: Option<u64>) {
        if let Some(key) = key {
            self.alone_keys.remove(&key);
        }
        self.suspects.insert(seq, key);
    }

    pub(super) fn acked(&mut self, seq: Seq, key: Option<u64>, bytes: u64) {
        self.bytes_in_flight -= bytes;
        if self.batch.in_flight.remove(&seq) {
            self.batch.failures = 0;
        } else if self.alone.in_flight.remove(&seq) {
            self.alone.failures = 0;
            self.cleared(seq, key);
        }
    }

    /// A suspect is acknowledged or refused: what waits behind the last one of its key goes on.
    fn cleared(&mut self, seq: Seq, key: Option<u64>) {
        if let Some(key) = key {
            self.alone_keys.remove(&key);
        }
        self.queue.release_behind(seq, key);
    }

    pub(super) fn failed(&mut self, seq: Seq, failure: Failure) {
        for producer in [&mut self.batch, &mut self.alone] {
            if producer.in_flight.remove(&seq) {
                producer.failed.insert(seq, failure);
            }
        }
    }

    /// After a report: once a failed producer has reported everything, what it had is queued again, or refused. `of` gives a
    /// record's key and bytes.
    pub(super) fn recover(&mut self, now: Instant, of: impl Fn(Seq) -> (Option<u64>, u64)) -> Vec<(Seq, Taken)> {
        let mut taken = self.recover_alone(now, &of);
        if !self.batch.in_flight.is_empty() || self.batch.failed.is_empty() {
            return taken;
        }
        let failed = self.batch.give_back(now);
        self.bytes_in_flight -= failed.keys().map(|seq| of(*seq).1).sum::<u64>();
        let refused = |failure: &Failure| matches!(failure, Failure::Refused(_));
        if let (1, Some((seq, Failure::Refused(reason)))) = (failed.len(), failed.first_key_value()) {
            // Nothing else was in flight: the refusal is its own.
            taken.push((*seq, Taken::Refused(reason)));
            return taken;
        }
        let keys: HashSet<u64> =
            failed.iter().filter(|(_, failure)| refused(failure)).filter_map(|(seq, _)| of(*seq).0).collect();
        for (seq, failure) in failed {
            let key = of(seq).0;
            // All of a suspect's key: they keep their order on the other route.
            if refused(&failure) || key.is_some_and(|key| keys.contains(&key)) {
                self.suspects.insert(seq, key);
                self.queue.hold_behind(seq, key);
            } else {
                self.queue.add(seq, key);
            }
            taken.push((seq, Taken::Back));
        }
        if !keys.is_empty() {
            self.queue.order_again(|seq| of(seq).0);
        }
        taken
    }

    fn recover_alone(&mut self, now: Instant, of: &impl Fn(Seq) -> (Option<u64>, u64)) -> Vec<(Seq, Taken)> {
        let refused = |failure: &Failure| match failure {
            Failure::Refused(reason) => Some(*reason),
            Failure::Topic(_) | Failure::Producer(_) | Failure::Purged => None,
        };
        let mut taken = Vec::new();
        let sure: Vec<_> =
            self.alone.failed.iter().filter_map(|(seq, failure)| Some((*seq, refused(failure)?))).collect();
        for (seq, reason) in sure {
            self.alone.failed.remove(&seq);
            let (key, bytes) = of(seq);
            self.bytes_in_flight -= bytes;
            self.cleared(seq, key);
            taken.push((seq, Taken::Refused(reason)));
        }
        if self.alone.in_flight.is_empty() && !self.alone.failed.is_empty() {
            for (seq, _) in self.alone.give_back(now) {
                let (key, bytes) = of(seq);
                self.bytes_in_flight -= bytes;
                self.back_among_suspects(seq, key);
                taken.push((seq, Taken::Back));
            }
        }
        taken
    }
}

impl Producer {
    fn next(&mut self, route: Route, now: Instant, first: Option<Seq>) -> Step {
        if !self.failed.is_empty() {
            if self.purged_at.is_some_and(|at| now < at + SHORT) {
                return Step::Idle(self.purged_at.map(|at| at + SHORT));
            }
            self.purged_at = Some(now);
            return Step::Purge(route);
        }
        let Some(first) = first else { return Step::Idle(None) };
        match self.paused_until.filter(|until| now < *until) {
            Some(until) => Step::Idle(Some(until)),
            None if self.connected => Step::Send(route, first),
            None => Step::Connect(route),
        }
    }

    /// Everything is reported: the producer is given up.
    fn give_back(&mut self, now: Instant) -> BTreeMap<Seq, Failure> {
        (self.connected, self.purged_at) = (false, None);
        let failed = std::mem::take(&mut self.failed);
        // A refusal ends the producer, and what else it had fails with it: that is no reason to wait.
        let refused = failed.values().any(|failure| matches!(failure, Failure::Refused(_)));
        if !refused && failed.values().any(|failure| matches!(failure, Failure::Topic(_) | Failure::Producer(_))) {
            self.pause(now);
        }
        failed
    }

    /// Doubles with every failure in a row.
    fn pause(&mut self, now: Instant) {
        let doubled = BACK_OFF.0.saturating_mul(1 << self.failures.min(10));
        self.failures += 1;
        self.paused_until = Some(now + doubled.min(BACK_OFF.1));
    }
}
