//! When remembered ids may be forgotten: after the window, a little in every batch, and never on a clock's word alone.

use std::time::{Duration, Instant};

use super::spool::{Batch, Position, SpoolError};
use crate::clock;

/// Ids looked at in one batch: bounds how much longer a commit takes for it.
pub(super) const AT_ONCE: usize = 1000;
/// A wall clock that moved this much more or less than the monotonic one has jumped.
const JUMP: Duration = Duration::from_mins(1);
/// After a jump nothing is forgotten for this long (or for the window, where that is shorter).
const HOLD: Duration = Duration::from_hours(1);
/// After a start, when no jump can be seen yet.
const HOLD_AT_START: Duration = Duration::from_mins(10);

/// Forgets ids older than the window, and the oldest ones above the bound.
#[derive(Debug)]
pub(super) struct Forgetter {
    window: Duration,
    max_bytes: u64,
    clock: Trust,
    /// Where the pass under way goes on.
    position: Option<Position>,
    /// The pass under way has bindings left to forget.
    bindings: bool,
    next_pass: Instant,
    cutoff: i64,
}

impl Forgetter {
    pub(super) fn new(window: Duration, max_bytes: u64) -> Self {
        let now = Instant::now();
        Self {
            window,
            max_bytes,
            clock: Trust::new(now, clock::unix_millis(), window),
            position: None,
            bindings: false,
            next_pass: now,
            cutoff: 0,
        }
    }

    /// Whether the next batch should forget even when it has nothing else to do.
    pub(super) fn is_due(&self) -> bool {
        self.position.is_some() || self.bindings || self.begins()
    }

    /// Whether the next batch begins a pass: the recent ids are to be in their places then.
    pub(super) fn begins(&self) -> bool {
        self.position.is_none() && !self.bindings && Instant::now() >= self.next_pass
    }

    /// The bucket of a binding that is received now: the second in which an eighth of the window ends.
    pub(super) fn bucket(&self, received_at_ms: i64) -> i64 {
        let width = i64::try_from(self.window.as_secs() / 8).unwrap_or(i64::MAX).max(1);
        (received_at_ms / 1000).div_euclid(width).saturating_add(1).saturating_mul(width)
    }

    /// Forgets a little. Returns how many ids and bindings were forgotten before their window was over.
    pub(super) fn forget(&mut self, batch: &mut Batch<'_>) -> Result<u64, SpoolError> {
        let early = batch.forget_early(self.max_bytes, AT_ONCE)?;
        if self.position.is_none() && !self.bindings {
            let now = Instant::now();
            if now < self.next_pass {
                return Ok(early);
            }
            self.next_pass = now + (self.window / 100).clamp(Duration::from_secs(1), Duration::from_mins(1));
            let wall = clock::unix_millis();
            if !self.clock.check(now, wall) {
                return Ok(early);
            }
            self.cutoff = wall / 1000 - i64::try_from(self.window.as_secs()).unwrap_or(i64::MAX);
            self.position = Some(Position::default());
            self.bindings = true;
        }
        if self.bindings {
            self.bindings = batch.forget_bindings(self.cutoff, AT_ONCE)? == AT_ONCE as u64;
        }
        if let Some(position) = self.position.take() {
            self.position = batch.forget(&position, self.cutoff, AT_ONCE)?;
        }
        Ok(early)
    }
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

    /// False while the wall clock has just jumped against the monotonic one.
    fn check(&mut self, now: Instant, wall_ms: i64) -> bool {
        let (then, wall_then) = std::mem::replace(&mut self.seen, (now, wall_ms));
        let passed = i64::try_from(now.duration_since(then).as_millis()).unwrap_or(i64::MAX);
        let moved = wall_ms.saturating_sub(wall_then);
        if u128::from(moved.abs_diff(passed)) > JUMP.as_millis() {
            tracing::warn!(
                moved_ms = moved,
                passed_ms = passed,
                "the wall clock jumped; remembered ids are kept for now"
            );
            self.hold_until = now + self.hold;
        }
        now >= self.hold_until
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
        assert!(!trust.check(start + HOUR / 60, 60_000), "held after a start");
        assert!(trust.check(start + HOUR, 3_600_000));
        let three_days = 3 * 24 * 3_600_000;
        assert!(!trust.check(start + HOUR + JUMP, 3_660_000 + three_days));
        assert!(!trust.check(start + HOUR + JUMP + HOUR / 2, 5_460_000 + three_days));
        assert!(trust.check(start + 2 * HOUR + JUMP, 7_260_000 + three_days));
    }

    #[test]
    fn a_clock_that_jumps_back_is_not_believed_either() {
        let start = Instant::now();
        let mut trust = Trust::new(start, 10_000_000_000, 48 * HOUR);
        assert!(trust.check(start + HOUR, 10_003_600_000));
        assert!(!trust.check(start + HOUR + JUMP, 1_000));
    }

    #[test]
    fn a_bucket_ends_after_all_that_is_received_in_it_and_lasts_an_eighth_of_the_window() {
        let forgetter = Forgetter::new(48 * HOUR, 0);
        let hour_ms = 3_600_000;
        for (received_at_ms, hours) in [(0, 6), (6 * hour_ms - 1, 6), (6 * hour_ms, 12)] {
            assert_eq!(forgetter.bucket(received_at_ms), hours * 3600, "{received_at_ms}");
        }
        assert_eq!(Forgetter::new(Duration::from_secs(1), 0).bucket(1500), 2);
    }

    #[test]
    fn a_slow_drift_is_no_jump() {
        let start = Instant::now();
        let mut trust = Trust::new(start, 0, Duration::from_secs(1));
        for minute in 1..600_u32 {
            let wall = i64::from(minute) * 60_500;
            assert!(trust.check(start + minute * JUMP, wall), "minute {minute}");
        }
    }
}
