//! The pending records of one topic in their order: what is to be sent, what is to be stored, which answers are decided.
//!
//! A lane is told what happened (added, stored, acknowledged, failed) and says what is to be done next. Records leave in the
//! order of their [`Seq`]. Those that memory does not hold are on disk only: all of them stand between `loaded` and
//! `evicted`, and are read again before anything behind them is sent.
//! Does not depend on I/O, clocks, SQLite or Kafka: the time is an argument, `P` is what is sent, `A` is who waits.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    time::Instant,
};

use super::{
    presence::Presence,
    record::{Broker, Disk, Record, Seq, Verdict, acknowledged},
    resend::{Failure, Resend, Route, Taken},
    step::{Amount, Arrival, New, Refused, Rules, Step, Waiting},
    window::Window,
};
use crate::delivery::{AnswerAfter, broker::Acked, store::Committed};

/// See the module.
#[derive(Debug)]
pub(in crate::delivery) struct Lane<P, A> {
    rules: Rules,
    records: BTreeMap<Seq, Record<P, A>>,
    /// Of `records`, those with a payload.
    memory: Amount,
    /// Of `records`, those that the store was not asked to take.
    unstored: BTreeSet<Seq>,
    resend: Resend,
    window: Window,
    /// The disk works again: all that memory alone holds is stored in one go.
    store_all: bool,
    /// The last record that was ever sent: none before it was left on disk.
    sent: Seq,
    presence: Presence,
    /// When answers become late, in the order of their arrival.
    lateness: VecDeque<(Instant, Seq)>,
    decided: Vec<(A, Verdict)>,
    removals: Vec<(Seq, u64)>,
}

impl<P, A> Lane<P, A> {
    /// A lane whose records up to `last_stored` are on disk.
    pub(in crate::delivery) fn new(rules: Rules, last_stored: Seq) -> Self {
        Self {
            rules,
            records: BTreeMap::new(),
            memory: Amount::ZERO,
            unstored: BTreeSet::new(),
            resend: Resend::default(),
            window: Window::new(last_stored),
            store_all: false,
            sent: Seq(0),
            presence: Presence::default(),
            lateness: VecDeque::new(),
            decided: Vec::new(),
            removals: Vec::new(),
        }
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
        self.records.insert(seq, record);
        self.memory.add(bytes);
        if disk == Disk::Memory {
            self.unstored.insert(seq);
        }
        match arrival {
            Arrival::Undecided => self.resend.queue.hold_behind(seq, key),
            Arrival::New | Arrival::Moved { .. } => self.resend.queue.add(seq, key),
        }
        for (answer, since) in waiting {
            self.wait(seq, answer, since, now);
        }
    }

    /// The store says that an undecided record is new. Whether it could take it is said by [`committed`](Self::committed) or
    /// [`not_committed`](Self::not_committed), afterwards.
    pub(in crate::delivery) fn decided_new(&mut self, seq: Seq) {
        let Some(record) = self.records.get(&seq) else { return };
        self.resend.queue.release_behind(seq, record.key);
        self.resend.queue.add(seq, record.key);
    }

    /// The store says that an undecided record is a duplicate: it is gone, and these are to join its first copy.
    pub(in crate::delivery) fn take_duplicate(&mut self, seq: Seq) -> Waiting<A> {
        let Some(record) = self.records.remove(&seq) else { return Waiting::new() };
        self.memory.remove(record.bytes);
        self.resend.queue.release_behind(seq, record.key);
        record.waiting
    }

    /// A duplicate waits for what its first copy, `seq`, waits for. `since` is when it arrived.
    pub(in crate::delivery) fn join(&mut self, seq: Seq, answer: A, since: Instant, now: Instant) {
        if self.records.contains_key(&seq) {
            return self.wait(seq, answer, since, now);
        }
        if !self.window.has(seq) {
            // It was acknowledged and is gone.
            return self.decided.push((answer, acknowledged(self.rules.policy)));
        }
        let record = Record::stored(now);
        self.records.insert(seq, record);
        self.wait(seq, answer, since, now);
        if self.records.get(&seq).is_some_and(|record| record.waiting.is_empty()) {
            self.records.remove(&seq);
        }
    }

    fn wait(&mut self, seq: Seq, answer: A, since: Instant, now: Instant) {
        if let Some(record) = self.records.get_mut(&seq) {
            record.waiting.push((answer, since));
            self.lateness.push_back((since + self.rules.ack_timeout, seq));
            self.judge(seq, now);
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
        !self.is_away() || self.memory.records == 0 && self.presence.is_connected()
    }

    /// What memory holds.
    pub(in crate::delivery) fn memory(&self) -> Amount {
        self.memory
    }

    /// What time alone changes: late answers, and Kafka away. To be called at [`due`](Self::due).
    pub(in crate::delivery) fn tick(&mut self, now: Instant) {
        if self.silent_at().is_some_and(|at| at <= now) {
            self.presence.silent();
            self.judge_all_when_away(now);
        }
        while self.lateness.front().is_some_and(|(late, _)| *late <= now) {
            let Some((_, seq)) = self.lateness.pop_front() else { break };
            self.judge(seq, now);
        }
    }

    /// When `tick` has something to do.
    pub(in crate::delivery) fn due(&self) -> Option<Instant> {
        let late = self.lateness.front().map(|(late, _)| *late);
        [late, self.silent_at()].into_iter().flatten().min()
    }

    /// When a record is to be stored because it has waited long.
    pub(in crate::delivery) fn store_due(&self) -> Option<Instant> {
        let oldest = self.unstored.first().and_then(|seq| self.records.get(seq));
        oldest.map(|record| record.received + self.rules.store_after)
    }

    /// When Kafka counts as away, unless an ack comes before.
    fn silent_at(&self) -> Option<Instant> {
        let oldest = self.records.get(&self.resend.oldest_in_flight()?)?;
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
        let records = &self.records;
        let may_leave = |seq: Seq| {
            behind.is_none_or(|loaded| seq <= loaded)
                && !(held_back && records.get(&seq).is_some_and(|record| record.disk.is_open()))
        };
        let next = self.resend.next(now, sendable, may_leave);
        if let Step::Send(_, seq) = next
            && let Some(record) = self.records.get_mut(&seq)
        {
            let since = *record.first_sent.get_or_insert(now);
            record.broker = Broker::Sent { since };
            self.sent = self.sent.max(seq);
            self.resend.sent(seq, record.bytes);
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
        let may_read = self.memory.is_below(self.rules.memory) || self.resend.is_idle(after);
        may_read.then(|| self.window.read()).flatten()
    }

    /// A page of the records asked for, in order. `upto` is the last one looked at: everything up to it was read.
    pub(in crate::delivery) fn loaded(&mut self, page: Vec<(Seq, Option<u64>, u64, P)>, upto: Seq, now: Instant) {
        self.window.read_up_to(upto);
        for (seq, key, bytes, payload) in page {
            let record = self.records.entry(seq).or_insert_with(|| Record::stored(now));
            // What memory held all along (it could not be stored at first) is queued already.
            if record.payload.is_none() && record.broker == Broker::Queued {
                (record.payload, record.bytes, record.key) = (Some(payload), bytes, key);
                self.memory.add(bytes);
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
        let Self { unstored, records, rules, .. } = self;
        let of = |seq: &Seq| records.get(seq);
        // In arrival order: first come those that have waited long, last those that could not be sent.
        let waited = |seq: &Seq| of(seq).is_some_and(|record| at_once || now >= record.received + rules.store_after);
        let unsent = |seq: &Seq| of(seq).is_some_and(|record| record.broker == Broker::Queued);
        let mut due: Vec<Seq> = unstored.iter().copied().take_while(waited).collect();
        let rest =
            unstored.range((due.last().map_or(Bound::Unbounded, |last| Bound::Excluded(*last)), Bound::Unbounded));
        let behind = due.len();
        due.extend(rest.rev().copied().take_while(unsent));
        due.get_mut(behind..).unwrap_or_default().reverse();
        for seq in &due {
            unstored.remove(seq);
            if let Some(record) = records.get_mut(seq) {
                record.disk = Disk::Writing;
            }
        }
        due.into_iter().filter_map(|seq| Some((seq, self.records.get(&seq)?.payload.as_ref()?))).collect()
    }

    /// These are committed and fsynced.
    pub(in crate::delivery) fn committed(&mut self, committed: &[Committed], now: Instant) {
        for seq in committed.iter().map(|committed| committed.seq()) {
            let Some(record) = self.records.get_mut(&seq) else { continue };
            record.disk = Disk::Stored;
            self.judge(seq, now);
            self.complete(seq);
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
            let full = !self.memory.is_below(self.rules.memory);
            let Some(record) = self.records.get_mut(seq) else { continue };
            record.disk = Disk::Failed;
            self.judge(*seq, now);
            let unsent = self.records.get(seq).is_some_and(|record| record.first_sent.is_none() && !record.kept);
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
        self.records.get(&seq).is_some_and(|record| record.disk != Disk::Stored)
    }

    /// Records of which memory alone has something, whatever was asked of the store.
    pub(in crate::delivery) fn not_on_disk(&self) -> usize {
        self.records.values().filter(|record| record.disk.is_open() && record.broker != Broker::Acked).count()
    }

    /// The disk works again: what is in memory only is stored.
    pub(in crate::delivery) fn disk_works(&mut self) {
        self.store_all = true;
        for (seq, record) in &mut self.records {
            if record.disk == Disk::Failed && record.broker != Broker::Acked {
                record.disk = Disk::Memory;
                self.unstored.insert(*seq);
            }
        }
    }

    fn give_up(&mut self, seq: Seq) -> Option<P> {
        let record = self.records.remove(&seq)?;
        self.memory.remove(record.bytes);
        self.resend.queue.remove(seq, record.key);
        self.decided.extend(record.waiting.into_iter().map(|(answer, _)| (answer, Verdict::Refuse)));
        record.payload
    }

    /// A stored record that is not needed in memory: the lane is behind, or memory is full. Only the end of the queue is left on
    /// disk, of which nothing was ever sent: what is read again is read once, and in order.
    fn leave_on_disk(&mut self, seq: Seq, now: Instant) {
        let behind = self.window.behind().is_some_and(|loaded| seq > loaded);
        let end = seq > self.sent && self.resend.queue.contains(seq) && !self.window.reads(seq);
        let Some(record) = self.records.get_mut(&seq) else { return };
        if !end || !behind && self.memory.is_below(self.rules.memory) {
            return;
        }
        self.window.leave(seq);
        self.memory.remove(record.bytes);
        self.resend.queue.take(seq);
        record.payload = None;
        self.judge(seq, now);
        if self.records.get(&seq).is_some_and(|record| record.waiting.is_empty()) {
            self.records.remove(&seq);
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
        let Some(record) = self.records.get_mut(&seq) else { return };
        record.broker = Broker::Queued;
        self.resend.not_taken(seq, record.key, record.bytes, now);
    }

    /// The broker has it. Gives what was sent.
    pub(in crate::delivery) fn acked(&mut self, acked: Acked, now: Instant) -> Option<P> {
        let seq = acked.seq();
        let record = self.records.get_mut(&seq).filter(|record| matches!(record.broker, Broker::Sent { .. }))?;
        record.broker = Broker::Acked;
        let (key, bytes) = (record.key, record.bytes);
        if self.unstored.remove(&seq) {
            // The store is not asked any more.
            record.disk = Disk::Failed;
        }
        let payload = record.payload.take();
        self.memory.remove(bytes);
        self.resend.acked(seq, key, bytes);
        self.presence.acked(now);
        self.judge(seq, now);
        self.complete(seq);
        payload
    }

    /// When a record was sent for the first time.
    pub(in crate::delivery) fn first_sent(&self, seq: Seq) -> Option<Instant> {
        self.records.get(&seq)?.first_sent
    }

    /// What is sent of a record that memory holds.
    pub(in crate::delivery) fn payload(&self, seq: Seq) -> Option<&P> {
        self.records.get(&seq)?.payload.as_ref()
    }

    /// The producer gave it back. What is refused for good is returned, with those who wait for it.
    pub(in crate::delivery) fn failed(&mut self, seq: Seq, failure: Failure, now: Instant) -> Vec<Refused<P, A>> {
        if !self.records.get(&seq).is_some_and(|record| matches!(record.broker, Broker::Sent { .. })) {
            return Vec::new();
        }
        self.resend.failed(seq, failure);
        self.recover(now)
    }

    /// After a report: once a failed producer has reported everything, what it had is queued again. What is refused for good is
    /// returned, as by [`failed`](Self::failed). To be called after an ack too, which may be the last report.
    pub(in crate::delivery) fn recover(&mut self, now: Instant) -> Vec<Refused<P, A>> {
        let records = &self.records;
        let key_of = |seq: Seq| records.get(&seq).map_or((None, 0), |record| (record.key, record.bytes));
        let taken = self.resend.recover(now, key_of);
        let mut refused = Vec::new();
        for (seq, taken) in taken {
            match taken {
                Taken::Back => {
                    if let Some(record) = self.records.get_mut(&seq) {
                        record.broker = Broker::Queued;
                    }
                }
                Taken::Refused(reason) => refused.extend(self.refuse(seq, reason)),
            }
        }
        refused
    }

    /// The client refuses a record before it leaves: surely its own fault, and nothing in flight is touched.
    pub(in crate::delivery) fn refused_unsent(&mut self, seq: Seq, reason: &'static str) -> Option<Refused<P, A>> {
        let record = self.records.get(&seq)?;
        self.resend.acked(seq, record.key, record.bytes);
        self.refuse(seq, reason)
    }

    fn refuse(&mut self, seq: Seq, reason: &'static str) -> Option<Refused<P, A>> {
        let mut record = self.records.remove(&seq)?;
        record.broker = Broker::Refused(reason);
        self.memory.remove(record.bytes);
        self.unstored.remove(&seq);
        let on_disk = matches!(record.disk, Disk::Stored | Disk::Writing);
        let (bytes, waiting) = (record.bytes, record.waiting);
        Some(Refused { seq, bytes, payload: record.payload?, reason, on_disk, waiting })
    }

    /// Takes the answers that are decided.
    pub(in crate::delivery) fn take_decided(&mut self) -> Vec<(A, Verdict)> {
        std::mem::take(&mut self.decided)
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
        self.is_away() || self.memory.records == 0 || self.window.behind().is_some() && self.resend.in_flight().0 == 0
    }

    fn judge_all_when_away(&mut self, now: Instant) {
        if self.is_away() {
            let waiting: Vec<Seq> =
                self.records.iter().filter(|(_, record)| !record.waiting.is_empty()).map(|(seq, _)| *seq).collect();
            for seq in waiting {
                self.judge(seq, now);
            }
        }
    }

    fn judge(&mut self, seq: Seq, now: Instant) {
        let away = self.is_away();
        if let Some(record) = self.records.get_mut(&seq) {
            record.judge(&self.rules, away, now, &mut self.decided);
        }
    }

    /// An acknowledged record is done once it is known what the disk has of it.
    fn complete(&mut self, seq: Seq) {
        let Some(record) = self.records.get(&seq).filter(|record| record.broker == Broker::Acked) else { return };
        let bytes = record.bytes;
        match record.disk {
            Disk::Stored => self.removals.push((seq, bytes)),
            Disk::Memory | Disk::Failed => {}
            Disk::Writing => return,
        }
        self.records.remove(&seq);
    }
}

#[cfg(test)]
mod tests;
