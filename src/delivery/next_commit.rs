//! What gathers for the store while its last commit is under way.
//!
//! Records are handed over as soon as the store is free; removals, ids and nonces wait for company, up to a tenth of a second.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    Lane,
    store::{Append, Commit, Moved, Removal, Undecided, size_of},
};

/// Records of one commit at most.
const RECORDS: usize = 1024;
/// Their bytes: what a commit writes must fit in the reserve of a full disk.
const BYTES: u64 = 2 * 1024 * 1024;
/// How long what need not be written at once waits. With the fsync an id is on disk within 100 ms.
const COMPANY: Duration = Duration::from_millis(85);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct NextCommit {
    append: VecDeque<Append>,
    undecided: VecDeque<Undecided>,
    moved: Vec<Moved>,
    remove: Vec<Removal>,
    remove_with_appends: Vec<Removal>,
    /// Since when something waits that is not urgent.
    since: Option<Instant>,
    /// Moves wait that were not tried yet.
    moved_urgently: bool,
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

    /// With the last of the appends that wait, or after them.
    pub(super) fn remove_with_appends(&mut self, removals: impl IntoIterator<Item = Removal>, now: Instant) {
        self.remove_with_appends.extend(removals);
        self.wait(now);
    }

    /// Something that is not urgent waits.
    pub(super) fn wait(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Takes a record back that was not handed over yet. Whether it was there.
    pub(super) fn drop_append(&mut self, lane: Lane, seq: u64) -> bool {
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
        !self.has_records() && self.moved.is_empty() && self.remove.is_empty() && self.remove_with_appends.is_empty()
    }

    /// When the next commit is to be handed over, if the store is free.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        if self.has_records() { Some(now) } else { self.since.map(|since| since + COMPANY) }
    }

    /// Takes as much as one commit does.
    pub(super) fn take(&mut self) -> Commit {
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
        if self.append.is_empty() {
            commit.remove_with_appends = std::mem::take(&mut self.remove_with_appends);
        }
        (self.since, self.moved_urgently) = (None, false);
        commit
    }
}
