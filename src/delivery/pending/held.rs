//! The records that a lane holds: what memory has of each, what the store was not asked for, which answers are decided.
//!
//! Does not depend on I/O, clocks, SQLite or Kafka.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    time::Instant,
};

use super::{
    record::{Broker, Disk, Record, Seq, Verdict, acknowledged},
    step::{Amount, Rules},
};

/// See the module.
#[derive(Debug)]
pub(super) struct Held<P, A> {
    rules: Rules,
    records: BTreeMap<Seq, Record<P, A>>,
    /// Of `records`, those with a payload.
    memory: Amount,
    /// Of `records`, those that are [`Disk::Memory`].
    unstored: BTreeSet<Seq>,
    /// When answers become late, in the order of their arrival.
    lateness: VecDeque<(Instant, Seq)>,
    decided: Vec<(A, Verdict)>,
}

impl<P, A> Held<P, A> {
    pub(super) fn new(rules: Rules) -> Self {
        let (records, unstored) = (BTreeMap::new(), BTreeSet::new());
        Self { rules, records, memory: Amount::ZERO, unstored, lateness: VecDeque::new(), decided: Vec::new() }
    }

    pub(super) fn get(&self, seq: Seq) -> Option<&Record<P, A>> {
        self.records.get(&seq)
    }

    /// What memory holds.
    pub(super) fn memory(&self) -> Amount {
        self.memory
    }

    /// Memory has room for another record.
    pub(super) fn has_room(&self) -> bool {
        self.memory.is_below(self.rules.memory)
    }

    pub(super) fn insert(&mut self, seq: Seq, record: Record<P, A>) {
        if record.payload.is_some() {
            self.memory.add(record.bytes);
        }
        if record.disk == Disk::Memory {
            self.unstored.insert(seq);
        }
        self.records.insert(seq, record);
    }

    pub(super) fn remove(&mut self, seq: Seq) -> Option<Record<P, A>> {
        let record = self.records.remove(&seq)?;
        if record.payload.is_some() {
            self.memory.remove(record.bytes);
        }
        if record.disk == Disk::Memory {
            self.unstored.remove(&seq);
        }
        Some(record)
    }

    /// Takes a record out whose answers are refused.
    pub(super) fn give_up(&mut self, seq: Seq) -> Option<Record<P, A>> {
        let mut record = self.remove(seq)?;
        let waiting = std::mem::take(&mut record.waiting);
        self.decided.extend(waiting.into_iter().map(|(answer, _)| (answer, Verdict::Refuse)));
        Some(record)
    }

    /// A record that is on disk was read; `None` is said of one that memory held all along.
    pub(super) fn load(&mut self, seq: Seq, key: Option<u64>, bytes: u64, payload: P, now: Instant) -> Option<()> {
        let record = self.records.entry(seq).or_insert_with(|| Record::stored(now));
        if record.payload.is_some() || record.broker != Broker::Queued {
            return None;
        }
        (record.payload, record.bytes, record.key) = (Some(payload), bytes, key);
        self.memory.add(bytes);
        Some(())
    }

    /// A stored record is left on disk; it is held while somebody waits for it.
    pub(super) fn leave_on_disk(&mut self, seq: Seq, away: bool, now: Instant) {
        let Some(record) = self.records.get_mut(&seq) else { return };
        if record.payload.take().is_some() {
            self.memory.remove(record.bytes);
        }
        record.judge(&self.rules, away, now, &mut self.decided);
        self.remove_if_unwanted(seq);
    }

    /// Somebody waits for a record. `since` is when the push arrived.
    pub(super) fn wait(&mut self, seq: Seq, answer: A, since: Instant, away: bool, now: Instant) {
        let Some(record) = self.records.get_mut(&seq) else { return };
        record.waiting.push((answer, since));
        record.judge(&self.rules, away, now, &mut self.decided);
        let records = &self.records;
        let is_decided = |seq: &Seq| records.get(seq).is_none_or(|record| record.waiting.is_empty());
        while self.lateness.pop_front_if(|(_, seq)| is_decided(seq)).is_some() {}
        self.lateness.push_back((since + self.rules.ack_timeout, seq));
    }

    /// Somebody waits for a record that is on disk only.
    pub(super) fn wait_for_stored(&mut self, seq: Seq, answer: A, since: Instant, away: bool, now: Instant) {
        self.insert(seq, Record::stored(now));
        self.wait(seq, answer, since, away, now);
        self.remove_if_unwanted(seq);
    }

    fn remove_if_unwanted(&mut self, seq: Seq) {
        if self.records.get(&seq).is_some_and(|record| record.waiting.is_empty()) {
            self.remove(seq);
        }
    }

    /// Somebody waits for a record that was acknowledged and is gone.
    pub(super) fn wait_for_acked(&mut self, answer: A) {
        self.decided.push((answer, acknowledged(self.rules.policy)));
    }

    /// The next answer that becomes late.
    pub(super) fn late_at(&self) -> Option<Instant> {
        self.lateness.front().map(|(late, _)| *late)
    }

    /// Decides the answers that are late by now.
    pub(super) fn judge_late(&mut self, away: bool, now: Instant) {
        while let Some((_, seq)) = self.lateness.pop_front_if(|(late, _)| *late <= now) {
            self.judge(seq, away, now);
        }
    }

    /// Kafka is away: decides what waits for nothing else.
    pub(super) fn judge_all(&mut self, away: bool, now: Instant) {
        for record in self.records.values_mut() {
            record.judge(&self.rules, away, now, &mut self.decided);
        }
    }

    fn judge(&mut self, seq: Seq, away: bool, now: Instant) {
        if let Some(record) = self.records.get_mut(&seq) {
            record.judge(&self.rules, away, now, &mut self.decided);
        }
    }

    /// Takes the answers that are decided.
    pub(super) fn take_decided(&mut self) -> Vec<(A, Verdict)> {
        std::mem::take(&mut self.decided)
    }

    /// A record is handed to a producer. Gives its bytes.
    pub(super) fn sent(&mut self, seq: Seq, now: Instant) -> Option<u64> {
        let record = self.records.get_mut(&seq)?;
        let since = *record.first_sent.get_or_insert(now);
        record.broker = Broker::Sent { since };
        Some(record.bytes)
    }

    /// A record waits to be sent again. Gives its key and its bytes.
    pub(super) fn queued_again(&mut self, seq: Seq) -> Option<(Option<u64>, u64)> {
        let record = self.records.get_mut(&seq)?;
        record.broker = Broker::Queued;
        Some((record.key, record.bytes))
    }

    /// The broker has a record that was sent. Gives what was sent, its key and its bytes.
    pub(super) fn acked(&mut self, seq: Seq, now: Instant) -> Option<(P, Option<u64>, u64)> {
        let record = self.records.get_mut(&seq).filter(|record| matches!(record.broker, Broker::Sent { .. }))?;
        record.broker = Broker::Acked;
        if record.disk == Disk::Memory {
            // The store is not asked any more.
            record.disk = Disk::Failed;
            self.unstored.remove(&seq);
        }
        // Kafka has just answered.
        record.judge(&self.rules, false, now, &mut self.decided);
        self.memory.remove(record.bytes);
        Some((record.payload.take()?, record.key, record.bytes))
    }

    /// What became of a record that the store was asked to take.
    pub(super) fn is_on_disk(&mut self, seq: Seq, disk: Disk, away: bool, now: Instant) -> bool {
        let Some(record) = self.records.get_mut(&seq) else { return false };
        record.disk = disk;
        record.judge(&self.rules, away, now, &mut self.decided);
        true
    }

    /// When a record is to be stored because it has waited long.
    pub(super) fn store_due(&self) -> Option<Instant> {
        let oldest = self.unstored.first().and_then(|seq| self.records.get(seq));
        oldest.map(|record| record.received + self.rules.store_after)
    }

    /// The records that the store is to take now, in their order: those that have waited long (or all, `at_once`), and those
    /// at the end that could not be sent.
    pub(super) fn take_to_store(&mut self, at_once: bool, now: Instant) -> Vec<(Seq, &P)> {
        let Self { unstored, records, rules, .. } = self;
        let of = |seq: &Seq| records.get(seq);
        let waited = |seq: &Seq| of(seq).is_some_and(|record| at_once || now >= record.received + rules.store_after);
        let unsent = |seq: &Seq| of(seq).is_some_and(|record| record.broker == Broker::Queued);
        let mut due: Vec<Seq> = unstored.iter().copied().take_while(waited).collect();
        let behind = due.last().map_or(Bound::Unbounded, |last| Bound::Excluded(*last));
        let rest = unstored.range((behind, Bound::Unbounded));
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

    /// The disk works again: what it could not take is to be stored.
    pub(super) fn store_failed_again(&mut self) {
        for (seq, record) in &mut self.records {
            if record.disk == Disk::Failed && record.broker != Broker::Acked {
                record.disk = Disk::Memory;
                self.unstored.insert(*seq);
            }
        }
    }

    /// Records of which memory alone has something, whatever was asked of the store.
    pub(super) fn not_on_disk(&self) -> usize {
        self.records.values().filter(|record| record.disk.is_open() && record.broker != Broker::Acked).count()
    }

    /// Takes a record out that the broker refuses, with those who wait for it.
    pub(super) fn refused(&mut self, seq: Seq, reason: &'static str) -> Option<Record<P, A>> {
        let mut record = self.remove(seq)?;
        record.broker = Broker::Refused(reason);
        Some(record)
    }
}
