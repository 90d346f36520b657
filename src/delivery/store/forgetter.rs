//! When remembered ids go: those older than the window, and the oldest ones above the bound, a few in each commit.

use std::time::Instant;

use super::{Batch, SpoolError, buckets::Table};
use crate::{clock, delivery::retention::Retention};

/// Ids forgotten in one commit: bounds how much longer a commit takes for it.
pub(super) const AT_ONCE: u64 = 1000;

/// Forgets ids older than the window, and the oldest ones above the bound, a few in each commit.
#[derive(Debug)]
pub(super) struct Forgetter {
    retention: Retention,
    max_bytes: u64,
    /// A pass is under way, which forgets what is older than this second.
    cutoff: Option<i64>,
}

impl Forgetter {
    pub(super) fn new(retention: Retention, max_bytes: u64) -> Self {
        Self { retention, max_bytes, cutoff: None }
    }

    /// Whether the next commit should forget even when it has nothing else to do.
    pub(super) fn is_due(&self) -> bool {
        self.cutoff.is_some() || self.retention.is_due(Instant::now())
    }

    /// Forgets a little. Returns how many were forgotten before their window was over. What a transaction that fails should
    /// have forgotten is forgotten by the next pass.
    pub(super) fn forget(&mut self, batch: &mut Batch<'_>) -> Result<u64, SpoolError> {
        let early = batch.forget_early(self.max_bytes, AT_ONCE)?;
        let now = Instant::now();
        if self.cutoff.is_none() && self.retention.is_due(now) {
            self.cutoff = self.retention.begin(now, clock::unix_millis());
        }
        if let Some(cutoff) = self.cutoff {
            let more = batch.forget_ids(cutoff, AT_ONCE)? >= AT_ONCE
                || batch.forget_rows(Table::Bound, cutoff, AT_ONCE)? >= AT_ONCE
                || batch.forget_rows(Table::Quarantined, cutoff, AT_ONCE)? >= AT_ONCE;
            self.cutoff = Some(cutoff).filter(|_| more);
        }
        Ok(early)
    }
}
