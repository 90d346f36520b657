//! Three rings of points: 15 minutes by the second, 3 hours, 24 hours; 900 points each, whatever the traffic.

use std::{collections::VecDeque, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::CallbackResult;

/// Points of a ring.
const POINTS: usize = 900;
/// Seconds of a point, ring by ring.
const STEPS: [i64; 3] = [1, 12, 96];
/// Latencies by a factor of about 1.19 each: 0.1 ms to some minutes.
const SLOTS: usize = LAST as usize + 1;
const LAST: u8 = 79;

/// How far back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub enum Window {
    /// 15 minutes.
    #[default]
    #[serde(rename = "15m")]
    Quarter,
    /// 3 hours.
    #[serde(rename = "3h")]
    Hours,
    /// 24 hours.
    #[serde(rename = "24h")]
    Day,
}

/// Counts and latencies of one step, as columns of equal length, oldest first.
#[derive(Debug, Default, Clone, Serialize, JsonSchema)]
pub struct Series {
    /// Seconds of a point.
    pub step: i64,
    /// Beginning of each point, Unix seconds.
    pub t: Vec<i64>,
    /// Card events, safe for the first time.
    pub accepted: Vec<u32>,
    /// Of something that was safe already.
    pub duplicate: Vec<u32>,
    /// Not card events.
    pub other: Vec<u32>,
    /// Refused requests.
    pub refused: Vec<u32>,
    /// Verified and unreadable.
    pub quarantined: Vec<u32>,
    /// Answered 503.
    pub overloaded: Vec<u32>,
    /// Median of the pushes' answers, milliseconds; null without pushes.
    pub p50: Vec<Option<f32>>,
    /// 95th percentile, milliseconds.
    pub p95: Vec<Option<f32>>,
    /// 99th percentile, milliseconds.
    pub p99: Vec<Option<f32>>,
    /// Records that wait in the spool at the point's end.
    pub waiting: Vec<u64>,
}

/// Latencies by size.
#[derive(Debug, Clone)]
pub(super) struct Latencies([u32; SLOTS]);

impl Default for Latencies {
    fn default() -> Self {
        Self([0; SLOTS])
    }
}

impl Latencies {
    pub(super) fn add(&mut self, took: Duration) {
        let tenths = (took.as_secs_f64() * 10_000.0).max(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a logarithm of at least 0, bounded"
        )]
        let slot = (tenths.log2() * 4.0).min(f64::from(LAST)) as usize;
        if let Some(count) = self.0.get_mut(slot) {
            *count += 1;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine += theirs;
        }
    }

    /// A percentile, milliseconds: the upper end of its slot.
    #[expect(clippy::cast_precision_loss, reason = "a slot's number")]
    pub(super) fn percentile(&self, percent: u64) -> Option<f32> {
        let all: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        let rank = (all * percent).div_ceil(100).max(1);
        let mut below = 0;
        let slot = self.0.iter().position(|count| {
            below += u64::from(*count);
            below >= rank
        })?;
        Some((0.1 * 2_f32.powf((slot + 1) as f32 / 4.0) * 100.0).round() / 100.0)
    }
}

/// What is counted in a point: groups of results.
const GROUPS: usize = 6;

fn group(result: CallbackResult) -> Option<usize> {
    Some(match result {
        CallbackResult::Accepted => 0,
        CallbackResult::Duplicate => 1,
        CallbackResult::Other => 2,
        CallbackResult::Quarantined => 4,
        CallbackResult::Overloaded => 5,
        CallbackResult::Handshake => return None,
        CallbackResult::BadRequest
        | CallbackResult::BadSignature
        | CallbackResult::Stale
        | CallbackResult::ForbiddenSource
        | CallbackResult::TooLarge
        | CallbackResult::Timeout => 3,
    })
}

#[derive(Debug, Clone, Copy)]
struct Point {
    t: i64,
    counts: [u32; GROUPS],
    percentiles: [Option<f32>; 3],
    waiting: u64,
}

/// One ring, and the step that is under way.
#[derive(Debug, Default)]
struct Ring {
    points: VecDeque<Point>,
    counts: [u32; GROUPS],
    latencies: Latencies,
}

impl Ring {
    fn close(&mut self, t: i64, waiting: u64) {
        let (counts, latencies) = (std::mem::take(&mut self.counts), std::mem::take(&mut self.latencies));
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        let percentiles = [50, 95, 99].map(|percent| latencies.percentile(percent));
        self.points.push_back(Point { t, counts, percentiles, waiting });
    }
}

/// All three rings.
#[derive(Debug, Default)]
pub(super) struct Rings {
    all: [Ring; 3],
    second: [u32; GROUPS],
    latencies: Latencies,
    /// The second that was closed last.
    closed: i64,
}

impl Rings {
    pub(super) fn count(&mut self, result: CallbackResult, took: Option<Duration>) {
        if let Some(count) = group(result).and_then(|group| self.second.get_mut(group)) {
            *count += 1;
        }
        if let Some(took) = took {
            self.latencies.add(took);
        }
    }

    /// The second before `now` is over.
    pub(super) fn tick(&mut self, now: i64, waiting: u64) {
        let (counts, latencies) = (std::mem::take(&mut self.second), std::mem::take(&mut self.latencies));
        let before = if self.closed == 0 { now - 1 } else { self.closed };
        for (ring, step) in self.all.iter_mut().zip(STEPS) {
            for (sum, count) in ring.counts.iter_mut().zip(counts) {
                *sum += count;
            }
            ring.latencies.merge(&latencies);
            // A clock that jumps closes a point early or late, and no point twice.
            if now.div_euclid(step) != before.div_euclid(step) {
                ring.close((now - 1).div_euclid(step) * step, waiting);
            }
        }
        self.closed = now;
    }

    /// A window's points; `last` of them at most.
    pub(super) fn series(&self, window: Window, last: usize) -> Series {
        let place = window as usize;
        let mut series = Series { step: STEPS.get(place).copied().unwrap_or_default(), ..Series::default() };
        let Some(ring) = self.all.get(place) else { return series };
        for point in ring.points.iter().skip(ring.points.len().saturating_sub(last)) {
            let Point { t, counts: [accepted, duplicate, other, refused, quarantined, overloaded], .. } = *point;
            let [p50, p95, p99] = point.percentiles;
            series.t.push(t);
            series.accepted.push(accepted);
            series.duplicate.push(duplicate);
            series.other.push(other);
            series.refused.push(refused);
            series.quarantined.push(quarantined);
            series.overloaded.push(overloaded);
            series.p50.push(p50);
            series.p95.push(p95);
            series.p99.push(p99);
            series.waiting.push(point.waiting);
        }
        series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_within_a_fifth_of_the_truth() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile(99), None);
        for ms in 1..=1000 {
            latencies.add(Duration::from_millis(ms));
        }
        for (percent, truth) in [(50, 500.0), (95, 950.0), (99, 990.0)] {
            let found = latencies.percentile(percent).unwrap();
            assert!(found >= truth && found <= truth * 1.2, "{percent}: {found}");
        }
    }

    #[test]
    fn each_ring_sums_its_steps_and_keeps_900_points() {
        let mut rings = Rings::default();
        for second in 0..2000 {
            rings.count(CallbackResult::Accepted, Some(Duration::from_millis(2)));
            rings.count(CallbackResult::BadSignature, None);
            rings.tick(1_700_000_001 + second, 7);
        }
        let quarter = rings.series(Window::Quarter, usize::MAX);
        assert_eq!((quarter.t.len(), quarter.t.last()), (POINTS, Some(&1_700_001_999)));
        assert!(quarter.accepted.iter().chain(&quarter.refused).all(|count| *count == 1));
        let hours = rings.series(Window::Hours, usize::MAX);
        assert!(hours.accepted[1..].iter().all(|count| *count == 12), "{:?}", hours.accepted);
        assert_eq!(hours.t[2] - hours.t[1], 12);
        assert_eq!(rings.series(Window::Day, 3).waiting, [7, 7, 7]);
    }
}
