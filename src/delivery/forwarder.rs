//! One lane's forwarder: feeds records to the sink in order, notices that Kafka is away, and starts over after a failure.
//!
//! After a failed report nothing is fed until every record in flight is reported; what has not left yet is taken back. Then
//! a new producer goes on from the oldest record that was not acknowledged. A record that the broker seems to refuse is
//! sent alone, so that the refusal is surely its own; refused alone, it goes to the writer for the DLQ.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    lane::Shared,
    sink::{Connect, NotTaken, Sink},
    spool::{Reader, Stored},
    state::{Failure, InFlight, Item, LaneState, Stop},
};

/// Records read from the spool at once.
const READ_RECORDS: usize = 512;
/// Bytes of their values.
const READ_BYTES: usize = 4 * 1024 * 1024;
/// Records fed under one hold of the lock.
const FEED: usize = 64;
/// First and last pause after a failure.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Pause when the client's queue is full, and between purges while records in flight are awaited.
const SHORT: Duration = Duration::from_millis(20);
/// Longest sleep without work: bounds how late a change of state without a wake-up is seen.
const IDLE: Duration = Duration::from_millis(500);

/// Where refused records go: the writer.
pub(super) type Refuse = Box<dyn Fn(Box<Item>, &'static str) + Send>;

pub(super) struct Forwarder {
    pub(super) shared: Arc<Shared>,
    pub(super) connect: Arc<dyn Connect>,
    pub(super) reader: Reader,
    pub(super) ack_timeout: Duration,
    /// The accounts' numbers in the spool, by their index in `Settings::accounts`.
    pub(super) accounts: Vec<i64>,
    pub(super) refuse: Refuse,
    feed: Feed,
}

/// What the forwarder alone knows.
#[derive(Default)]
struct Feed {
    sink: Option<Box<dyn Sink>>,
    /// Read from the spool or taken back, to be fed before the queue.
    backlog: VecDeque<Item>,
    /// The highest seq taken from spool or queue.
    cursor: u64,
    suspects: BTreeSet<u64>,
    failures: u32,
    paused_until: Option<Instant>,
}

/// What to do once the lock is released.
enum Step {
    Wait(Duration),
    Connect,
    Read { upto: u64 },
    Recover,
    Refuse(Box<Item>, &'static str),
    Again,
    Return,
}

impl Forwarder {
    pub(super) fn new(
        shared: Arc<Shared>,
        connect: Arc<dyn Connect>,
        reader: Reader,
        ack_timeout: Duration,
        accounts: Vec<i64>,
        refuse: Refuse,
    ) -> Self {
        Self { shared, connect, reader, ack_timeout, accounts, refuse, feed: Feed::default() }
    }

    /// Connects now, so that a wrong property is found at start.
    pub(super) fn connect_now(&mut self) -> Result<(), rdkafka::error::KafkaError> {
        let generation = self.shared.lock().generation;
        self.feed.sink = Some(self.connect.connect(&self.shared, generation)?);
        Ok(())
    }

    /// Runs until the lane is stopped.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            self.mark_away();
            let mut state = shared.lock();
            match self.feed.step(&mut state) {
                Step::Return => return,
                Step::Wait(limit) => {
                    let limit = self.until_away(&state).map_or(limit, |away| limit.min(away));
                    drop(shared.wait(state, limit));
                }
                Step::Again => {}
                Step::Connect => {
                    drop(state);
                    self.reconnect();
                }
                Step::Read { upto } => {
                    drop(state);
                    self.read(upto);
                }
                Step::Recover => {
                    let landed = state.land_all();
                    state.recovering = false;
                    if std::mem::take(&mut state.acked_since_failure) {
                        self.feed.failures = 0;
                    }
                    drop(state);
                    self.recover(landed);
                }
                Step::Refuse(item, reason) => {
                    drop(state);
                    self.refuse(item, reason);
                }
            }
        }
    }

    fn mark_away(&self) {
        let late = {
            let state = self.shared.lock();
            !state.away && state.oldest_sent().is_some_and(|sent| sent.elapsed() >= self.ack_timeout)
        };
        if late {
            self.shared.set_away("the oldest record in flight has waited delivery.ack_timeout");
        }
    }

    /// How long until Kafka would count as away.
    fn until_away(&self, state: &LaneState) -> Option<Duration> {
        let sent = state.oldest_sent().filter(|_| !state.away)?;
        Some(self.ack_timeout.saturating_sub(sent.elapsed()))
    }

    fn reconnect(&mut self) {
        let generation = {
            let mut state = self.shared.lock();
            state.generation += 1;
            state.generation
        };
        match self.connect.connect(&self.shared, generation) {
            Ok(sink) => self.feed.sink = Some(sink),
            Err(error) => {
                tracing::error!(topic = %self.shared.topic, %error, "no producer; trying again");
                self.feed.pause();
            }
        }
    }

    fn read(&mut self, upto: u64) {
        let (lane, after) = (self.shared.lane, self.feed.cursor);
        match self.reader.pending(lane, after, upto, READ_RECORDS, READ_BYTES) {
            Ok(page) => {
                let complete = page.complete;
                self.feed.cursor = page.last.max(after);
                self.feed.backlog.extend(page.records.into_iter().map(|stored| item(stored, &self.accounts)));
                if complete && upto == u64::MAX {
                    self.shared.lock().close_gap(self.feed.cursor);
                } else if complete {
                    self.feed.cursor = upto;
                }
            }
            Err(error) => {
                tracing::error!(topic = %self.shared.topic, %error, "the spool does not read; trying again");
                self.feed.failures += 1;
                self.feed.pause();
            }
        }
    }

    fn refuse(&self, item: Box<Item>, reason: &'static str) {
        tracing::warn!(topic = %self.shared.topic, reason, "the broker refuses a record for good");
        (self.refuse)(item, reason);
    }

    /// Everything in flight is reported. Goes on from the oldest record that was not acknowledged.
    fn recover(&mut self, landed: Vec<InFlight>) {
        let alone = landed.len() == 1;
        let mut again = VecDeque::with_capacity(landed.len());
        let mut reasons = Vec::new();
        for flown in landed {
            match flown.failure {
                // Nothing else was in flight, so nothing behind it was held up, and the producer is as good as before.
                Some(Failure::Refused(reason)) if alone => {
                    self.feed.suspects.remove(&flown.item.seq);
                    return self.refuse(Box::new(flown.item), reason);
                }
                Some(Failure::Refused(_)) => {
                    self.feed.suspects.insert(flown.item.seq);
                }
                Some(Failure::Topic(reason) | Failure::Producer(reason)) => reasons.push(reason),
                Some(Failure::Purged) | None => {}
            }
            again.push_back(flown.item);
        }
        again.append(&mut self.feed.backlog);
        self.feed.backlog = again;
        self.feed.sink = None;
        if let Some(reason) = reasons.first() {
            tracing::warn!(topic = %self.shared.topic, reason, records = reasons.len(), "publishing failed; trying again with a new producer");
            self.feed.failures += 1;
            self.feed.pause();
        }
    }
}

impl Feed {
    /// Decides what to do next, and feeds while there is something to feed.
    fn step(&mut self, state: &mut LaneState) -> Step {
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
        for _ in 0..FEED {
            if !state.can_fly() {
                return await_room(state);
            }
            let item = match self.next(state) {
                Ok(item) => item,
                Err(step) => return step,
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
    fn must_wait_alone(&self, item: &Item, state: &LaneState) -> bool {
        if self.suspects.is_empty() || state.in_flight.is_empty() {
            return false;
        }
        self.suspects.contains(&item.seq) || state.in_flight.keys().any(|seq| self.suspects.contains(seq))
    }

    /// The next record in order: the backlog's, then what the spool holds before the queue's front, then the queue's front.
    fn next(&mut self, state: &mut LaneState) -> Result<Item, Step> {
        if let Some(item) = self.backlog.pop_front() {
            return Ok(item);
        }
        // Before an item in the queue, the spool may hold records that never were in memory.
        let upto = state.queue.front().map_or(u64::MAX, |front| front.seq - 1);
        if state.gapped && upto > self.cursor {
            return Err(if state.stop == Stop::Running { Step::Read { upto } } else { Step::Wait(IDLE) });
        }
        let item = state.pop().ok_or(Step::Wait(IDLE))?;
        self.cursor = self.cursor.max(item.seq);
        Ok(item)
    }

    /// Doubles with every failure in a row.
    fn pause(&mut self) {
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

fn item(stored: Stored, accounts: &[i64]) -> Item {
    Item {
        seq: stored.seq,
        account: accounts.iter().position(|number| *number == stored.account),
        received_at_ms: stored.received_at_ms,
        record: stored.record,
        stored: true,
        ticket: None,
    }
}

impl std::fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarder").field("topic", &self.shared.topic).finish_non_exhaustive()
    }
}
