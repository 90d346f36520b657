//! What becomes of each record: new or known, safe or not, refused, moved, stored.
//!
//! Owns all state of pending records, and speaks to no device: what is to be sent is asked of the lanes, what is to be stored
//! gathers in `next`. Does not depend on I/O.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Instant,
};

use super::{
    super::{
        AnswerAfter, Lane,
        broker::{Acked, detail, label},
        inbox::Reply,
        next_commit::NextCommit,
        pending::{Arrival, Failure, New, Pending, Refused, Seq, Waiting, acknowledged},
        retention::Seqs,
        store::{Append, Commit, Committed, Decided, Decision, Done, Moved, Read, Removal, Status, Undecided, size_of},
        submission::{Sending, Submission},
    },
    dead_letters::DeadLetters,
    known::{Fate, Ids, Known, Place, Question},
    lanes::Lanes,
    observer::Observer,
};

/// See the module.
pub(in crate::delivery) struct Records {
    pub(in crate::delivery) answer_after: AnswerAfter,
    /// False: the spool is the store.
    pub(in crate::delivery) has_kafka: bool,
    pub(in crate::delivery) lanes: Lanes,
    pub(in crate::delivery) known: Known,
    pub(in crate::delivery) dead_letters: DeadLetters,
    pub(in crate::delivery) seqs: Seqs,
    /// What the store is to take with its next commit.
    pub(in crate::delivery) next: NextCommit,
    /// The last commit did not fail.
    pub(in crate::delivery) disk_works: bool,
    /// The spool has reached `spool.max_bytes`.
    pub(in crate::delivery) spool_full: bool,
    pub(in crate::delivery) observer: Observer,
    pub(in crate::delivery) keys: RandomState,
}

impl Records {
    /// Takes a record in. `waiting` waits for its answer, or for that of its first copy.
    pub(super) fn submit(&mut self, mut submission: Submission, mut waiting: Waiting<Reply>, now: Instant) {
        let signature = submission.binding.as_ref().map(|binding| binding.signature);
        let question = match self.known.judge(&mut submission) {
            Fate::New => None,
            Fate::Undecided(question) => Some(question),
            Fate::Duplicate(place) => return self.join(place, waiting, now),
            Fate::NonceReused(instead) => {
                waiting.iter_mut().for_each(|(reply, _)| reply.nonce_reused = true);
                return self.submit(instead(), waiting, now);
            }
        };
        let Submission { lane, account, received_at_ms, .. } = submission;
        let (seq, id) = (Seq(self.seqs.next(received_at_ms, now)), Some(submission.id()));
        let record = submission.record;
        let sending = Arc::new(Sending { record, account: Some(account), received_at_ms, id, signature });
        if question.as_ref().is_none_or(|question| !question.nonce_only) {
            self.known.is_at(&sending, Place::In(lane, seq));
            if !self.disk_works {
                self.observer.bypassed(1);
            }
        }
        let arrival = if question.is_some() { Arrival::Undecided } else { Arrival::New };
        if let Some(Question { nonce, nonce_only }) = question {
            let append = Append { lane, seq, sending: Arc::clone(&sending) };
            let nonce = nonce.map(|(used, instead)| {
                self.known.keep_instead(seq, instead);
                used
            });
            self.next.decide(Undecided { append, nonce, nonce_only });
        }
        let (key, bytes) = (self.key(&sending), size_of(&sending.record));
        self.lanes.get(lane).add(New { seq, key, bytes, payload: sending, waiting, arrival }, now);
    }

    fn key(&self, sending: &Sending) -> Option<u64> {
        sending.record.key.as_ref().map(|key| self.keys.hash_one(key))
    }

    /// Duplicates wait for what the record at `place` waits for.
    fn join(&mut self, place: Place, waiting: Waiting<Reply>, now: Instant) {
        for (mut reply, since) in waiting {
            reply.duplicate = true;
            match place {
                Place::In(lane, seq) => self.lanes.get(lane).join(seq, reply, since, now),
                Place::Parked(seq) => self.dead_letters.wait(seq, reply),
                Place::InKafka => reply.answer(acknowledged(self.answer_after), self.has_kafka),
            }
        }
    }

    /// The store has said whether a record's event is new; in a transaction that was committed, or by reading alone.
    fn decided(&mut self, decided: Decided, committed: bool, now: Instant) {
        let Decided { undecided: Undecided { append, nonce, nonce_only: _ }, decision } = decided;
        let (lane, seq) = (append.lane, append.seq);
        let instead = self.known.take_instead(seq);
        match decision {
            Decision::Stored(proof) => {
                self.lanes.get(lane).decided_new(seq);
                self.stored(&[(append, proof)], now);
            }
            Decision::NotStored => {
                if let Some(used) = nonce {
                    self.known.save_nonce(used);
                }
                self.observer.bypassed(usize::from(committed));
                self.lanes.get(lane).decided_new(seq);
                self.not_stored_of(lane, &[seq], now);
            }
            Decision::Duplicate(first) => {
                let first = self.known.first_copy(&append.sending, Place::In(lane, seq), first);
                let waiting = self.lanes.get(lane).take_duplicate(seq);
                self.join(first, waiting, now);
            }
            Decision::NonceFits => {
                let waiting = self.lanes.get(lane).take_duplicate(seq);
                match self.known.find(&append.sending) {
                    Some(place) => self.join(place, waiting, now),
                    // The first copy was not accepted meanwhile.
                    None => self.submit(Submission::again(lane, &append.sending), waiting, now),
                }
            }
            Decision::NonceReused => {
                let mut waiting = self.lanes.get(lane).take_duplicate(seq);
                self.known.forget_nonce(&append.sending);
                if self.known.find(&append.sending) == Some(Place::In(lane, seq)) {
                    self.known.forget(&append.sending);
                }
                waiting.iter_mut().for_each(|(reply, _)| reply.nonce_reused = true);
                if let Some(instead) = instead {
                    self.submit(instead(), waiting, now);
                }
            }
        }
    }

    pub(super) fn acked(&mut self, lane: Lane, acked: Acked, now: Instant) {
        let sent = self.lanes.get(lane).first_sent(acked.seq()).unwrap_or(now);
        if let Some(sending) = self.lanes.get(lane).acked(acked, now) {
            self.known.acked(&sending);
            self.observer.acked(lane, &sending, sent, acked.position(), now);
        }
        for refused in self.lanes.get(lane).recover(now) {
            self.refused(lane, refused, now);
        }
    }

    /// A producer gave a record back.
    pub(super) fn failed(&mut self, lane: Lane, seq: Seq, failure: Failure, now: Instant) {
        match failure {
            // Counted once it is sure which record is refused.
            Failure::Refused(_) | Failure::Purged => {}
            Failure::Topic(reason) | Failure::Producer(reason) => self.observer.count_failure(reason),
        }
        for refused in self.lanes.get(lane).failed(seq, failure, now) {
            self.refused(lane, refused, now);
        }
    }

    /// Puts a refused record where it holds up no other, and who waits for it goes along: into the DLQ topic, or, when that
    /// refuses it too, into the spool for good.
    pub(super) fn refused(&mut self, lane: Lane, refused: Refused<Arc<Sending>, Reply>, now: Instant) {
        let Refused { seq, bytes, payload, reason, on_disk, waiting } = refused;
        let (reason, detail) = (label(reason), detail(reason, payload.record.key.is_some()));
        self.observer.refused(lane, reason, detail, now);
        // What the store was not handed yet is not on disk, and does not come there.
        let on_disk = on_disk && !self.next.drop_append(lane, seq);
        let from = on_disk.then_some(Removal { lane, seq, bytes });
        if lane == Lane::Dlq {
            let topic = self.observer.topic(lane);
            tracing::error!(topic, detail, "the DLQ topic refuses a record too; it is parked in the spool");
            self.known.is_at(&payload, Place::Parked(seq));
            self.dead_letters.parks(seq);
            waiting.into_iter().for_each(|(reply, _)| self.dead_letters.wait(seq, reply));
            let to = Append { lane: Lane::Parked, seq, sending: payload };
            return self.next.move_record(Moved { from, to });
        }
        let payload = Arc::new(self.dead_letters.of(&payload, detail));
        let (lane, seq) = (Lane::Dlq, Seq(self.seqs.next(payload.received_at_ms, now)));
        self.known.is_at(&payload, Place::In(lane, seq));
        let arrival = Arrival::Moved { writing: from.is_some() };
        if from.is_some() {
            let to = Append { lane, seq, sending: Arc::clone(&payload) };
            self.next.move_record(Moved { from, to });
        }
        let bytes = size_of(&payload.record);
        self.lanes.get(lane).add(New { seq, key: None, bytes, payload, waiting, arrival }, now);
    }

    /// A commit is done; these ids were in it.
    pub(super) fn committed(&mut self, ids: &Ids, done: Done, now: Instant) {
        let Done { stored, full, moved, decided, nonces, kept } = done;
        self.known.saved(ids, &nonces);
        self.stored(&moved, now);
        for (append, _) in &moved {
            self.dead_letters.parked(append.seq);
        }
        self.stored(&stored, now);
        self.observer.bypassed(full.len());
        self.not_stored(&full, now);
        if !kept.is_empty() {
            self.next.remove_replaced(kept, now);
        }
        for decided in decided {
            self.decided(decided, true, now);
        }
    }

    /// A commit failed. What it was to write waits in memory; what it was to remove, for the next one.
    pub(super) fn not_committed(&mut self, commit: Commit, decided: Vec<Decided>, now: Instant) {
        if self.disk_works {
            self.observer.bypassed(self.lanes.not_on_disk() + self.known.unsaved_ids());
        }
        self.next.remove(commit.remove, now);
        self.next.remove_replaced(commit.replaced, now);
        self.not_moved(commit.moved, now);
        self.not_stored(&commit.append, now);
        for decided in decided {
            self.decided(decided, false, now);
        }
    }

    /// How the store is.
    pub(super) fn disk_is(&mut self, status: Status) {
        if status.works && (!self.disk_works || self.spool_full && !status.full) {
            self.lanes.each().for_each(Pending::disk_works);
        }
        (self.disk_works, self.spool_full) = (status.works, status.full);
    }

    /// These are committed and fsynced, with their ids.
    fn stored(&mut self, stored: &[(Append, Committed)], now: Instant) {
        for lane in Lane::ALL {
            let of_lane = stored.iter().filter(|(append, _)| append.lane == lane);
            let proofs: Vec<_> = of_lane.map(|(_, proof)| *proof).collect();
            self.lanes.get(lane).committed(&proofs, now);
        }
        let handed_over = self.next.handed_over().unwrap_or(now);
        for (append, _) in stored {
            self.observer.stored(append, handed_over);
            self.known.committed(&append.sending, append.lane, append.seq);
        }
    }

    fn not_stored(&mut self, appends: &[Append], now: Instant) {
        for lane in Lane::ALL {
            let of_lane = appends.iter().filter(|append| append.lane == lane);
            let seqs: Vec<_> = of_lane.map(|append| append.seq).collect();
            self.not_stored_of(lane, &seqs, now);
        }
    }

    /// What is given up is new at once: a re-delivery must not join what is gone.
    fn not_stored_of(&mut self, lane: Lane, seqs: &[Seq], now: Instant) {
        for given_up in self.lanes.get(lane).not_committed(seqs, now) {
            self.known.forget(&given_up);
        }
    }

    /// Moves could not be committed. A DLQ record goes on in memory, and what it stands for is removed with the commit that
    /// stores it, or after its ack; a parked one is tried again.
    fn not_moved(&mut self, moved: Vec<Moved>, now: Instant) {
        for moved in moved {
            let seq = moved.to.seq;
            if moved.to.lane == Lane::Parked {
                self.next.move_later(moved, now);
            } else {
                self.not_stored_of(moved.to.lane, &[seq], now);
                self.next.remove_replaced(moved.from.map(|from| (from, seq)), now);
            }
        }
    }

    /// Pending records were read from the spool.
    pub(super) fn read(&mut self, lane: Lane, read: Read, now: Instant) {
        let Read { records, unreadable, upto } = read;
        let row = |Append { seq, sending, .. }| (seq, self.key(&sending), size_of(&sending.record), sending);
        let rows = records.into_iter().map(row).collect();
        self.known.lose(lane, unreadable);
        self.lanes.get(lane).loaded(rows, upto, now);
    }

    /// Something waits for the store.
    pub(super) fn has_unstored(&self) -> bool {
        !self.next.is_empty() || self.known.has_unsaved()
    }

    /// Takes what the store is to take.
    pub(super) fn gather(&mut self, now: Instant) {
        for lane in Lane::ALL {
            let records = self.lanes.get(lane);
            for (seq, sending) in records.take_to_store(now) {
                self.next.append(Append { lane, seq, sending: Arc::clone(sending) });
            }
            let removals = records.take_removals().into_iter();
            self.next.remove(removals.map(|(seq, bytes)| Removal { lane, seq, bytes }), now);
        }
    }

    /// The next commit, and the ids that are in it.
    pub(super) fn next_commit(&mut self, now: Instant) -> (Commit, Ids) {
        let dlq = self.lanes.get(Lane::Dlq);
        let mut commit = self.next.take(|seq| dlq.is_unstored(seq), now);
        let ids = self.known.fill(&mut commit);
        commit.last_seq = self.seqs.last();
        (commit, ids)
    }

    /// Sends the answers that are decided.
    pub(super) fn answer(&mut self) {
        for lane in self.lanes.each() {
            for (reply, verdict) in lane.take_decided() {
                reply.answer(verdict, self.has_kafka);
            }
        }
    }
}
