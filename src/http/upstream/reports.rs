//! Log lines about an application that does not answer well: the first of each kind at once, then at most one in 10 s with
//! the number since.
//!
//! Does not depend on what happened: it sees failures.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::Failure;
use crate::metrics::UpstreamResult;

const PACE: Duration = Duration::from_secs(10);

/// What was logged when, by result.
pub(super) struct Reports {
    account: Arc<str>,
    last: [Mutex<Option<(Instant, u64)>>; UpstreamResult::ALL.len()],
}

impl Reports {
    pub(super) fn new(account: Arc<str>) -> Self {
        Self { account, last: Default::default() }
    }

    /// Logs a failure, or counts it for the next line.
    pub(super) fn failed(&self, failure: &Failure) {
        let result = failure.result();
        let Some(last) = self.last.get(result as usize) else { return };
        let Some(times) = due(&mut last.lock().unwrap_or_else(PoisonError::into_inner), Instant::now()) else { return };
        let (account, result) = (&self.account, result.label());
        tracing::warn!(%account, result, times, "the upstream failed: {failure}");
    }
}

/// How often it happened since the last line, this time included; `None`: no line yet.
fn due(last: &mut Option<(Instant, u64)>, now: Instant) -> Option<u64> {
    match last {
        Some((logged, unsaid)) if now.duration_since(*logged) < PACE => {
            *unsaid += 1;
            None
        }
        _ => {
            let unsaid = last.map_or(0, |(_, unsaid)| unsaid);
            *last = Some((now, 0));
            Some(unsaid + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_the_others_every_ten_seconds_with_their_number() {
        let (mut last, start) = (None, Instant::now());
        assert_eq!(due(&mut last, start), Some(1));
        for second in 1..10 {
            assert_eq!(due(&mut last, start + Duration::from_secs(second)), None);
        }
        assert_eq!(due(&mut last, start + Duration::from_secs(10)), Some(10));
        assert_eq!(due(&mut last, start + Duration::from_mins(1)), Some(1));
    }
}
