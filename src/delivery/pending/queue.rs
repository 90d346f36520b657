//! What is to be sent, in the order of the seqs; but what stands behind a record that holds its key waits.
//!
//! Does not depend on I/O, clocks, SQLite or Kafka.

use std::collections::{BTreeSet, HashMap};

use super::record::Seq;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queue {
    queued: BTreeSet<Seq>,
    /// By key.
    held: HashMap<u64, Held>,
}

/// Records that wait behind others of their key.
#[derive(Debug, Default)]
struct Held {
    /// Suspects of this key, and records that the store has not decided yet: what stands behind the first one waits.
    holds: BTreeSet<Seq>,
    records: BTreeSet<Seq>,
}

impl Queue {
    /// A record is to be sent.
    pub(super) fn add(&mut self, seq: Seq, key: Option<u64>) {
        match key.and_then(|key| self.held.get_mut(&key)) {
            Some(held) if held.holds.first().is_some_and(|first| seq > *first) => held.records.insert(seq),
            Some(_) | None => self.queued.insert(seq),
        };
    }

    /// The next one that waits for nothing.
    pub(super) fn first(&self) -> Option<Seq> {
        self.queued.first().copied()
    }

    /// A record waits to be sent, and not behind its key.
    pub(super) fn contains(&self, seq: Seq) -> bool {
        self.queued.contains(&seq)
    }

    /// Takes a record out that waits for nothing. Whether it was there.
    pub(super) fn take(&mut self, seq: Seq) -> bool {
        self.queued.remove(&seq)
    }

    /// Takes a record out, wherever it waits.
    pub(super) fn remove(&mut self, seq: Seq, key: Option<u64>) {
        self.queued.remove(&seq);
        if let Some(held) = key.and_then(|key| self.held.get_mut(&key)) {
            held.records.remove(&seq);
        }
    }

    /// What stands behind this record and has its key waits.
    pub(super) fn hold_behind(&mut self, seq: Seq, key: Option<u64>) {
        if let Some(key) = key {
            self.held.entry(key).or_default().holds.insert(seq);
        }
    }

    /// Nothing waits behind this record any longer.
    pub(super) fn release_behind(&mut self, seq: Seq, key: Option<u64>) {
        let Some(key) = key else { return };
        let Some(held) = self.held.get_mut(&key) else { return };
        held.holds.remove(&seq);
        match held.holds.first().copied() {
            Some(first) => {
                let behind = held.records.split_off(&first);
                self.queued.append(&mut std::mem::replace(&mut held.records, behind));
            }
            None => self.queued.extend(self.held.remove(&key).unwrap_or_default().records),
        }
    }

    /// Keys are held that were not when what waits was added.
    pub(super) fn order_again(&mut self, key_of: impl Fn(Seq) -> Option<u64>) {
        for seq in std::mem::take(&mut self.queued) {
            self.add(seq, key_of(seq));
        }
    }
}
