//! When remembered ids go: those older than the window, and the oldest ones above the bound, a few in each commit.

use std::time::Instant;

use super::{Batch, SpoolError, buckets::Table, ids::Key};
use crate::{clock, delivery::retention::Retention};

/// Rows looked at in one commit for forgetting: bounds how much longer a commit takes for it.
const FORGET_AT_ONCE: usize = 1000;

/// Forgets ids older than the window, and the oldest ones above the bound, a few in each commit.
#[derive(Debug)]
pub(super) struct Forgetter {
    retention: Retention,
    max_bytes: u64,
    pass: Option<Pass>,
}

#[derive(Debug)]
struct Pass {
    cutoff: i64,
    /// Where it goes on among the ids; `None`: it is through.
    position: Option<Key>,
    /// Tables of buckets that it has not come to the end of.
    buckets: Vec<Table>,
}

impl Forgetter {
    pub(super) fn new(retention: Retention, max_bytes: u64) -> Self {
        Self { retention, max_bytes, pass: None }
    }

    /// Whether the next commit should forget even when it has nothing else to do.
    pub(super) fn is_due(&self) -> bool {
        self.pass.is_some() || self.retention.is_due(Instant::now())
    }

    /// Forgets a little. Returns how many were forgotten before their window was over. What a transaction that fails should
    /// have forgotten is forgotten by the next pass.
    pub(super) fn forget(&mut self, batch: &mut Batch<'_>) -> Result<u64, SpoolError> {
        let early = batch.forget_early(self.max_bytes, FORGET_AT_ONCE)?;
        let now = Instant::now();
        if self.pass.is_none() && self.retention.is_due(now) {
            let buckets = vec![Table::Bound, Table::Quarantined];
            let cutoff = self.retention.begin(now, clock::unix_millis());
            self.pass = cutoff.map(|cutoff| Pass { cutoff, position: Some(Key::MIN), buckets });
        }
        let Some(mut pass) = self.pass.take() else { return Ok(early) };
        if let Some(table) = pass.buckets.last().copied()
            && batch.forget_buckets(table, pass.cutoff, FORGET_AT_ONCE)? < FORGET_AT_ONCE as u64
        {
            pass.buckets.pop();
        }
        if let Some(position) = pass.position.take() {
            pass.position = batch.forget(position, pass.cutoff, FORGET_AT_ONCE)?;
        }
        self.pass = Some(pass).filter(|pass| pass.position.is_some() || !pass.buckets.is_empty());
        Ok(early)
    }
}
