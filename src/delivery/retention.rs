//! When remembered ids may be forgotten: after the window, a little in every commit, and never on a clock's word alone.
//!
//! Times are arguments. Does not depend on SQLite.

use std::time::{Duration, Instant};

use super::store::seq_of_second;

/// A wall clock that moved this much more or less than the monotonic one has jumped.
const JUMP: Duration = Duration::from_mins(1);
/// After a jump nothing is forgotten for this long (or for the window, where that is shorter).
const HOLD: Duration = Duration::from_hours(1);
/// After a start, when no jump can be seen yet.
const HOLD_AT_START: Duration = Duration::from_mins(10);
/// A receipt this much later than a clock that is believed is dated by a clock that has jumped.
const AHEAD_S: i64 = 24 * 3600;

/// When a pass of forgetting begins, and what it forgets.
#[derive(Debug)]
pub(super) struct Retention {
    window: Duration,
    clock: Trust,
    next_pass: Instant,
}

impl Retention {
    pub(super) fn new(window: Duration, now: Instant, wall_ms: i64) -> Self {
        Self { window, clock: Trust::new(now, wall_ms, window), next_pass: now }
    }

    /// Whether a pass is to begin.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.next_pass
    }

    /// Begins a pass, unless the clock is not to be believed: what was received before this second is forgotten.
    pub(super) fn begin(&mut self, now: Instant, wall_ms: i64) -> Option<i64> {
        self.next_pass = now + (self.window / 100).clamp(Duration::from_secs(1), Duration::from_mins(1));
        let (believed, jump) = self.clock.check(now, wall_ms);
        if let Some(Jump { moved_ms, passed_ms }) = jump {
            tracing::warn!(moved_ms, passed_ms, "the wall clock jumped; remembered ids are kept for now");
        }
        believed.then(|| wall_ms / 1000 - i64::try_from(self.window.as_secs()).unwrap_or(i64::MAX))
    }

    /// How many seconds a bucket of what is remembered by receipt lasts: an eighth of the window.
    pub(super) fn bucket_seconds(&self) -> i64 {
        i64::try_from(self.window.as_secs() / 8).unwrap_or(i64::MAX).max(1)
    }
}

/// Gives the records their seqs: always a higher one, with the second of receipt in it, by which ids are forgotten. A clock that
/// jumps far ahead must not date them by more than a day: each later one would be as late, long after the clock is right again.
#[derive(Debug)]
pub(super) struct Seqs {
    last: u64,
    clock: Trust,
    /// A time at which the clock was believed, and what it said, Unix seconds.
    believed: (Instant, i64),
}

impl Seqs {
    /// `last` is the last seq that was given, and `pending` the highest one of a pending record.
    pub(super) fn new(last: u64, pending: u64, now: Instant, wall_ms: i64) -> Self {
        let latest = seq_of_second(wall_ms / 1000 + AHEAD_S);
        // No two pending records have the same; of the others only the second counts.
        let last = last.min(latest).max(pending);
        Self { last, clock: Trust::new(now, wall_ms, HOLD), believed: (now, wall_ms / 1000) }
    }

    /// The last one that was given.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// To be called now and then: looks whether the clock may be believed.
    pub(super) fn look(&mut self, now: Instant, wall_ms: i64) {
        let (believed, _) = self.clock.check(now, wall_ms);
        if believed {
            self.believed = (now, wall_ms / 1000);
        }
    }

    pub(super) fn next(&mut self, received_at_ms: i64, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.believed.0).as_secs();
        let latest = self.believed.1.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX)).saturating_add(AHEAD_S);
        self.last = seq_of_second((received_at_ms / 1000).min(latest)).max(self.last + 1);
        self.last
    }

    /// The second that the next seq has at least, Unix seconds.
    #[cfg(test)]
    fn second(&self) -> i64 {
        super::store::second_of_seq(self.last)
    }
}

/// How far the wall clock and the monotonic one went from one look to the next.
#[derive(Debug)]
struct Jump {
    moved_ms: i64,
    passed_ms: i64,
}

/// Whether the wall clock may be believed.
#[derive(Debug)]
struct Trust {
    seen: (Instant, i64),
    hold_until: Instant,
    hold: Duration,
}

impl Trust {
    fn new(now: Instant, wall_ms: i64, window: Duration) -> Self {
        Self { seen: (now, wall_ms), hold_until: now + HOLD_AT_START.min(window), hold: HOLD.min(window) }
    }

    /// Whether it may be believed now, which it may not for a while after it jumped against the monotonic one; and the jump, where
    /// this look found one.
    fn check(&mut self, now: Instant, wall_ms: i64) -> (bool, Option<Jump>) {
        let (then, wall_then) = std::mem::replace(&mut self.seen, (now, wall_ms));
        let passed_ms = i64::try_from(now.duration_since(then).as_millis()).unwrap_or(i64::MAX);
        let moved_ms = wall_ms.saturating_sub(wall_then);
        let jumped = u128::from(moved_ms.abs_diff(passed_ms)) > JUMP.as_millis();
        if jumped {
            self.hold_until = now + self.hold;
        }
        (now >= self.hold_until, jumped.then_some(Jump { moved_ms, passed_ms }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_clock_that_jumps_forward_forgets_nothing_for_an_hour() {
        let start = Instant::now();
        let mut trust = Trust::new(start, 0, 48 * HOUR);
        assert!(!trust.check(start + HOUR / 60, 60_000).0, "held after a start");
        assert!(trust.check(start + HOUR, 3_600_000).0);
        let three_days = 3 * 24 * 3_600_000;
        assert!(!trust.check(start + HOUR + JUMP, 3_660_000 + three_days).0);
        assert!(!trust.check(start + HOUR + JUMP + HOUR / 2, 5_460_000 + three_days).0);
        assert!(trust.check(start + 2 * HOUR + JUMP, 7_260_000 + three_days).0);
    }

    #[test]
    fn a_clock_that_jumps_back_is_not_believed_either() {
        let start = Instant::now();
        let mut trust = Trust::new(start, 10_000_000_000, 48 * HOUR);
        assert!(trust.check(start + HOUR, 10_003_600_000).0);
        assert!(!trust.check(start + HOUR + JUMP, 1_000).0);
    }

    #[test]
    fn a_clock_that_jumps_far_ahead_dates_no_record_by_more_than_a_day() {
        let start = Instant::now();
        let today = 1_700_000_000;
        let mut seqs = Seqs::new(seq_of_second(today), 0, start, today * 1000);
        let in_a_month = today + 30 * 24 * 3600;
        let first = seqs.next(in_a_month * 1000, start);
        seqs.look(start + JUMP, in_a_month * 1000);
        let second = seqs.next(in_a_month * 1000, start + JUMP);
        assert!(first < second, "{first} {second}");
        assert!(seqs.second() <= today + AHEAD_S + 60, "{}", seqs.second());
        // The clock is right again, and two days later so are the records.
        seqs.look(start + 48 * HOUR, (today + 48 * 3600) * 1000);
        seqs.next((today + 48 * 3600) * 1000, start + 48 * HOUR);
        assert_eq!(seqs.second(), today + 48 * 3600);
    }

    #[test]
    fn a_start_after_such_a_jump_goes_on_behind_what_is_pending_and_else_from_today() {
        let (start, today) = (Instant::now(), 1_700_000_000);
        let in_a_month = seq_of_second(today + 30 * 24 * 3600);
        let mut seqs = Seqs::new(in_a_month, 0, start, today * 1000);
        seqs.next(today * 1000, start);
        assert!(seqs.second() <= today + AHEAD_S);
        let mut seqs = Seqs::new(in_a_month, in_a_month, start, today * 1000);
        assert!(seqs.next(today * 1000, start) > in_a_month, "a pending record has that one");
    }

    #[test]
    fn a_slow_drift_is_no_jump() {
        let start = Instant::now();
        let mut trust = Trust::new(start, 0, Duration::from_secs(1));
        for minute in 1..600_u32 {
            let wall = i64::from(minute) * 60_500;
            assert!(trust.check(start + minute * JUMP, wall).0, "minute {minute}");
        }
    }
}
