//! The four lanes of the coordinator, by their names.

use std::{sync::Arc, time::Instant};

use super::super::{
    Lane,
    inbox::Reply,
    pending::{Amount, Pending},
    submission::Sending,
};

/// The records of one lane.
pub(in crate::delivery) type InLane = Pending<Arc<Sending>, Reply>;

/// By `Lane as usize`.
pub(in crate::delivery) struct Lanes([InLane; 4]);

impl Lanes {
    pub(in crate::delivery) fn new(lanes: [InLane; 4]) -> Self {
        Self(lanes)
    }

    pub(in crate::delivery) fn get(&mut self, lane: Lane) -> &mut InLane {
        let [events, dlq, other, parked] = &mut self.0;
        match lane {
            Lane::Events => events,
            Lane::Dlq => dlq,
            Lane::Other => other,
            Lane::Parked => parked,
        }
    }

    pub(super) fn each(&mut self) -> impl Iterator<Item = &mut InLane> {
        self.0.iter_mut()
    }

    /// Nothing in memory is left to send to a topic, or nothing can be sent.
    pub(super) fn are_drained(&self) -> bool {
        self.0.iter().take(Lane::FORWARDED.len()).all(Pending::is_drained)
    }

    /// What memory holds.
    pub(super) fn memory(&self) -> Amount {
        self.0.iter().map(Pending::memory).fold(Amount { records: 0, bytes: 0 }, |all, lane| Amount {
            records: all.records + lane.records,
            bytes: all.bytes + lane.bytes,
        })
    }

    /// Records of which memory alone has something.
    pub(super) fn not_on_disk(&self) -> usize {
        self.0.iter().map(Pending::not_on_disk).sum()
    }

    /// When the next one has something to do. `store_is_free`: the store can be handed what has waited long.
    pub(super) fn due(&self, store_is_free: bool) -> Option<Instant> {
        let due = self.0.iter().filter_map(Pending::due);
        let store_due = self.0.iter().filter_map(Pending::store_due).filter(|_| store_is_free);
        due.chain(store_due).min()
    }
}
