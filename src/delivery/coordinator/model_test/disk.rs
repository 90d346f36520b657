//! The spool as collections: what a transaction does to them, and what is known.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::super::super::{
    Lane,
    pending::Seq,
    store::{Append, Commit, Committed, Decided, Decision, Known, Moved, Removal, Undecided, has_dead_letter},
    submission::Sending,
};
use crate::event::EventId;

/// What outlives a kill.
pub(super) struct Disk {
    /// By lane and seq.
    pub(super) records: BTreeMap<(u8, Seq), Arc<Sending>>,
    pub(super) remembered: HashMap<EventId, Seq>,
    bound: HashMap<[u8; 20], EventId>,
    pub(super) last_seq: u64,
    /// Commits succeed.
    pub(super) works: bool,
    /// Records that it takes.
    most: usize,
    pub(super) full: bool,
}

impl Disk {
    pub(super) fn new(most: usize) -> Self {
        Self {
            records: BTreeMap::new(),
            remembered: HashMap::new(),
            bound: HashMap::new(),
            last_seq: 0,
            works: true,
            most,
            full: false,
        }
    }

    /// The seqs of a lane's records, in order.
    pub(super) fn of(&self, lane: Lane) -> impl DoubleEndedIterator<Item = Seq> {
        let of_lane = self.records.range((lane as u8, Seq(0))..=(lane as u8, Seq(u64::MAX)));
        of_lane.map(|((_, seq), _)| *seq)
    }

    pub(super) fn holds(&self, append: &Append) -> bool {
        self.records.contains_key(&(append.lane as u8, append.seq))
    }

    /// What the disk knows of an event and its signature.
    pub(super) fn known(&self, undecided: &Undecided) -> Option<Decision> {
        let bound = undecided.nonce.and_then(|used| Some((used, self.bound.get(&used.signature)?)));
        if bound.is_some_and(|(used, first)| used.event_id != *first) {
            Some(Decision::NonceReused)
        } else if undecided.nonce_only {
            Some(Decision::NonceFits)
        } else {
            self.stored(undecided).map(Decision::Duplicate)
        }
    }

    /// Where the disk says that the first copy of an event is.
    fn stored(&self, undecided: &Undecided) -> Option<Known> {
        let seq = *self.remembered.get(&undecided.append.sending.id?.event_id)?;
        let lane = Lane::ALL.into_iter().find(|lane| self.records.contains_key(&(*lane as u8, seq)));
        Some(Known { lane, seq })
    }

    /// One transaction. Returns what is decided.
    pub(super) fn write(&mut self, commit: &Commit, undecided: Vec<Undecided>) -> Vec<Decided> {
        let place = |removal: &Removal| (removal.lane as u8, removal.seq);
        // What was full stays so until the first removal.
        self.full &= commit.remove.is_empty();
        for removal in &commit.remove {
            self.records.remove(&place(removal));
        }
        for Moved { from, to } in &commit.moved {
            if let Some(from) = from {
                self.records.remove(&place(from));
            }
            self.append(to);
        }
        for append in &commit.append {
            if !self.is_full() {
                self.append(append);
            }
        }
        let mut decided = Vec::new();
        for undecided in undecided {
            let known = self.known(&undecided);
            self.bound.extend(
                undecided
                    .nonce
                    .filter(|_| known != Some(Decision::NonceReused))
                    .map(|used| (used.signature, used.event_id)),
            );
            let decision = if let Some(known) = known {
                known
            } else if self.is_full() {
                Decision::NotStored
            } else {
                self.append(&undecided.append);
                Decision::Stored(Committed::in_a_test(undecided.append.seq))
            };
            decided.push(Decided { undecided, decision });
        }
        for (id, seq) in &commit.ids {
            self.remembered.insert(id.event_id, *seq);
        }
        for used in &commit.nonces {
            self.bound.entry(used.signature).or_insert(used.event_id);
        }
        let full: Vec<_> = commit.append.iter().filter(|append| !self.holds(append)).cloned().collect();
        for (removal, _) in commit.replaced.iter().filter(|(_, seq)| !has_dead_letter(&full, *seq)) {
            self.records.remove(&place(removal));
        }
        self.last_seq = commit.last_seq;
        decided
    }

    fn is_full(&mut self) -> bool {
        self.full |= self.records.len() >= self.most;
        self.full
    }

    fn append(&mut self, append: &Append) {
        self.records.insert((append.lane as u8, append.seq), Arc::clone(&append.sending));
        self.remembered.extend(append.sending.id.map(|id| (id.event_id, append.seq)));
    }
}
