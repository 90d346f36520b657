//! Log lines about an application that does not answer well: the first of each kind at once, then at most one in 10 s with
//! the number since.
//!
//! Does not depend on what happened: it sees failures.

use std::{sync::Arc, time::Instant};

use super::{super::refusal::limit::Limited, Failure};
use crate::metrics::UpstreamResult;

/// What was logged when, by result.
pub(super) struct Reports {
    account: Arc<str>,
    began: Instant,
    lines: [Limited; UpstreamResult::ALL.len()],
}

impl Reports {
    pub(super) fn new(account: Arc<str>) -> Self {
        Self { account, began: Instant::now(), lines: Default::default() }
    }

    /// Logs a failure, or counts it for the next line.
    pub(super) fn failed(&self, failure: &Failure) {
        let result = failure.result();
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Some(since) = self.lines.get(result as usize).and_then(|line| line.due(now_ms)) else { return };
        let (account, result) = (&self.account, result.label());
        tracing::warn!(%account, result, since, "the upstream failed: {failure}");
    }
}
