//! How far this machine's clock is from a broker's, learnt from which timestamps a topic refuses.
//!
//! No request of Kafka's tells a broker's time. But a topic takes a timestamp only up to `message.timestamp.after.max.ms` ahead
//! of the broker's clock, and a broker that refuses a batch says of each record in it whether it is one of those that are
//! wrong: a batch with records around that limit, among them some from the year 9999, is refused as a whole, and shows where
//! the limit lies. Does not depend on Kafka.

use crate::finding::Findings;

use super::CLOCK;

/// How far from the limit the records' timestamps are, on both sides, seconds.
const STEPS_S: [i64; 17] = [1, 2, 5, 10, 20, 30, 60, 90, 120, 150, 180, 240, 300, 600, 1800, 3600, 86_400];
/// Closer than this the clocks are the same: an answer takes its time.
const SAME_S: i64 = 5;
/// WeChat's timestamps are refused when they are five minutes ahead; long before that something is wrong.
const WRONG_S: i64 = 60;
/// What is to be done about a clock.
pub(crate) const CURE: &str = "let an NTP client set the clock (chrony, systemd-timesyncd)";

/// How far the timestamps to ask with are from the limit, milliseconds, in rising order.
pub(super) fn steps() -> impl Iterator<Item = i64> {
    let before = STEPS_S.iter().rev().map(|step| -step);
    before.chain(STEPS_S).map(|step| step * 1000)
}

/// This clock is ahead of the broker's by more than `more_than` (`None`: it is behind by more than was asked for) and at most
/// `at_most`, milliseconds; negative: behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Between {
    more_than: Option<i64>,
    at_most: i64,
}

impl Between {
    /// From the largest step that the topic takes, and the smallest that it refuses. `None` where it takes none: it may refuse
    /// them for something else.
    pub(super) fn of(taken: Option<i64>, refused: Option<i64>) -> Option<Self> {
        Some(Self { more_than: refused.map(|step| -step), at_most: -taken? })
    }

    pub(super) fn tell(self, findings: &mut Findings) {
        let (low, high) = (self.more_than.map(|low| low / 1000), self.at_most / 1000);
        // Away from 0 at least, at most, and to which side.
        let (least, most, side) = match low {
            Some(low) if low >= 0 => (low, Some(high), "ahead of"),
            Some(low) if high > 0 => {
                return findings.ok(CLOCK, format_args!("as the brokers', within {} s", high.max(-low)));
            }
            low => (-high, low.map(|low| -low), "behind"),
        };
        let found = match most {
            Some(most) => format!("{least} to {most} s {side} the brokers'"),
            None => format!("more than {least} s {side} the brokers'"),
        };
        if most.is_some_and(|most| most <= SAME_S) {
            findings.ok(CLOCK, found);
        } else if least < WRONG_S {
            findings.warn(CLOCK, found, CURE);
        } else {
            findings.fail(CLOCK, found, CURE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a clock that is `ahead` milliseconds ahead of the broker's.
    fn said(ahead: i64) -> (bool, String) {
        let (taken, refused): (Vec<i64>, Vec<i64>) = steps().partition(|step| ahead + step <= 0);
        let mut findings = Findings::default();
        if let Some(between) = Between::of(taken.last().copied(), refused.first().copied()) {
            between.tell(&mut findings);
        }
        let mut text = Vec::new();
        findings.print(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        (findings.all_well(), text.lines().next().unwrap().to_owned())
    }

    #[test]
    fn a_clock_is_told_between_two_steps() {
        assert_eq!(said(0), (true, "ok    clock  as the brokers', within 1 s".to_owned()));
        assert_eq!(said(-900), (true, "ok    clock  as the brokers', within 1 s".to_owned()));
        assert_eq!(said(3000), (true, "ok    clock  2 to 5 s ahead of the brokers'".to_owned()));
        assert_eq!(said(-15_000), (true, format!("warn  clock  10 to 20 s behind the brokers'  → {CURE}")));
        assert_eq!(said(125_000), (false, format!("FAIL  clock  120 to 150 s ahead of the brokers'  → {CURE}")));
        assert_eq!(said(-125_000), (false, format!("FAIL  clock  120 to 150 s behind the brokers'  → {CURE}")));
        assert_eq!(said(-90_000_000), (false, format!("FAIL  clock  more than 86400 s behind the brokers'  → {CURE}")));
        assert_eq!(
            said(90_000_000),
            (true, "ok: 0 failures, 0 warnings".to_owned()),
            "they may be refused for anything"
        );
    }
}
