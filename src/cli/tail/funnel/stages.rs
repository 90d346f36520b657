//! What became of the cards of one `outer_str`: counts, rates, and the median time from received to consumed.

use std::collections::BTreeMap;

/// What can happen to a card after it was received, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Activated,
    Viewed,
    Consumed,
    Deleted,
}

impl Stage {
    pub(super) const ALL: [Self; 4] = [Self::Activated, Self::Viewed, Self::Consumed, Self::Deleted];

    /// The stage that an event of this type reaches.
    pub(super) fn of(event_type: &str) -> Option<Self> {
        match event_type {
            "member_card.activated" => Some(Self::Activated),
            "card.viewed" => Some(Self::Viewed),
            "card.consumed" => Some(Self::Consumed),
            "card.deleted" => Some(Self::Deleted),
            _ => None,
        }
    }

    /// The column's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Activated => "activated",
            Self::Viewed => "viewed",
            Self::Consumed => "consumed",
            Self::Deleted => "deleted",
        }
    }

    /// One bit a stage.
    pub(super) fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// One row of the table.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) received: u64,
    activated: u64,
    viewed: u64,
    consumed: u64,
    deleted: u64,
    /// Seconds from received to consumed, three significant digits → how often: a few thousand entries at most.
    waits: BTreeMap<u64, u64>,
}

impl Counts {
    /// One card more has come so far.
    pub(super) fn reach(&mut self, stage: Stage) {
        match stage {
            Stage::Activated => self.activated += 1,
            Stage::Viewed => self.viewed += 1,
            Stage::Consumed => self.consumed += 1,
            Stage::Deleted => self.deleted += 1,
        }
    }

    /// A card was consumed so long after it was received.
    pub(super) fn waited(&mut self, seconds: u64) {
        *self.waits.entry(three_digits(seconds)).or_default() += 1;
    }

    /// How many cards have come so far.
    pub(super) fn reached(&self, stage: Stage) -> u64 {
        match stage {
            Stage::Activated => self.activated,
            Stage::Viewed => self.viewed,
            Stage::Consumed => self.consumed,
            Stage::Deleted => self.deleted,
        }
    }

    /// The share of the received cards that have come so far, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a rate shown with three digits")]
    pub(super) fn rate(&self, stage: Stage) -> f64 {
        if self.received == 0 { 0.0 } else { self.reached(stage) as f64 / self.received as f64 }
    }

    /// Seconds; the lower one of two in the middle.
    pub(super) fn median_wait(&self) -> Option<u64> {
        let all: u64 = self.waits.values().sum();
        let mut passed = 0;
        self.waits.iter().find_map(|(seconds, times)| {
            passed += times;
            (passed * 2 >= all).then_some(*seconds)
        })
    }
}

fn three_digits(number: u64) -> u64 {
    let mut unit = 1;
    while number / unit >= 1000 {
        unit *= 10;
    }
    number / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_exact_below_a_thousand_seconds_and_has_three_digits_above() {
        let mut counts = Counts::default();
        assert_eq!(counts.median_wait(), None);
        for seconds in [10, 999, 123_456] {
            counts.waited(seconds);
        }
        assert_eq!(counts.median_wait(), Some(999));
        for seconds in [123_456, 123_999, 200_000] {
            counts.waited(seconds);
        }
        assert_eq!(counts.median_wait(), Some(123_000));
    }

    #[test]
    fn each_stage_has_a_bit_of_its_own() {
        assert_eq!(Stage::ALL.iter().fold(0, |bits, stage| bits | stage.bit()), 0b1111);
    }
}
