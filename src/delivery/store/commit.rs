//! What the store is handed, and what it says of it: records, removals, moves, undecided events; and the proof that a record is
//! committed.

use std::sync::Arc;

use super::{Id, Known, row_id};
use crate::{
    delivery::{Lane, pending::Seq, submission::Sending},
    event::EventId,
};

/// The proof that a record is committed and fsynced. Nothing but the store's thread makes one, after the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) struct Committed(Seq);

impl Committed {
    /// The record's place in its lane.
    pub(in crate::delivery) fn seq(self) -> Seq {
        self.0
    }

    /// To be called after the transaction that has the record is committed.
    pub(super) fn of(append: &Append) -> Self {
        Self(append.seq)
    }

    /// For the tests of what follows from it, which have no store.
    #[cfg(test)]
    pub(in crate::delivery) fn in_a_test(seq: Seq) -> Self {
        Self(seq)
    }
}

/// A record to be stored.
#[derive(Debug, Clone)]
pub(in crate::delivery) struct Append {
    pub(in crate::delivery) lane: Lane,
    pub(in crate::delivery) seq: Seq,
    pub(in crate::delivery) sending: Arc<Sending>,
}

/// A signature, and the event that it came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) struct NonceUse {
    pub(in crate::delivery) account: usize,
    pub(in crate::delivery) signature: [u8; 20],
    pub(in crate::delivery) event_id: EventId,
    /// Receipt, Unix seconds.
    pub(in crate::delivery) received_s: i64,
}

/// A record of which the store has to say whether its event is new, and which it takes if so.
#[derive(Debug, Clone)]
pub(in crate::delivery) struct Undecided {
    pub(in crate::delivery) append: Append,
    /// Used by another event, it decides.
    pub(in crate::delivery) nonce: Option<NonceUse>,
    /// The event is known already: only its nonce is in question.
    pub(in crate::delivery) nonce_only: bool,
}

impl Undecided {
    /// What follows from what is known of it; `None`: its event is new. `reused`: its nonce came with another event.
    pub(super) fn decided(&self, reused: bool, known: Option<Known>) -> Option<Decision> {
        match known {
            _ if reused => Some(Decision::NonceReused),
            _ if self.nonce_only => Some(Decision::NonceFits),
            known => known.map(Decision::Duplicate),
        }
    }
}

/// A record that was refused goes to another lane.
#[derive(Debug, Clone)]
pub(in crate::delivery) struct Moved {
    /// Where it is on disk, if it is.
    pub(in crate::delivery) from: Option<Removal>,
    pub(in crate::delivery) to: Append,
}

/// A stored record that is not needed any more.
#[derive(Debug, Clone, Copy)]
pub(in crate::delivery) struct Removal {
    pub(in crate::delivery) lane: Lane,
    pub(in crate::delivery) seq: Seq,
    pub(in crate::delivery) bytes: u64,
}

impl Removal {
    pub(super) fn row_id(&self) -> i64 {
        row_id(self.lane, self.seq.0)
    }
}

/// What one transaction does.
#[derive(Debug, Default)]
pub(in crate::delivery) struct Commit {
    /// The last seq that was given.
    pub(in crate::delivery) last_seq: u64,
    pub(in crate::delivery) remove: Vec<Removal>,
    pub(in crate::delivery) moved: Vec<Moved>,
    pub(in crate::delivery) append: Vec<Append>,
    pub(in crate::delivery) undecided: Vec<Undecided>,
    /// Ids of acknowledged events, each with its record's seq.
    pub(in crate::delivery) ids: Vec<(Id, Seq)>,
    pub(in crate::delivery) nonces: Vec<NonceUse>,
    /// Refused records, each with the seq of the record in its place, which this commit or one before stores: never removed
    /// without it.
    pub(in crate::delivery) replaced: Vec<(Removal, Seq)>,
}

impl Commit {
    pub(in crate::delivery) fn is_empty(&self) -> bool {
        let Self { last_seq: _, remove, moved, append, undecided, ids, nonces, replaced } = self;
        remove.is_empty()
            && moved.is_empty()
            && append.is_empty()
            && undecided.is_empty()
            && ids.is_empty()
            && nonces.is_empty()
            && replaced.is_empty()
    }
}

/// What the store says of an undecided record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Decision {
    /// Its event is new, and its record stored.
    Stored(Committed),
    /// Its event is new, and its record not stored.
    NotStored,
    /// It is a duplicate of this.
    Duplicate(Known),
    /// Its nonce is its own; the rest was known.
    NonceFits,
    /// Its nonce came with another event.
    NonceReused,
}

/// An undecided record and what was decided.
#[derive(Debug)]
pub(in crate::delivery) struct Decided {
    pub(in crate::delivery) undecided: Undecided,
    pub(in crate::delivery) decision: Decision,
}

/// What a commit did.
#[derive(Debug)]
pub(in crate::delivery) struct Done {
    pub(in crate::delivery) stored: Vec<(Append, Committed)>,
    /// Not stored: `spool.max_bytes` is reached.
    pub(in crate::delivery) full: Vec<Append>,
    /// The records in the place of refused ones.
    pub(in crate::delivery) moved: Vec<(Append, Committed)>,
    pub(in crate::delivery) decided: Vec<Decided>,
    pub(in crate::delivery) nonces: Vec<NonceUse>,
    /// Refused records that are not removed: the one in the place of each is in `full`.
    pub(in crate::delivery) kept: Vec<(Removal, Seq)>,
}

/// Whether the record in a refused one's place, `seq`, is among these.
pub(in crate::delivery) fn has_dead_letter(appends: &[Append], seq: Seq) -> bool {
    appends.iter().any(|append| append.lane == Lane::Dlq && append.seq == seq)
}
