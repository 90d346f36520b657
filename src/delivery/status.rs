//! What others may ask of the delivery's threads without waiting for them.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::store;

/// A thread that has not been heard of for so long hangs.
const HANGS_AFTER: Duration = Duration::from_secs(5);

/// See the module. Times are milliseconds since the start.
#[derive(Debug)]
pub(super) struct Status {
    started: Instant,
    /// The coordinator's last turn.
    beat: AtomicU64,
    /// When the store was handed its commit; 0: it has none.
    store_since: AtomicU64,
    store_works: AtomicBool,
    full: AtomicBool,
    /// Receipt of the oldest pending record, Unix milliseconds; 0: none.
    oldest_ms: AtomicI64,
    kafka_up: AtomicBool,
}

impl Status {
    /// As after a start: the spool was just opened for writing.
    pub(super) fn new(now: Instant, store: store::Status) -> Self {
        let status = Self {
            started: now,
            beat: AtomicU64::new(0),
            store_since: AtomicU64::new(0),
            store_works: AtomicBool::new(true),
            full: AtomicBool::new(false),
            oldest_ms: AtomicI64::new(0),
            kafka_up: AtomicBool::new(false),
        };
        status.set_store(store);
        status
    }

    fn since_start(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn beat(&self, now: Instant) {
        self.beat.store(self.since_start(now), Ordering::Relaxed);
    }

    /// The store has got a commit, or has reported it.
    pub(super) fn store_is_busy(&self, now: Instant, busy: bool) {
        self.store_since.store(if busy { self.since_start(now).max(1) } else { 0 }, Ordering::Relaxed);
    }

    pub(super) fn set_store(&self, store: store::Status) {
        self.store_works.store(store.works, Ordering::Relaxed);
        self.full.store(store.full, Ordering::Relaxed);
        self.oldest_ms.store(store.oldest_ms, Ordering::Relaxed);
    }

    pub(super) fn set_kafka_up(&self, up: bool) {
        self.kafka_up.store(up, Ordering::Relaxed);
    }

    /// A thread of the delivery hangs.
    pub(super) fn hangs(&self, now: Instant) -> bool {
        let limit = u64::try_from(HANGS_AFTER.as_millis()).unwrap_or(u64::MAX);
        let now = self.since_start(now);
        let store_since = self.store_since.load(Ordering::Relaxed);
        now.saturating_sub(self.beat.load(Ordering::Relaxed)) > limit
            || store_since > 0 && now.saturating_sub(store_since) > limit
    }

    /// The spool takes appends.
    pub(super) fn spool(&self) -> bool {
        self.store_works.load(Ordering::Relaxed) && !self.full.load(Ordering::Relaxed)
    }

    pub(super) fn kafka_up(&self) -> bool {
        self.kafka_up.load(Ordering::Relaxed)
    }

    pub(super) fn oldest_ms(&self) -> i64 {
        self.oldest_ms.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinator_without_a_turn_and_a_store_without_a_report_hang_after_five_seconds() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let status = Status::new(start, store::Status { works: true, full: false, oldest_ms: 0 });
        assert!(!status.hangs(after(5)));
        assert!(status.hangs(after(6)), "no turn");
        status.beat(after(6));
        status.store_is_busy(after(6), true);
        assert!(!status.hangs(after(11)));
        status.beat(after(12));
        assert!(status.hangs(after(12)), "no report");
        status.store_is_busy(after(12), false);
        assert!(!status.hangs(after(12)));
    }
}
