//! What became of the events: answers, and how long they took.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use crate::cli::simulator::{Answer, Attempt};

/// Counts of one connection, or of all.
#[derive(Debug, Default)]
pub(super) struct Report {
    sent: u64,
    accepted: u64,
    answers: BTreeMap<Answer, u64>,
    latencies: Vec<Duration>,
    took: Duration,
}

impl Report {
    /// Adds one event's deliveries.
    pub(super) fn count(&mut self, attempts: &[Attempt]) {
        self.sent += 1;
        for Attempt { answer, latency } in attempts {
            self.accepted += u64::from(matches!(answer, Answer::Accepted | Answer::Replied));
            *self.answers.entry(*answer).or_default() += 1;
            self.latencies.push(*latency);
        }
    }

    /// Adds what another connection did.
    pub(super) fn merge(&mut self, other: Self) {
        self.sent += other.sent;
        self.accepted += other.accepted;
        for (answer, count) in other.answers {
            *self.answers.entry(answer).or_default() += count;
        }
        self.latencies.extend(other.latencies);
    }

    /// Ends the report: how long everything took; puts the latencies in order.
    pub(super) fn took(&mut self, took: Duration) {
        self.took = took;
        self.latencies.sort_unstable();
    }

    /// Whether every event was accepted at last.
    pub(super) fn all_accepted(&self) -> bool {
        self.accepted == self.sent
    }

    /// Prints it.
    ///
    /// # Errors
    /// When `out` is closed.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { sent, accepted, .. } = self;
        let micros = self.took.as_micros().max(1);
        let (seconds, per_second) = (self.took.as_secs_f64(), u128::from(*sent) * 1_000_000 / micros);
        writeln!(out, "events    sent={sent} accepted={accepted} seconds={seconds:.2} per_second={per_second}")?;
        for (answer, count) in &self.answers {
            writeln!(out, "answer    {answer}: {count}")?;
        }
        let [p50, p90, p99, max] = [50, 90, 99, 100].map(|percent| self.percentile(percent).as_secs_f64() * 1000.0);
        writeln!(out, "latency   p50={p50:.2}ms p90={p90:.2}ms p99={p99:.2}ms max={max:.2}ms")
    }

    /// The smallest latency that `percent` of the deliveries did not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.latencies.len() * percent).div_ceil(100).saturating_sub(1);
        self.latencies.get(rank).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(answer: Answer, millis: u64) -> Attempt {
        Attempt { answer, latency: Duration::from_millis(millis) }
    }

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let mut report = Report::default();
        for millis in (1..=200).rev() {
            report.count(&[attempt(Answer::Accepted, millis)]);
        }
        report.took(Duration::from_secs(1));
        assert_eq!([50, 90, 99, 100].map(|p| report.percentile(p).as_millis()), [100, 180, 198, 200]);
    }

    #[test]
    fn an_event_accepted_at_the_second_delivery_is_accepted() {
        let mut report = Report::default();
        report.count(&[attempt(Answer::Status(503), 4), attempt(Answer::Accepted, 2)]);
        assert!(report.all_accepted());
        report.count(&[attempt(Answer::Timeout, 5000); 4]);
        assert!(!report.all_accepted());
        report.took(Duration::from_secs(2));
        let mut text = Vec::new();
        report.print(&mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "events    sent=2 accepted=1 seconds=2.00 per_second=1\nanswer    200 success: 1\nanswer    503: 1\n\
             answer    none in 5 s: 4\nlatency   p50=5000.00ms p90=5000.00ms p99=5000.00ms max=5000.00ms\n"
        );
    }
}
