//! How often something of a closed set was, in the last minutes, the last hour, the last 24 hours, and since the start.

use std::collections::VecDeque;

const MINUTE_MS: i64 = 60_000;

/// `N` counters over time: the last 60 minutes by the minute, 24 hours by the hour, and all.
#[derive(Debug)]
pub(super) struct Counts<const N: usize> {
    /// Newest last, each with its number.
    minutes: VecDeque<(i64, [u32; N])>,
    hours: VecDeque<(i64, [u32; N])>,
    all: [u64; N],
}

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self { minutes: VecDeque::new(), hours: VecDeque::new(), all: [0; N] }
    }
}

impl<const N: usize> Counts<N> {
    pub(super) fn count(&mut self, place: usize, now_ms: i64) {
        let minute = now_ms.div_euclid(MINUTE_MS);
        for (ring, number, longest) in [(&mut self.minutes, minute, 60), (&mut self.hours, minute.div_euclid(60), 25)] {
            if ring.back().is_none_or(|(last, _)| *last < number) {
                if ring.len() == longest {
                    ring.pop_front();
                }
                ring.push_back((number, [0; N]));
            }
            if let Some(count) = ring.back_mut().and_then(|(_, counts)| counts.get_mut(place)) {
                *count += 1;
            }
        }
        if let Some(count) = self.all.get_mut(place) {
            *count += 1;
        }
    }

    /// In the last so many minutes, at most 60; this one counts as one.
    pub(super) fn minutes(&self, last: i64, now_ms: i64) -> [u64; N] {
        sum(&self.minutes, now_ms.div_euclid(MINUTE_MS) - last)
    }

    /// In the last 24 hours; this one counts as one.
    pub(super) fn day(&self, now_ms: i64) -> [u64; N] {
        sum(&self.hours, now_ms.div_euclid(60 * MINUTE_MS) - 24)
    }

    /// In the hour that began so many hours before this one, at most 24.
    pub(super) fn hour_before(&self, hours: i64, now_ms: i64) -> [u64; N] {
        let hour = now_ms.div_euclid(60 * MINUTE_MS) - hours;
        let found = self.hours.iter().find(|(number, _)| *number == hour);
        found.map_or([0; N], |(_, counts)| counts.map(u64::from))
    }

    /// Since the start.
    pub(super) fn all(&self) -> [u64; N] {
        self.all
    }
}

fn sum<const N: usize>(ring: &VecDeque<(i64, [u32; N])>, after: i64) -> [u64; N] {
    let mut sums = [0; N];
    for (_, counts) in ring.iter().rev().take_while(|(number, _)| *number > after) {
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum += u64::from(*count);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_040_000;

    #[test]
    fn each_window_forgets_what_is_older() {
        let mut counts = Counts::<2>::default();
        counts.count(0, NOW);
        counts.count(1, NOW + 4 * MINUTE_MS);
        let later = NOW + 4 * MINUTE_MS;
        assert_eq!(counts.minutes(5, later), [1, 1]);
        assert_eq!(counts.minutes(5, later + MINUTE_MS), [0, 1]);
        assert_eq!(counts.minutes(60, later + 55 * MINUTE_MS), [1, 1]);
        assert_eq!(counts.minutes(60, later + 90 * MINUTE_MS), [0, 0]);
        assert_eq!(counts.day(later + 90 * MINUTE_MS), [1, 1]);
        assert_eq!(counts.day(later + 25 * 60 * MINUTE_MS), [0, 0]);
        assert_eq!(counts.hour_before(24, later + 24 * 60 * MINUTE_MS), [1, 1]);
        assert_eq!(counts.all(), [1, 1]);
    }

    #[test]
    fn a_year_takes_no_more_room_than_a_day() {
        let mut counts = Counts::<1>::default();
        for minute in 0..5000 {
            counts.count(0, NOW + minute * MINUTE_MS);
        }
        assert_eq!((counts.minutes.len(), counts.hours.len()), (60, 25));
        assert_eq!(counts.all(), [5000]);
    }
}
