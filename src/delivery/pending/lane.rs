//! The pending records of one topic in their order: what is to be sent, what is to be stored, which answers are decided.
//!
//! A lane is told what happened (added, stored, acknowledged, failed) and says what is to be done next. Records leave in the
//! order of their [`Seq`]. Those that memory does not hold are on disk only: all of them stand between `loaded` and
//! `evicted`, and are read again before anything behind them is sent.
//! Does not depend on I/O, clocks, SQLite or Kafka: the time is an argument, `P` is what is sent, `A` is who waits.

use std::time::Instant;

use super::{
    held::Held,
    presence::Presence,
    record::{Broker, Disk, Record, Seq, Verdict},
    resend::{Failure, Resend, Route, Taken},
    step::{Amount, Arrival, New, Refused, Rules, Step, Waiting},
    window::Window,
};
use crate::delivery::{AnswerAfter, broker::Acked, store::Committed};

/// See the module.
#[derive(Debug)]
pub(in crate::delivery) struct Lane<P, A> {
    rules: Rules,
    held: Held<P, A>,
    resend: Resend,
    window: Window,
    /// The disk works again: all that memory alone holds is stored in one go.
    store_all: bool,
    /// The last record that was ever sent: none before it was left on disk.
    sent: Seq,
    presence: Presence,
    removals: Vec<(Seq, u64)>,
}

impl<P, A> Lane<P, A> {
    /// A lane whose records up to `last_stored` are on disk.
    pub(in crate::delivery) fn new(rules: Rules, last_stored: Seq) -> Self {
        let (resend, presence, window) = (Resend::default(), Presence::default(), Window::new(last_stored));
        let (held, removals) = (Held::new(rules), Vec::new());
        Self { rules, held, resend, window, store_all: false, sent: Seq(0), presence, removals }
    }

    /// Takes a new record, in memory. Its `seq` is above all others of the lane.
    pub(in crate::delivery) fn add(&mut self, new: New<P, A>, now: Instant) {
        let New { seq, key, bytes, payload, waiting, arrival } = new;
        let (disk, kept) = match arrival {
            Arrival::New => (Disk::Memory, false),
            Arrival::Undecided => (Disk::Writing, false),
            Arrival::Moved { writing } => (if writing { Disk::Writing } else { Disk::Memory }, true),
        };
        let (payload, first_sent, broker) = (Some(payload), None, Broker::Queued);
        let record =
            Record { payload, bytes, key, received: now, first_sent, disk, broker, kept, waiting: Waiting::new() };
        self.held.insert(seq, record);
        match arrival {
            Arrival::Undecided => self.resend.queue.hold_behind(seq, key),
            Arrival::New | Arrival::Moved { .. } => self.resend.queue.add(seq, key),
        }
        for (answer, since) in waiting {
            self.held.wait(seq, answer, since, self.presence.is_away(), now);
        }
    }

    /// The store says that an undecided record is new. Whether it could take it is said by [`committed`](Self::committed) or
    /// [`not_committed`](Self::not_committed), afterwards.
    pub(in crate::delivery) fn decided_new(&mut self, seq: Seq) {
        let Some(key) = self.held.get(seq).map(|record| record.key) else { return };
        self.resend.queue.release_behind(seq, key);
        self.resend.queue.add(seq, key);
    }

    /// The store says that an undecided record is a duplicate: it is gone, and these are to join its first copy.
    pub(in crate::delivery) fn take_duplicate(&mut self, seq: Seq) -> Waiting<A> {
        let Some(record) = self.held.remove(seq) else { return Waiting::new() };
        self.resend.queue.release_behind(seq, record.key);
        record.waiting
    }

    /// A duplicate waits for what its first copy, `seq`, waits for. `since` is when it arrived.
    pub(in crate::delivery) fn join(&mut self, seq: Seq, answer: A, since: Instant, now: Instant) {
        let away = self.presence.is_away();
        if self.held.get(seq).is_some() {
            self.held.wait(seq, answer, since, away, now);
        } else if self.window.has(seq) {
            self.held.wait_for_stored(seq, answer, since, away, now);
        } else {
            self.held.wait_for_acked(answer);
        }
    }

    /// Kafka does not answer: no answer waits for it.
    pub(in crate::delivery) fn is_away(&self) -> bool {
        self.presence.is_away()
    }

    /// Kafka was reported away, or found so: not only not reached yet.
    pub(in crate::delivery) fn is_silent(&self) -> bool {
        self.presence.is_silent()
    }

    /// The client reports a broker up, or all of them down.
    pub(in crate::delivery) fn set_broker_up(&mut self, up: bool, now: Instant) {
        self.presence.broker_up(up);
        self.judge_all_when_away(now);
    }

    /// A broker is connected, or none is at the moment.
    pub(in crate::delivery) fn set_connected(&mut self, up: bool, now: Instant) {
        self.presence.connected(up);
        self.judge_all_when_away(now);
    }

    /// Kafka acknowledges, or nothing waits for it and a broker is connected: it can be counted on for the next record.
    pub(in crate::delivery) fn is_up(&self) -> bool {
        !self.is_away() || self.held.memory().records == 0 && self.presence.is_connected()
    }

    /// What memory holds.
    pub(in crate::delivery) fn memory(&self) -> Amount {
        self.held.memory()
    }

    /// What time alone changes: late answers, and Kafka away. To be called at [`due`](Self::due).
    pub(in crate::delivery) fn tick(&mut self, now: Instant) {
        if self.silent_at().is_some_and(|at| at <= now) {
            self.presence.silent();
            self.judge_all_when_away(now);
        }
        self.held.judge_late(self.is_away(), now);
    }

    /// When `tick` has something to do.
    pub(in crate::delivery) fn due(&self) -> Option<Instant> {
        [self.held.late_at(), self.silent_at()].into_iter().flatten().min()
    }

    /// When a record is to be stored because it has waited long.
    pub(in crate::delivery) fn store_due(&self) -> Option<Instant> {
        self.held.store_due()
    }

    /// When Kafka counts as away, unless an ack comes before.
    fn silent_at(&self) -> Option<Instant> {
        let oldest = self.held.get(self.resend.oldest_in_flight()?)?;
        self.presence.silent_at(oldest.first_sent?, self.rules.ack_timeout)
    }

    /// What is to be done now. A [`Step::Send`] counts as done.
    pub(in crate::delivery) fn step(&mut self, now: Instant) -> Step {
        if let Some(read) = self.read() {
            return read;
        }
        let behind = self.window.behind();
        let sendable = self.memory_in_flight().is_below(self.rules.in_flight);
        let held_back = self.holds_back();
        let held = &self.held;
        let may_leave = |seq: Seq| {
            behind.is_none_or(|loaded| seq <= loaded)
                && !(held_back && held.get(seq).is_some_and(|record| record.disk.is_open()))
        };
        let next = self.resend.next(now, sendable, may_leave);
        if let Step::Send(_, seq) = next
            && let Some(bytes) = self.held.sent(seq, now)
        {
            self.sent = self.sent.max(seq);
            self.resend.sent(seq, bytes);
        }
        next
    }

    /// While Kafka is away a record leaves once it is known what the disk has of it: one that was never sent and cannot be
    /// stored is given up. But when nothing is in flight and a broker is connected, the next record is the one whose ack says
    /// that Kafka is back.
    fn holds_back(&self) -> bool {
        let is_try = self.resend.in_flight().0 == 0 && self.presence.is_connected();
        self.is_away() && !is_try && self.rules.policy != AnswerAfter::KafkaOnly
    }

    fn memory_in_flight(&self) -> Amount {
        let (records, bytes) = self.resend.in_flight();
        Amount { records, bytes }
    }

    fn read(&mut self) -> Option<Step> {
        let after = self.window.behind()?;
        // Memory may be full of records that wait for those on disk: then these are read all the same.
        let may_read = self.held.has_room() || self.resend.is_idle(after);
        may_read.then(|| self.window.read()).flatten()
    }

    /// A page of the records asked for, in order. `upto` is the last one looked at: everything up to it was read.
    pub(in crate::delivery) fn loaded(&mut self, page: Vec<(Seq, Option<u64>, u64, P)>, upto: Seq, now: Instant) {
        self.window.read_up_to(upto);
        for (seq, key, bytes, payload) in page {
            // What memory held all along (it could not be stored at first) is queued already.
            if self.held.load(seq, key, bytes, payload, now).is_some() {
                self.resend.queue.add(seq, key);
            }
        }
    }

    /// The store does not read: tried again with the next step.
    pub(in crate::delivery) fn not_loaded(&mut self) {
        self.window.not_read();
    }

    /// The records that the store is to take now, with what it stores. Call it when there is no step left to do: what could not
    /// be sent at once is stored at once.
    pub(in crate::delivery) fn take_to_store(&mut self, now: Instant) -> Vec<(Seq, &P)> {
        let at_once = self.rules.policy == AnswerAfter::Disk || self.is_away() || std::mem::take(&mut self.store_all);
        self.held.take_to_store(at_once, now)
    }

    /// These are committed and fsynced.
    pub(in crate::delivery) fn committed(&mut self, committed: &[Committed], now: Instant) {
        for seq in committed.iter().map(|committed| committed.seq()) {
            if self.held.is_on_disk(seq, Disk::Stored, self.is_away(), now) {
                self.complete(seq);
            }
        }
        // The youngest first: what memory keeps is what leaves next.
        for committed in committed.iter().rev() {
            self.leave_on_disk(committed.seq(), now);
        }
    }

    /// The store could not take these. They go on in memory, in their places; those that were never sent, while Kafka is away
    /// or memory is full, are given up: their answers are refused, and they are returned, since their ids are not known any longer.
    pub(in crate::delivery) fn not_committed(&mut self, seqs: &[Seq], now: Instant) -> Vec<P> {
        let mut given_up = Vec::new();
        for seq in seqs {
            let full = !self.held.has_room();
            if !self.held.is_on_disk(*seq, Disk::Failed, self.is_away(), now) {
                continue;
            }
            let unsent = self.held.get(*seq).is_some_and(|record| record.first_sent.is_none() && !record.kept);
            if unsent && (full || self.is_away()) {
                given_up.extend(self.give_up(*seq));
            } else {
                self.complete(*seq);
            }
        }
        given_up
    }

    /// A record is pending and not on disk.
    pub(in crate::delivery) fn is_unstored(&self, seq: Seq) -> bool {
        self.held.get(seq).is_some_and(|record| record.disk != Disk::Stored)
    }

    /// Records of which memory alone has something, whatever was asked of the store.
    pub(in crate::delivery) fn not_on_disk(&self) -> usize {
        self.held.not_on_disk()
    }

    /// The disk works again: what is in memory only is stored.
    pub(in crate::delivery) fn disk_works(&mut self) {
        self.store_all = true;
        self.held.store_failed_again();
    }

    fn give_up(&mut self, seq: Seq) -> Option<P> {
        let record = self.held.give_up(seq)?;
        self.resend.queue.remove(seq, record.key);
        record.payload
    }

    /// A stored record that is not needed in memory: the lane is behind, or memory is full. Only the end of the queue is left on
    /// disk, of which nothing was ever sent: what is read again is read once, and in order.
    fn leave_on_disk(&mut self, seq: Seq, now: Instant) {
        let behind = self.window.behind().is_some_and(|loaded| seq > loaded);
        let end = seq > self.sent && self.resend.queue.contains(seq) && !self.window.reads(seq);
        if self.held.get(seq).is_some() && end && (behind || !self.held.has_room()) {
            self.window.leave(seq);
            self.resend.queue.take(seq);
            self.held.leave_on_disk(seq, self.is_away(), now);
        }
    }

    /// The route has a producer.
    pub(in crate::delivery) fn connected(&mut self, route: Route) {
        self.resend.connected(route);
    }

    /// No producer can be made: tried again after a pause.
    pub(in crate::delivery) fn not_connected(&mut self, route: Route, now: Instant) {
        self.resend.pause(route, now);
    }

    /// The producer had no room for a record: it is sent a little later.
    pub(in crate::delivery) fn not_taken(&mut self, seq: Seq, now: Instant) {
        if let Some((key, bytes)) = self.held.queued_again(seq) {
            self.resend.not_taken(seq, key, bytes, now);
        }
    }

    /// The broker has it. Gives what was sent.
    pub(in crate::delivery) fn acked(&mut self, acked: Acked, now: Instant) -> Option<P> {
        let seq = acked.seq();
        let (payload, key, bytes) = self.held.acked(seq, now)?;
        self.resend.acked(seq, key, bytes);
        self.presence.acked(now);
        self.complete(seq);
        Some(payload)
    }

    /// When a record was sent for the first time.
    pub(in crate::delivery) fn first_sent(&self, seq: Seq) -> Option<Instant> {
        self.held.get(seq)?.first_sent
    }

    /// What is sent of a record that memory holds.
    pub(in crate::delivery) fn payload(&self, seq: Seq) -> Option<&P> {
        self.held.get(seq)?.payload.as_ref()
    }

    /// The producer gave it back. What is refused for good is returned, with those who wait for it.
    pub(in crate::delivery) fn failed(&mut self, seq: Seq, failure: Failure, now: Instant) -> Vec<Refused<P, A>> {
        if !self.held.get(seq).is_some_and(|record| matches!(record.broker, Broker::Sent { .. })) {
            return Vec::new();
        }
        self.resend.failed(seq, failure);
        self.recover(now)
    }

    /// After a report: once a failed producer has reported everything, what it had is queued again. What is refused for good is
    /// returned, as by [`failed`](Self::failed). To be called after an ack too, which may be the last report.
    pub(in crate::delivery) fn recover(&mut self, now: Instant) -> Vec<Refused<P, A>> {
        let held = &self.held;
        let key_of = |seq: Seq| held.get(seq).map_or((None, 0), |record| (record.key, record.bytes));
        let taken = self.resend.recover(now, key_of);
        let mut refused = Vec::new();
        for (seq, taken) in taken {
            match taken {
                Taken::Back => drop(self.held.queued_again(seq)),
                Taken::Refused(reason) => refused.extend(self.refuse(seq, reason)),
            }
        }
        refused
    }

    /// The client refuses a record before it leaves: surely its own fault, and nothing in flight is touched.
    pub(in crate::delivery) fn refused_unsent(&mut self, seq: Seq, reason: &'static str) -> Option<Refused<P, A>> {
        let record = self.held.get(seq)?;
        self.resend.acked(seq, record.key, record.bytes);
        self.refuse(seq, reason)
    }

    fn refuse(&mut self, seq: Seq, reason: &'static str) -> Option<Refused<P, A>> {
        let Record { disk, bytes, payload, waiting, .. } = self.held.refused(seq, reason)?;
        let on_disk = matches!(disk, Disk::Stored | Disk::Writing);
        Some(Refused { seq, bytes, payload: payload?, reason, on_disk, waiting })
    }

    /// Takes the answers that are decided.
    pub(in crate::delivery) fn take_decided(&mut self) -> Vec<(A, Verdict)> {
        self.held.take_decided()
    }

    /// Takes what the store is to remove: acknowledged records, with their bytes.
    pub(in crate::delivery) fn take_removals(&mut self) -> Vec<(Seq, u64)> {
        std::mem::take(&mut self.removals)
    }

    /// Reads no more from the store: the service stops.
    pub(in crate::delivery) fn drain(&mut self) {
        self.window.close();
    }

    /// Nothing in memory is left to send, or nothing can be sent.
    pub(in crate::delivery) fn is_drained(&self) -> bool {
        self.is_away()
            || self.held.memory().records == 0
            || self.window.behind().is_some() && self.resend.in_flight().0 == 0
    }

    fn judge_all_when_away(&mut self, now: Instant) {
        if self.is_away() {
            self.held.judge_all(true, now);
        }
    }

    /// An acknowledged record is done once it is known what the disk has of it.
    fn complete(&mut self, seq: Seq) {
        let Some(record) = self.held.get(seq).filter(|record| record.broker == Broker::Acked) else { return };
        match record.disk {
            Disk::Stored => self.removals.push((seq, record.bytes)),
            Disk::Memory | Disk::Failed => {}
            Disk::Writing => return,
        }
        self.held.remove(seq);
    }
}

#[cfg(test)]
mod tests;
