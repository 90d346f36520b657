//! The coordinator's side of the store: what gathers for the next commit, and when that is handed over.

use std::time::{Duration, Instant};

use super::{
    super::{
        AnswerAfter, Lane,
        next_commit::NextCommit,
        pending::{Pending, Seq},
        retention::Seqs,
        store::{Append, Removal, Status, Store},
    },
    known::{Ids, Known},
    lanes::Lanes,
};
use crate::clock;

/// How often the store gets a commit, be it an empty one, and how long after a failed read it is asked again.
pub(super) const TICK: Duration = Duration::from_millis(500);
/// Removals that wait, above which nothing more is read from the disk: it takes none at the moment.
const REMOVALS: usize = 65_536;

/// See the module.
pub(in crate::delivery) struct Spooling {
    pub(super) store: Store,
    pub(super) next: NextCommit,
    answer_after: AnswerAfter,
    /// A commit is under way; these ids are in it.
    writing: Option<Ids>,
    /// Lanes whose database did not read, and when it is tried again.
    unread: Vec<(Lane, Instant)>,
    works: bool,
    /// The spool has reached `spool.max_bytes`.
    full: bool,
}

impl Spooling {
    pub(in crate::delivery) fn new(store: Store, answer_after: AnswerAfter) -> Self {
        let (next, writing, unread) = (NextCommit::default(), None, Vec::new());
        Self { store, next, answer_after, writing, unread, works: true, full: false }
    }

    pub(super) fn works(&self) -> bool {
        self.works
    }

    /// The store can be handed a commit.
    pub(super) fn is_free(&self) -> bool {
        self.writing.is_none()
    }

    /// The store has reported what it was handed. Returns the ids that were in it.
    pub(super) fn reported(&mut self) -> Ids {
        self.writing.take().unwrap_or_default()
    }

    /// How the store is. Whether it has begun to take records again.
    pub(super) fn set_status(&mut self, status: Status) -> bool {
        let again = status.works && (!self.works || self.full && !status.full);
        (self.works, self.full) = (status.works, status.full);
        again
    }

    /// When something is to be done for the store.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let next = self.next.due(now).filter(|_| self.is_free());
        next.into_iter().chain(self.unread.iter().map(|(_, at)| *at)).min()
    }

    /// Asks for records of a lane, unless the disk takes no removals: then later.
    pub(super) fn read(&mut self, lane: Lane, after: Seq, upto: Seq, now: Instant) {
        if self.next.removals() < REMOVALS {
            self.store.read(lane, after, upto);
        } else {
            self.read_later(lane, now);
        }
    }

    pub(super) fn read_later(&mut self, lane: Lane, now: Instant) {
        self.unread.push((lane, now + TICK));
    }

    /// Nothing waits for the store, and it is done.
    pub(super) fn is_done(&self, known: &Known) -> bool {
        self.is_free() && !self.has_unstored(known)
    }

    fn has_unstored(&self, known: &Known) -> bool {
        !self.next.is_empty() || known.has_unsaved()
    }

    /// Hands the store its next commit, if it is free and something is due; `all`: whatever there is. Whether it did.
    pub(super) fn hand_over(
        &mut self,
        lanes: &mut Lanes,
        known: &Known,
        seqs: &mut Seqs,
        all: bool,
        now: Instant,
    ) -> bool {
        self.unread.retain(|(lane, at)| {
            let due = *at <= now;
            if due {
                lanes.get(*lane).not_loaded();
            }
            !due
        });
        // What is acknowledged while the store is busy need not be stored, unless the answer waits for the disk.
        if self.is_free() || self.answer_after == AnswerAfter::Disk {
            self.gather(lanes, now);
        }
        if !self.is_free() {
            return false;
        }
        let ticks = self.next.handed_over().is_none_or(|at| now >= at + TICK);
        if ticks {
            seqs.look(now, clock::unix_millis());
            if !self.works {
                // Tried again, with all that memory alone holds.
                lanes.each().for_each(Pending::disk_works);
                self.gather(lanes, now);
            }
        }
        if known.has_unsaved() {
            self.next.wait(now);
        }
        let due = if all { self.has_unstored(known) } else { self.next.due(now).is_some_and(|due| due <= now) };
        if !due && !ticks {
            return false;
        }
        let dlq = lanes.get(Lane::Dlq);
        let mut commit = self.next.take(|seq| dlq.is_unstored(seq), now);
        self.writing = Some(known.fill(&mut commit));
        commit.last_seq = seqs.last();
        self.store.hand_over(commit);
        true
    }

    /// Takes what the store is to take.
    fn gather(&mut self, lanes: &mut Lanes, now: Instant) {
        for lane in Lane::ALL {
            let records = lanes.get(lane);
            for (seq, sending) in records.take_to_store(now) {
                self.next.append(Append { lane, seq, sending: sending.clone() });
            }
            let removals = records.take_removals().into_iter();
            self.next.remove(removals.map(|(seq, bytes)| Removal { lane, seq, bytes }), now);
        }
    }
}
