//! What a forwarder feeds next: the decision, made under the lane's lock, and nothing that waits.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use super::{
    sink::{NotTaken, Sink},
    state::{Failure, Item, LaneState, Stop},
};

/// Records fed under one hold of the lock.
const FEED: usize = 64;
/// How long a wave waits for the reports of the one before. librdkafka has one request of a partition in flight when it
/// keeps the order, and its thread spins while records wait behind that one; a slow partition holds up the others so long.
const WAVE: Duration = Duration::from_millis(500);
/// First and last pause after a failure.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Pause when the client's queue is full, and between purges while records in flight are awaited.
const SHORT: Duration = Duration::from_millis(20);
/// Longest sleep without work: bounds how late a change of state without a wake-up is seen.
const IDLE: Duration = Duration::from_millis(500);

/// What the forwarder alone knows.
pub(super) struct Feed {
    /// How long a wave stays open for records that come after it began: they still leave with it.
    open_for: Duration,
    /// How long after a wave the next one begins, at least.
    apart: Duration,
    pub(super) sink: Option<Box<dyn Sink>>,
    /// Read from the spool or taken back, to be fed before the queue.
    pub(super) backlog: VecDeque<Item>,
    /// The highest seq taken from spool or queue.
    pub(super) cursor: u64,
    pub(super) suspects: BTreeSet<u64>,
    pub(super) failures: u32,
    paused_until: Option<Instant>,
    /// When the last wave began: the records that waited then, and those that came while it was fed or open.
    wave_began: Option<Instant>,
    in_wave: bool,
}

/// What to do once the lock is released.
pub(super) enum Step {
    Wait(Duration),
    Connect,
    Read { upto: u64 },
    Recover,
    Refuse(Box<Item>, &'static str),
    Again,
    Return,
}

impl Feed {
    pub(super) fn new(open_for: Duration, apart: Duration) -> Self {
        Self {
            open_for,
            apart,
            sink: None,
            backlog: VecDeque::new(),
            cursor: 0,
            suspects: BTreeSet::new(),
            failures: 0,
            paused_until: None,
            wave_began: None,
            in_wave: false,
        }
    }

    /// Decides what to do next, and feeds while there is something to feed.
    pub(super) fn step(&mut self, state: &mut LaneState) -> Step {
        state.wants_room = false;
        match state.stop {
            Stop::Now => return Step::Return,
            Stop::Draining if state.away => self.take_back(),
            Stop::Draining | Stop::Running => {}
        }
        if state.recovering || state.stop == Stop::Draining && state.outstanding == 0 && !self.has_work(state) {
            return self.await_reports(state);
        }
        if let Some(pause) = self.paused_until {
            let left = pause.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Step::Wait(left);
            }
            self.paused_until = None;
        }
        if let Some(left) = self.until_wave(state) {
            return Step::Wait(left);
        }
        for _ in 0..FEED {
            if !state.can_fly() {
                return await_room(state);
            }
            let item = match self.next(state) {
                Ok(item) => item,
                Err(step) => {
                    self.in_wave = matches!(step, Step::Read { .. });
                    return step;
                }
            };
            if self.must_wait_alone(&item, state) {
                self.backlog.push_front(item);
                return await_room(state);
            }
            let Some(sink) = self.sink.as_ref() else {
                self.backlog.push_front(item);
                return Step::Connect;
            };
            match feed_one(sink.as_ref(), item, state) {
                Fed::Taken => {}
                Fed::GaveUp => return Step::Again,
                Fed::Full(item) => {
                    self.backlog.extend(item);
                    self.backlog.rotate_right(1);
                    return Step::Wait(SHORT);
                }
                Fed::Refused(item, reason) => return Step::Refuse(item, reason),
            }
        }
        Step::Again
    }

    /// How long until the next wave may begin; `None` within one. The last report of a wave wakes the forwarder sooner.
    fn until_wave(&mut self, state: &LaneState) -> Option<Duration> {
        let since = self.wave_began.map_or(Duration::MAX, |began| began.elapsed());
        if self.in_wave || state.outstanding > 0 && since < self.open_for {
            return None;
        }
        let wait = match (state.outstanding, state.stop) {
            (0, Stop::Running) => self.apart,
            (0, Stop::Draining | Stop::Now) => Duration::ZERO,
            (_, _) => WAVE,
        };
        let left = wait.saturating_sub(since);
        if left.is_zero() {
            self.in_wave = true;
            self.wave_began = Some(Instant::now());
            return None;
        }
        Some(left)
    }

    /// Whether a draining lane still has something to feed from memory.
    fn has_work(&self, state: &LaneState) -> bool {
        !self.backlog.is_empty() || !state.gapped && !state.queue.is_empty()
    }

    fn await_reports(&self, state: &LaneState) -> Step {
        match (state.outstanding, state.stop) {
            (0, Stop::Running) => Step::Recover,
            (0, Stop::Draining | Stop::Now) => Step::Return,
            (_, _) => {
                self.take_back();
                Step::Wait(SHORT)
            }
        }
    }

    fn take_back(&self) {
        if let Some(sink) = &self.sink {
            sink.purge();
        }
    }

    /// A suspect is sent alone, and nothing beside it.
    fn must_wait_alone(&mut self, item: &Item, state: &LaneState) -> bool {
        if self.suspects.is_empty() {
            return false;
        }
        if state.in_flight.is_empty() {
            // Those before it were acknowledged, or they would stand before it.
            self.suspects = self.suspects.split_off(&item.seq);
            return false;
        }
        self.suspects.contains(&item.seq) || state.in_flight.keys().any(|seq| self.suspects.contains(seq))
    }

    /// The next record in order: the backlog's, then what the spool holds before the queue's front, then the queue's front.
    fn next(&mut self, state: &mut LaneState) -> Result<Item, Step> {
        if let Some(item) = self.backlog.pop_front() {
            return Ok(item);
        }
        // Before an item in the queue, the spool may hold records that never were in memory. What is committed and not
        // handed over yet is not read: it comes by hand.
        let upto = state.queue.front().map_or(state.last_stored, |front| state.last_stored.min(front.seq - 1));
        if state.gapped && upto > self.cursor {
            return Err(if state.stop == Stop::Running { Step::Read { upto } } else { Step::Wait(IDLE) });
        }
        let item = state.pop().ok_or(Step::Wait(IDLE))?;
        self.cursor = self.cursor.max(item.seq);
        Ok(item)
    }

    /// Doubles with every failure in a row.
    pub(super) fn pause(&mut self) {
        let doubled = BACK_OFF.0.saturating_mul(1 << self.failures.min(10));
        self.paused_until = Some(Instant::now() + doubled.min(BACK_OFF.1));
    }
}

fn await_room(state: &mut LaneState) -> Step {
    state.wants_room = true;
    Step::Wait(IDLE)
}

/// What became of a record handed to the sink.
enum Fed {
    Taken,
    /// The report came at once, and it was a failure.
    GaveUp,
    /// No room in the client: the record is given back.
    Full(Option<Item>),
    /// Refused before it left: surely its own fault, and nothing in flight is touched.
    Refused(Box<Item>, &'static str),
}

fn feed_one(sink: &dyn Sink, item: Item, state: &mut LaneState) -> Fed {
    let seq = item.seq;
    // In flight before it is sent: the report may come before `send` returns.
    state.fly(item);
    match state.in_flight.get(&seq).map_or(Ok(()), |flown| sink.send(&flown.item)) {
        Ok(()) => Fed::Taken,
        Err(NotTaken::QueueFull) => Fed::Full(state.land(seq)),
        Err(NotTaken::Failed(Failure::Refused(reason))) => {
            state.land(seq).map_or(Fed::GaveUp, |item| Fed::Refused(Box::new(item), reason))
        }
        Err(NotTaken::Failed(failure)) => {
            state.give_up(seq, failure);
            Fed::GaveUp
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Headers, Record};

    struct Silent;

    impl Sink for Silent {
        fn send(&self, _: &Item) -> Result<(), NotTaken> {
            Ok(())
        }

        fn purge(&self) {}
    }

    fn item(seq: u64) -> Item {
        let record = Record { key: None, timestamp_ms: 0, headers: Headers::default(), value: b"{}".to_vec() };
        Item { seq, account: None, received_at_ms: 0, record, ticket: None, first_sent: None }
    }

    /// How many are in flight after the second of two records, where the first is not reported and a wave stays open so long.
    fn in_flight(open_for: Duration) -> usize {
        let mut feed = Feed { sink: Some(Box::new(Silent)), ..Feed::new(open_for, Duration::ZERO) };
        let mut state = LaneState::default();
        for seq in [1, 2] {
            state.push(item(seq));
            assert!(matches!(feed.step(&mut state), Step::Wait(_)));
        }
        state.in_flight.len()
    }

    #[test]
    fn a_record_joins_the_wave_while_it_is_open_and_waits_for_its_reports_after_that() {
        assert_eq!(in_flight(Duration::from_mins(1)), 2);
        assert_eq!(in_flight(Duration::ZERO), 1);
    }

    #[test]
    fn the_first_record_leaves_at_once_and_what_follows_a_reported_wave_waits_until_the_next_may_begin() {
        for (apart, fed) in [(Duration::from_mins(1), 0), (Duration::ZERO, 1)] {
            let mut feed = Feed { sink: Some(Box::new(Silent)), ..Feed::new(Duration::ZERO, apart) };
            let mut state = LaneState::default();
            state.push(item(1));
            feed.step(&mut state);
            assert!(state.land(1).is_some(), "fed");
            state.push(item(2));
            feed.step(&mut state);
            assert_eq!(state.in_flight.len(), fed, "{apart:?}");
        }
    }
}
