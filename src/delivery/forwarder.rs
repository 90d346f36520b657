//! One lane's forwarder: feeds records to the sink in order, notices that Kafka is away, and starts over after a failure.
//!
//! After a failed report nothing is fed until every record in flight is reported; what has not left yet is taken back. Then
//! a new producer goes on from the oldest record that was not acknowledged. A record that the broker seems to refuse is
//! sent alone, so that the refusal is surely its own; refused alone, it goes to the writer for the DLQ.

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc},
    time::Duration,
};

use super::{
    AnswerAfter,
    feed::{Feed, Step},
    lane::Shared,
    sink::Connect,
    spool::{Reader, Stored},
    state::{Failure, InFlight, Item, LaneState},
};

/// Records read from the spool at once.
const READ_RECORDS: usize = 512;
/// How far apart waves begin where no answer waits for them: each costs requests to every partition's leader, and the fewer
/// they are the more records each takes.
const APART: Duration = Duration::from_millis(30);
/// How long a stop waits for a producer's threads to end.
const DISCARD: Duration = Duration::from_secs(1);
/// Bytes of their values.
const READ_BYTES: usize = 4 * 1024 * 1024;

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

impl Forwarder {
    pub(super) fn new(
        shared: Arc<Shared>,
        connect: Arc<dyn Connect>,
        reader: Reader,
        ack_timeout: Duration,
        accounts: Vec<i64>,
        refuse: Refuse,
    ) -> Self {
        let apart = if shared.answer_after == AnswerAfter::Disk { APART } else { Duration::ZERO };
        // Not to its end: what comes just behind a request waits for that one's report.
        let feed = Feed::new(connect.linger() * 3 / 4, apart);
        Self { shared, connect, reader, ack_timeout, accounts, refuse, feed }
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
                Step::Return => {
                    drop(state);
                    return self.discard_within(DISCARD);
                }
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
            self.until_away(&state).is_some_and(|left| left.is_zero())
        };
        if late {
            self.shared.set_away("the oldest record in flight has waited delivery.ack_timeout");
        }
    }

    /// How long until Kafka would count as away.
    fn until_away(&self, state: &LaneState) -> Option<Duration> {
        let taken_back = self.feed.backlog.front().and_then(|item| item.first_sent);
        let sent = state.oldest_sent().into_iter().chain(taken_back).min().filter(|_| !state.away)?;
        Some(self.ack_timeout.saturating_sub(sent.elapsed()))
    }

    /// Gives the producer up. Its threads may hang in a name look-up for long: they end by themselves.
    fn discard(&mut self) {
        self.discard_within(Duration::ZERO);
    }

    fn discard_within(&mut self, limit: Duration) {
        let Some(sink) = self.feed.sink.take() else { return };
        // Reports that come from now on are about records that were taken back.
        self.shared.lock().generation += 1;
        let (gone, wait) = mpsc::sync_channel(1);
        let discarding = std::thread::Builder::new().name("discard".into()).spawn(move || {
            drop(sink);
            // Nobody waits any longer when the limit is over.
            let _ = gone.send(());
        });
        if discarding.is_ok() {
            let _ = wait.recv_timeout(limit);
        }
    }

    fn reconnect(&mut self) {
        let generation = self.shared.lock().generation;
        match self.connect.connect(&self.shared, generation) {
            Ok(sink) => self.feed.sink = Some(sink),
            Err(error) => {
                tracing::error!(topic = %self.shared.topic, %error, "no producer; trying again");
                self.feed.failures += 1;
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
                if complete {
                    self.feed.cursor = upto;
                    self.shared.lock().close_gap(upto);
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
                // Nothing else was in flight: the refusal is its own.
                Some(Failure::Refused(reason)) if alone => {
                    self.feed.suspects.remove(&flown.item.seq);
                    self.refuse(Box::new(flown.item), reason);
                    continue;
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
        self.discard();
        if let Some(reason) = reasons.first() {
            tracing::warn!(topic = %self.shared.topic, reason, records = reasons.len(), "publishing failed; trying again with a new producer");
            self.feed.failures += 1;
            self.feed.pause();
        }
    }
}

fn item(stored: Stored, accounts: &[i64]) -> Item {
    Item {
        seq: stored.seq,
        account: accounts.iter().position(|number| *number == stored.account),
        received_at_ms: stored.received_at_ms,
        record: stored.record,
        ticket: None,
        first_sent: None,
    }
}

impl std::fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarder").field("topic", &self.shared.topic).finish_non_exhaustive()
    }
}
