//! How often something is done that any request can cause: without a lock, the time is an argument.

use std::sync::atomic::{AtomicU64, Ordering};

/// Between two lines of one kind.
const LINE_EVERY_MS: u64 = 10_000;

/// Lets one line through at once, then one in 10 s, each with how many there were since the last.
#[derive(Debug, Default)]
pub(in crate::http) struct Limited {
    /// When the next line may come, milliseconds.
    due_ms: AtomicU64,
    since: AtomicU64,
}

impl Limited {
    /// How many there were since the last line, this one included, when a line is due.
    pub(in crate::http) fn due(&self, now_ms: u64) -> Option<u64> {
        self.since.fetch_add(1, Ordering::Relaxed);
        let due = self.due_ms.load(Ordering::Relaxed);
        let next = now_ms + LINE_EVERY_MS;
        let mine =
            now_ms >= due && self.due_ms.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        mine.then(|| self.since.swap(0, Ordering::Relaxed))
    }
}

/// A number at once, and then so many a second.
#[derive(Debug)]
pub(in crate::http) struct Rate {
    /// Microseconds of one.
    interval: u64,
    /// Microseconds of a burst.
    burst: u64,
    /// When all that was taken would have been taken at the even rate, microseconds.
    taken: AtomicU64,
}

impl Rate {
    /// At most `burst` at once, and `a_second` in the long run.
    pub(in crate::http) const fn new(a_second: u64, burst: u64) -> Self {
        let interval = 1_000_000 / a_second;
        Self { interval, burst: interval * burst, taken: AtomicU64::new(0) }
    }

    /// Whether one more may be.
    pub(in crate::http) fn take(&self, now_us: u64) -> bool {
        let next = |taken: u64| {
            let next = taken.max(now_us) + self.interval;
            (next <= now_us + self.burst).then_some(next)
        };
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_comes_at_once_and_the_next_after_ten_seconds_with_the_number_since() {
        let limited = Limited::default();
        assert_eq!(limited.due(0), Some(1));
        for now_ms in [0, 1, 5_000, 9_999] {
            assert_eq!(limited.due(now_ms), None, "{now_ms}");
        }
        assert_eq!(limited.due(10_000), Some(5));
        assert_eq!(limited.due(19_999), None);
        assert_eq!(limited.due(100_000), Some(2));
    }

    #[test]
    fn a_burst_is_taken_at_once_and_then_the_rate() {
        let rate = Rate::new(20, 1000);
        let taken = |now_us: u64, tries: usize| (0..tries).filter(|_| rate.take(now_us)).count();
        assert_eq!(taken(5, 5_000), 1000);
        assert_eq!(taken(1_000_005, 5_000), 20);
        assert_eq!(taken(1_025_005, 5_000), 0);
        assert_eq!(taken(3_600_000_000, 5_000), 1000, "an hour later it is rested");
    }
}
