//! Which events are known and which nonces were used: what becomes of a submission.
//!
//! Decides, and does nothing else. Does not depend on I/O.

use std::collections::{HashMap, HashSet};

use super::super::{
    Lane,
    nonces::Nonces,
    pending::{Due, Found, Memory, Seq},
    store::{Commit, Id, Known as Stored, NonceUse},
    submission::{Binding, Sending, Submission},
};
use crate::event::EventId;

/// Ids and nonces that one commit writes.
const AT_ONCE: usize = 4096;

/// Where the record of a known event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Place {
    /// In a lane, pending, or acknowledged not long ago.
    In(Lane, Seq),
    /// Refused by the DLQ topic too, and kept in the spool.
    Parked(Seq),
    InKafka,
}

impl Place {
    /// Where the store says that a record is.
    pub(in crate::delivery) fn of(stored: Stored) -> Self {
        match stored.lane {
            Some(Lane::Parked) => Self::Parked(stored.seq),
            Some(lane @ (Lane::Events | Lane::Dlq | Lane::Other)) => Self::In(lane, stored.seq),
            None => Self::InKafka,
        }
    }

    /// `None`: the store has its id already.
    fn seq(self) -> Option<Seq> {
        match self {
            Self::In(_, seq) | Self::Parked(seq) => Some(seq),
            Self::InKafka => None,
        }
    }
}

/// Makes what is delivered in place of a submission whose nonce came with another event.
pub(super) type Instead = Box<dyn FnOnce() -> Submission + Send>;

/// What a submission is.
pub(super) enum Fate {
    New,
    /// Its event is known, and the first copy there.
    Duplicate(Place),
    /// The store has to say.
    Undecided(Question),
    /// Its nonce came with another event.
    NonceReused(Instead),
}

/// What the store is asked.
pub(super) struct Question {
    /// Whether it came with another event, and what is delivered in that case.
    pub(super) nonce: Option<(NonceUse, Instead)>,
    /// The event is known already: only its nonce is in question.
    pub(super) nonce_only: bool,
}

/// Ids that a commit writes.
pub(super) type Ids = Vec<Due<(usize, EventId), Place>>;

/// See the module.
pub(in crate::delivery) struct Known {
    ids: Memory<(usize, EventId), Place>,
    nonces: Nonces,
    /// Of undecided records.
    instead: HashMap<Seq, Instead>,
    /// Records of the spool that do not read: a re-delivery of one is the only copy.
    lost: HashSet<(Lane, Seq)>,
}

impl Known {
    pub(in crate::delivery) fn new(ids: Memory<(usize, EventId), Place>) -> Self {
        Self { ids, nonces: Nonces::default(), instead: HashMap::new(), lost: HashSet::new() }
    }

    /// Takes the submission's binding out of it.
    pub(super) fn judge(&mut self, submission: &mut Submission) -> Fate {
        let Submission { account, event_id, event_time, received_at_ms, .. } = *submission;
        let mut nonce = None;
        if let Some(Binding { signature, instead }) = submission.binding.take() {
            let used = NonceUse { account, signature, event_id, received_s: received_at_ms / 1000 };
            match (self.nonces.find(account, &signature), instead) {
                (Some(first), Some(instead)) if first != event_id => return Fate::NonceReused(instead),
                (Some(_), _) => {}
                (None, instead) => {
                    self.nonces.insert(&used);
                    match instead {
                        Some(instead) => nonce = Some((used, instead)),
                        // It stays what it is: nothing depends on what the store says.
                        None => self.nonces.save(used),
                    }
                }
            }
        }
        let found = match self.ids.find(event_time, &(account, event_id)) {
            Found::Known(Place::In(lane, seq)) if self.lost.contains(&(lane, seq)) => Found::New,
            found @ (Found::New | Found::AskStore | Found::Known(_)) => found,
        };
        match (found, nonce) {
            (Found::New, None) => Fate::New,
            (Found::Known(place), None) => Fate::Duplicate(place),
            (Found::Known(_), nonce) => Fate::Undecided(Question { nonce, nonce_only: true }),
            (Found::New | Found::AskStore, nonce) => Fate::Undecided(Question { nonce, nonce_only: false }),
        }
    }

    /// Records of the spool do not read.
    pub(super) fn lose(&mut self, lane: Lane, seqs: Vec<Seq>) {
        self.lost.extend(seqs.into_iter().map(|seq| (lane, seq)));
    }

    /// Where the first copy of an event is.
    pub(super) fn find(&self, sending: &Sending) -> Option<Place> {
        let id = sending.id?;
        match self.ids.find(id.event_time, &(id.account, id.event_id)) {
            Found::Known(place) => Some(place),
            Found::New | Found::AskStore => None,
        }
    }

    /// The record of an event is there now.
    pub(super) fn is_at(&mut self, sending: &Sending, place: Place) {
        if let Some(Id { account, event_time, event_id }) = sending.id {
            self.ids.insert(event_time, (account, event_id), place);
        }
    }

    /// The store says where the first copy of an event is. What memory says is younger.
    pub(super) fn first_copy(&mut self, sending: &Sending, duplicate: Place, stored: Stored) -> Place {
        match self.find(sending) {
            // It was refused since the transaction: its DLQ record is the first copy now.
            Some(place) if place != duplicate => place,
            Some(_) | None => {
                let place = Place::of(stored);
                self.is_at(sending, place);
                self.stored(sending, place);
                place
            }
        }
    }

    /// An event is acknowledged: the next commit writes its id.
    pub(super) fn acked(&mut self, sending: &Sending) {
        if let Some(Id { account, event_time, event_id }) = sending.id {
            self.ids.acked(event_time, (account, event_id));
        }
    }

    /// A record is committed, and its event's id with it.
    pub(super) fn committed(&mut self, sending: &Sending, lane: Lane, seq: Seq) {
        // One that was refused meanwhile is at another place, which the store does not have yet.
        self.stored(sending, Place::of(Stored { lane: Some(lane), seq }));
    }

    fn stored(&mut self, sending: &Sending, place: Place) {
        if let Some(Id { account, event_time, event_id }) = sending.id {
            self.ids.stored(event_time, &(account, event_id), place);
        }
    }

    /// An event was not accepted: the next delivery of it is new.
    pub(super) fn forget(&mut self, sending: &Sending) {
        if let Some(Id { account, event_time, event_id }) = sending.id {
            self.ids.forget(event_time, &(account, event_id));
        }
        self.forget_nonce(sending);
    }

    pub(super) fn forget_nonce(&mut self, sending: &Sending) {
        if let Some(signature) = sending.signature {
            self.nonces.forget(sending.account.unwrap_or_default(), &signature);
        }
    }

    /// Keeps what is delivered in place of an undecided record, should its nonce have come with another event.
    pub(super) fn keep_instead(&mut self, seq: Seq, instead: Instead) {
        self.instead.insert(seq, instead);
    }

    pub(super) fn take_instead(&mut self, seq: Seq) -> Option<Instead> {
        self.instead.remove(&seq)
    }

    /// The store is to get a nonce use with the next commit.
    pub(super) fn save_nonce(&mut self, used: NonceUse) {
        self.nonces.save(used);
    }

    /// Ids or nonces wait for the next commit.
    pub(super) fn has_unsaved(&self) -> bool {
        self.ids.has_due() || self.nonces.has_unsaved()
    }

    /// Ids that wait for the next commit.
    pub(super) fn unsaved_ids(&self) -> usize {
        self.ids.due_len()
    }

    /// Adds ids and nonces to a commit. Returns the ids, for [`saved`](Self::saved).
    pub(super) fn fill(&self, commit: &mut Commit) -> Ids {
        let ids = self.ids.due(AT_ONCE);
        let with_seq = ids.iter().filter_map(|due| {
            let (account, event_id) = due.key;
            Some((Id { account, event_time: due.second, event_id }, due.place.seq()?))
        });
        commit.ids = with_seq.collect();
        commit.nonces = self.nonces.unsaved(AT_ONCE);
        ids
    }

    /// They are committed.
    pub(super) fn saved(&mut self, ids: &Ids, nonces: &[NonceUse]) {
        self.ids.saved(ids);
        self.nonces.saved(nonces);
    }
}
