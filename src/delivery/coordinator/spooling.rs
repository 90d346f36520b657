//! When the store is handed its next commit, and when a read is tried again.
//!
//! Does not depend on the store itself.

use std::time::{Duration, Instant};

use super::{
    super::{AnswerAfter, Lane, next_commit::NextCommit, pending::Pending, store::Commit},
    known::Ids,
    records::Records,
};
use crate::clock;

/// How often the store gets a commit, be it an empty one, and how long after a failed read it is asked again.
pub(super) const TICK: Duration = Duration::from_millis(500);

/// See the module.
pub(in crate::delivery) struct Spooling {
    answer_after: AnswerAfter,
    /// A commit is under way; these ids are in it.
    writing: Option<Ids>,
    /// Lanes whose database did not read, and when it is tried again.
    unread: Vec<(Lane, Instant)>,
}

impl Spooling {
    pub(in crate::delivery) fn new(answer_after: AnswerAfter) -> Self {
        Self { answer_after, writing: None, unread: Vec::new() }
    }

    /// The store can be handed a commit.
    pub(super) fn is_free(&self) -> bool {
        self.writing.is_none()
    }

    /// The store has reported what it was handed. Returns the ids that were in it.
    pub(super) fn reported(&mut self) -> Ids {
        self.writing.take().unwrap_or_default()
    }

    /// When something is to be done for the store.
    pub(super) fn due(&self, next: &NextCommit, now: Instant) -> Option<Instant> {
        let next = next.due(now).filter(|_| self.is_free());
        next.into_iter().chain(self.unread.iter().map(|(_, at)| *at)).min()
    }

    /// A lane's records cannot be read now.
    pub(super) fn read_later(&mut self, lane: Lane, now: Instant) {
        self.unread.push((lane, now + TICK));
    }

    /// Nothing waits for the store, and it is done.
    pub(super) fn is_done(&self, records: &Records) -> bool {
        self.is_free() && !records.has_unstored()
    }

    /// What the store is to be handed now, if it is free and something is due; `all`: whatever there is. It counts as handed
    /// over until [`reported`](Self::reported).
    pub(super) fn next_commit(&mut self, records: &mut Records, all: bool, now: Instant) -> Option<Commit> {
        self.unread.retain(|(lane, at)| {
            let due = *at <= now;
            if due {
                records.lanes.get(*lane).not_loaded();
            }
            !due
        });
        // What is acknowledged while the store is busy need not be stored, unless the answer waits for the disk.
        if self.is_free() || self.answer_after == AnswerAfter::Disk {
            records.gather(now);
        }
        if !self.is_free() {
            return None;
        }
        let ticks = records.next.handed_over().is_none_or(|at| now >= at + TICK);
        if ticks {
            records.seqs.look(now, clock::unix_millis());
            if !records.disk_works {
                // Tried again, with all that memory alone holds.
                records.lanes.each().for_each(Pending::disk_works);
                records.gather(now);
            }
        }
        if records.known.has_unsaved() {
            records.next.wait(now);
        }
        let due = if all { records.has_unstored() } else { records.next.due(now).is_some_and(|due| due <= now) };
        (due || ticks).then(|| {
            let (commit, ids) = records.next_commit(now);
            self.writing = Some(ids);
            commit
        })
    }
}
