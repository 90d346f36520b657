//! When records leave: in batches, each when the one before is reported.
//!
//! librdkafka has one request of a partition in flight when it keeps the order, and its thread spins while records wait behind
//! that one. So what comes while a batch is out waits here, for its last report or for 50 ms. Each batch costs a request to every
//! partition's leader, so that batches are further apart where records are many. Does not depend on Kafka.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{NotTaken, Producer};
use crate::delivery::{pending::Seq, submission::Sending};

/// How long a batch waits for the reports of the one before: a partition without a leader holds up the others so long.
const BATCH_WAITS: Duration = Duration::from_millis(50);
/// How long it waits for room in the client's queue.
const SHORT: Duration = Duration::from_millis(20);

/// Records are many when so many come within `WINDOW`: a thousand a second.
const MANY: usize = 100;
const WINDOW: Duration = Duration::from_millis(100);

/// How long after a batch the next one begins, at least.
#[derive(Debug, Clone, Copy)]
pub(in crate::delivery) struct Apart {
    /// Where records are few.
    pub(in crate::delivery) few: Duration,
    /// Where they are many.
    pub(in crate::delivery) many: Duration,
}

/// Whether records are many: how many came in the window before, and in this one.
#[derive(Debug, Default)]
struct Rate {
    since: Option<Instant>,
    now: usize,
    before: usize,
}

impl Rate {
    fn count(&mut self, records: usize, now: Instant) {
        let passed = self.since.map(|since| now.saturating_duration_since(since));
        if passed.is_none_or(|passed| passed >= WINDOW) {
            self.before = if passed.is_some_and(|passed| passed < 2 * WINDOW) { self.now } else { 0 };
            (self.since, self.now) = (Some(now), 0);
        }
        self.now += records;
    }

    fn is_high(&self) -> bool {
        self.now.max(self.before) >= MANY
    }
}

/// A producer, and what waits for its next batch.
pub(in crate::delivery) struct Paced {
    producer: Box<dyn Producer>,
    /// How long a batch stays open for records that come after it began.
    open_for: Duration,
    apart: Apart,
    rate: Rate,
    waiting: VecDeque<(Seq, Arc<Sending>)>,
    outstanding: usize,
    began: Option<Instant>,
    full_until: Option<Instant>,
}

impl Paced {
    pub(in crate::delivery) fn new(producer: Box<dyn Producer>, open_for: Duration, apart: Apart) -> Self {
        let (waiting, began, full_until) = (VecDeque::new(), None, None);
        Self { producer, open_for, apart, rate: Rate::default(), waiting, outstanding: 0, began, full_until }
    }

    /// Takes a record: it leaves with [`pump`](Self::pump).
    pub(in crate::delivery) fn send(&mut self, seq: Seq, sending: Arc<Sending>) {
        self.waiting.push_back((seq, sending));
    }

    /// A record was reported.
    pub(in crate::delivery) fn reported(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
    }

    /// When there is something to send, if it is not now.
    pub(in crate::delivery) fn due(&self) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        let apart = if self.rate.is_high() { self.apart.many } else { self.apart.few };
        let wait = if self.outstanding == 0 { apart } else { BATCH_WAITS };
        let next = self.began.map(|began| began + wait);
        next.max(self.full_until)
    }

    /// Sends what waits, where a batch may begin or is open. What fails at once is returned.
    pub(in crate::delivery) fn pump(&mut self, now: Instant) -> Vec<(Seq, NotTaken)> {
        let mut failed = Vec::new();
        if self.waiting.is_empty() || self.full_until.is_some_and(|until| now < until) {
            return failed;
        }
        let open = self.outstanding > 0 && self.began.is_some_and(|began| now < began + self.open_for);
        if !open {
            if self.due().is_some_and(|due| now < due) {
                return failed;
            }
            self.began = Some(now);
        }
        self.full_until = None;
        self.rate.count(self.waiting.len(), now);
        while let Some((seq, sending)) = self.waiting.pop_front() {
            match self.producer.send(seq, &sending.record) {
                Ok(()) => self.outstanding += 1,
                Err(NotTaken::QueueFull) => {
                    self.waiting.push_front((seq, sending));
                    self.full_until = Some(now + SHORT);
                    break;
                }
                Err(failure) => {
                    failed.push((seq, failure));
                    break;
                }
            }
        }
        failed
    }

    /// Takes back what has not left yet: what waits here is returned, the rest is reported.
    pub(in crate::delivery) fn purge(&mut self) -> Vec<Seq> {
        self.producer.purge();
        self.waiting.drain(..).map(|(seq, _)| seq).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::event::Record;

    struct Counting(Arc<AtomicUsize>);

    impl Producer for Counting {
        fn send(&self, _: Seq, _: &Record) -> Result<(), NotTaken> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        fn purge(&self) {}
    }

    fn sending() -> Arc<Sending> {
        let record = Record::default();
        Arc::new(Sending { record, account: None, received_at_ms: 0, id: None, signature: None })
    }

    fn paced(open_for: u64, apart: u64) -> (Paced, Arc<AtomicUsize>) {
        let sent = Arc::new(AtomicUsize::new(0));
        let [open_for, apart] = [open_for, apart].map(Duration::from_millis);
        let apart = Apart { few: apart, many: apart };
        (Paced::new(Box::new(Counting(Arc::clone(&sent))), open_for, apart), sent)
    }

    /// How many were sent after two records, one at once and one so many milliseconds later.
    fn sent_of_two(open_for: u64, later: u64) -> usize {
        let (mut paced, sent) = paced(open_for, 0);
        let now = Instant::now();
        for (seq, at) in [(1, now), (2, now + Duration::from_millis(later))] {
            paced.send(Seq(seq), sending());
            assert!(paced.pump(at).is_empty());
        }
        sent.load(Ordering::Relaxed)
    }

    #[test]
    fn a_record_joins_the_batch_while_it_is_open_and_waits_for_its_reports_after_that_but_not_for_ever() {
        assert_eq!(sent_of_two(10, 5), 2);
        assert_eq!(sent_of_two(0, 5), 1);
        assert_eq!(sent_of_two(0, 60), 2, "one partition does not hold up the others for longer");
    }

    #[test]
    fn batches_are_further_apart_while_records_are_many() {
        let (mut paced, sent) = paced(0, 0);
        paced.apart.many = Duration::from_millis(10);
        let start = Instant::now();
        let mut batch = |at: u64, records: usize| {
            let before = sent.load(Ordering::Relaxed);
            for seq in 0..records {
                paced.send(Seq(seq as u64), sending());
            }
            paced.pump(start + Duration::from_millis(at));
            let left = sent.load(Ordering::Relaxed) - before;
            (0..left).for_each(|_| paced.reported());
            left
        };
        assert_eq!([batch(0, 1), batch(1, 1), batch(2, 1)], [1, 1, 1], "each at once");
        assert_eq!(batch(3, 100), 100);
        assert_eq!([batch(4, 1), batch(12, 1), batch(13, 1)], [0, 0, 3], "ten milliseconds behind the last");
        assert_eq!([batch(120, 1), batch(121, 1)], [1, 0], "the window before still counts");
        assert_eq!([batch(330, 1), batch(331, 1)], [2, 1], "few again");
    }

    #[test]
    fn what_follows_a_reported_batch_waits_until_the_next_may_begin() {
        for (apart, expected) in [(60_000, 1), (0, 2)] {
            let (mut paced, sent) = paced(0, apart);
            let now = Instant::now();
            paced.send(Seq(1), sending());
            paced.pump(now);
            paced.reported();
            paced.send(Seq(2), sending());
            paced.pump(now + Duration::from_millis(1));
            assert_eq!(sent.load(Ordering::Relaxed), expected, "{apart}");
        }
    }
}
