//! Which signatures came with which event, as far as memory knows: the latest uses, and those that the store does not have yet.
//!
//! A use that is not held here is for the store to decide. Does not depend on I/O.

use std::collections::VecDeque;

use hashlink::LinkedHashMap;

use super::store::NonceUse;
use crate::event::EventId;

/// Uses held, and uses that the store is to get; of each the youngest.
const HELD: usize = 65_536;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    uses: LinkedHashMap<(usize, [u8; 20]), EventId>,
    unsaved: VecDeque<NonceUse>,
}

impl Nonces {
    /// The event that this signature came with.
    pub(super) fn find(&self, account: usize, signature: &[u8; 20]) -> Option<EventId> {
        self.uses.get(&(account, *signature)).copied()
    }

    /// Holds a use.
    pub(super) fn insert(&mut self, used: &NonceUse) {
        self.uses.insert((used.account, used.signature), used.event_id);
        if self.uses.len() > HELD {
            self.uses.pop_front();
        }
    }

    /// Its event was not accepted.
    pub(super) fn forget(&mut self, account: usize, signature: &[u8; 20]) {
        self.uses.remove(&(account, *signature));
    }

    /// The store is to get a use with the next commit.
    pub(super) fn save(&mut self, used: NonceUse) {
        self.unsaved.push_back(used);
        if self.unsaved.len() > HELD {
            self.unsaved.pop_front();
        }
    }

    /// Those that the next commit writes, `limit` at most.
    pub(super) fn unsaved(&self, limit: usize) -> Vec<NonceUse> {
        self.unsaved.iter().take(limit).copied().collect()
    }

    pub(super) fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// The commit that wrote these is on disk.
    pub(super) fn saved(&mut self, uses: &[NonceUse]) {
        for used in uses {
            // One that was dropped meanwhile stood before the others.
            if self.unsaved.front() == Some(used) {
                self.unsaved.pop_front();
            }
        }
    }
}
