//! What gathers for the store while its last commit is under way.
//!
//! Records are handed over as soon as the store is free, but not more often than every few milliseconds: a commit of one record
//! writes nearly as much as one of ten. Removals, ids and nonces wait for company, up to a tenth of a second.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    Lane,
    pending::Seq,
    store::{Append, Commit, Moved, Removal, Undecided, has_dead_letter, size_of},
};

/// Records of one commit at most.
const RECORDS: usize = 1024;
/// Their bytes: what a commit writes must fit in the reserve of a full disk.
const BYTES: u64 = 2 * 1024 * 1024;
/// From one commit of records to the next, at least. The first one after a pause does not wait.
const APART: Duration = Duration::from_millis(5);
/// How long what need not be written at once waits. With the fsync an id is on disk within 100 ms.
const COMPANY: Duration = Duration::from_millis(85);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct NextCommit {
    append: VecDeque<Append>,
    undecided: VecDeque<Undecided>,
    moved: Vec<Moved>,
    remove: Vec<Removal>,
    /// Refused records, each with the seq of the record in its place.
    replaced: Vec<(Removal, Seq)>,
    /// Since when something waits that is not urgent.
    since: Option<Instant>,
    /// Moves wait that were not tried yet.
    moved_urgently: bool,
    /// When the last one was taken.
    handed_over: Option<Instant>,
}

impl NextCommit {
    pub(super) fn append(&mut self, append: Append) {
        self.append.push_back(append);
    }

    pub(super) fn decide(&mut self, undecided: Undecided) {
        self.undecided.push_back(undecided);
    }

    pub(super) fn move_record(&mut self, moved: Moved) {
        self.moved.push(moved);
        self.moved_urgently = true;
    }

    /// A commit failed: it is tried again, with the next one.
    pub(super) fn move_later(&mut self, moved: Moved, now: Instant) {
        self.moved.push(moved);
        self.wait(now);
    }

    pub(super) fn remove(&mut self, removals: impl IntoIterator<Item = Removal>, now: Instant) {
        let before = self.remove.len();
        self.remove.extend(removals);
        if self.remove.len() > before {
            self.wait(now);
        }
    }

    /// Refused records are removed once the record in the place of each is stored, or acknowledged.
    pub(super) fn remove_replaced(&mut self, replaced: impl IntoIterator<Item = (Removal, Seq)>, now: Instant) {
        self.replaced.extend(replaced);
        self.wait(now);
    }

    /// Something that is not urgent waits.
    pub(super) fn wait(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Takes a record back that was not handed over yet. Whether it was there.
    pub(super) fn drop_append(&mut self, lane: Lane, seq: Seq) -> bool {
        let before = self.append.len();
        self.append.retain(|append| append.lane != lane || append.seq != seq);
        self.append.len() < before
    }

    /// Removals that wait.
    pub(super) fn removals(&self) -> usize {
        self.remove.len()
    }

    /// Records wait to be stored.
    pub(super) fn has_records(&self) -> bool {
        !self.append.is_empty() || !self.undecided.is_empty() || self.moved_urgently
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.has_records() && self.moved.is_empty() && self.remove.is_empty() && self.replaced.is_empty()
    }

    /// When the last one was taken.
    pub(super) fn handed_over(&self) -> Option<Instant> {
        self.handed_over
    }

    /// When the next commit is to be handed over, if the store is free.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        if self.has_records() {
            Some(self.handed_over.map_or(now, |at| now.max(at + APART)))
        } else {
            self.since.map(|since| since + COMPANY)
        }
    }

    /// Takes as much as one commit does. `is_unstored`: of a DLQ record memory alone has something.
    pub(super) fn take(&mut self, is_unstored: impl Fn(Seq) -> bool, now: Instant) -> Commit {
        self.handed_over = Some(now);
        let mut commit = Commit {
            remove: std::mem::take(&mut self.remove),
            moved: std::mem::take(&mut self.moved),
            ..Commit::default()
        };
        let mut bytes = 0;
        let mut fits = |append: &Append| {
            let before = bytes;
            bytes += size_of(&append.sending.record);
            before < BYTES
        };
        while commit.append.len() < RECORDS
            && let Some(append) = self.append.pop_front_if(|append| fits(append))
        {
            commit.append.push(append);
        }
        while self.append.is_empty()
            && commit.append.len() + commit.undecided.len() < RECORDS
            && let Some(undecided) = self.undecided.pop_front_if(|undecided| fits(&undecided.append))
        {
            commit.undecided.push(undecided);
        }
        let appends = &commit.append;
        let may_go = |(_, seq): &mut (Removal, Seq)| !is_unstored(*seq) || has_dead_letter(appends, *seq);
        commit.replaced = self.replaced.extract_if(.., may_go).collect();
        (self.since, self.moved_urgently) = (None, false);
        commit
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{delivery::submission::Sending, event::Record};

    fn append(lane: Lane, seq: u64, bytes: usize) -> Append {
        let seq = Seq(seq);
        let record = Record { value: vec![0; bytes].into(), ..Record::default() };
        let sending = Sending { record, account: None, received_at_ms: 0, id: None, signature: None };
        Append { lane, seq, sending: Arc::new(sending) }
    }

    #[test]
    fn a_refused_record_is_removed_with_the_commit_that_stores_the_one_in_its_place_and_not_before() {
        let mut next = NextCommit::default();
        let removal = Removal { lane: Lane::Events, seq: Seq(1), bytes: 1 };
        next.remove_replaced([(removal, Seq(7))], Instant::now());
        assert_eq!(next.take(|_| true, Instant::now()).replaced.len(), 0, "memory alone has it");
        next.append(append(Lane::Events, 7, 1));
        assert_eq!(next.take(|_| true, Instant::now()).replaced.len(), 0, "that is another record");
        next.append(append(Lane::Dlq, 7, 1));
        assert_eq!(next.take(|_| true, Instant::now()).replaced.len(), 1, "in the same commit");
        next.remove_replaced([(removal, Seq(7))], Instant::now());
        assert_eq!(next.take(|_| false, Instant::now()).replaced.len(), 1, "stored or acknowledged before");
        assert!(next.is_empty());
    }

    #[test]
    fn records_wait_for_company_only_where_another_commit_was_handed_over_just_before() {
        let mut next = NextCommit::default();
        let now = Instant::now();
        next.append(append(Lane::Events, 1, 1));
        assert_eq!(next.due(now), Some(now));
        next.take(|_| false, now);
        next.append(append(Lane::Events, 2, 1));
        assert_eq!(next.due(now), Some(now + APART));
        let later = now + 2 * APART;
        assert_eq!(next.due(later), Some(later));
    }

    #[test]
    fn one_commit_takes_as_much_as_fits_in_the_reserve_of_a_full_disk_in_order() {
        let mut next = NextCommit::default();
        for seq in 0..5 {
            next.append(append(Lane::Events, seq, 1 << 20));
        }
        let seqs = |commit: &Commit| commit.append.iter().map(|append| append.seq.0).collect::<Vec<_>>();
        assert_eq!(seqs(&next.take(|_| false, Instant::now())), [0, 1]);
        assert_eq!(seqs(&next.take(|_| false, Instant::now())), [2, 3]);
        assert!(next.drop_append(Lane::Events, Seq(4)) && next.is_empty());
    }
}
