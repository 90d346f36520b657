//! The coordinator's loop without threads, a disk and a broker made of collections, and the oracle.

use std::{
    collections::{HashSet, VecDeque},
    hash::RandomState,
    sync::Arc,
    time::{Duration, Instant},
};

use smallvec::smallvec;
use tokio::sync::oneshot::{self, Receiver, error::TryRecvError};

use super::{
    super::{
        super::{
            AnswerAfter, Lane, Overloaded, Safe,
            broker::Acked,
            inbox::Reply,
            next_commit::NextCommit,
            pending::{Amount, Failure, Limits, Memory, Pending, Route, Rules, Seq, Step},
            retention::Seqs,
            store::{
                Append, Commit, Committed, Decided, Decision, Done, NO_EVENT_TIME, Read, Status, Undecided,
                has_dead_letter,
            },
            submission::{Binding, Sending, Settings, Submission},
        },
        dead_letters::DeadLetters,
        known::Known,
        lanes::Lanes,
        observer::Observer,
        records::Records,
        spooling::Spooling,
    },
    BARE, EVENTS, SIGNATURES,
    disk::Disk,
};
use crate::{
    event::{EventId, Record},
    metrics::Metrics,
    telemetry::traces::Traces,
};

/// Small, so that the store is asked often; what it lacks is never forgotten.
const LIMITS: Limits = Limits { held: 12, due: 100 };
/// Records of a lane in memory, and with a producer.
const MEMORY: Amount = Amount { records: 8, bytes: 10_000 };
const IN_FLIGHT: Amount = Amount { records: 5, bytes: 10_000 };
const ROUTES: [Route; 2] = [Route::Batch, Route::Alone];
/// Rows of a page that is read.
const PAGE: usize = 3;
/// Receipt of what comes before the first kill. What comes later is received later: a seq is never given twice.
const RECEIVED_MS: i64 = 1_700_000_000_000;

/// An event's number, and this, is that of its quarantine.
const QUARANTINED: u8 = 100;

/// Of an event, by its number.
fn key(id: u8) -> u8 {
    id % 3
}

/// Several ids share an event second; every eighth is much older than its neighbours.
fn second(id: u8) -> i64 {
    if id % 8 == 5 { 1 } else { i64::from(id / 3) + 2 }
}

fn event_id(id: u8) -> EventId {
    EventId::from_bytes([id; 16])
}

fn number(sending: &Sending) -> u8 {
    sending.record.value[0]
}

/// What nothing but this signature verified.
fn signature(id: u8) -> Option<[u8; 20]> {
    (EVENTS..EVENTS + BARE).contains(&id).then_some([id % SIGNATURES; 20])
}

/// Whether a topic refuses an event: the topic of the events some, the DLQ topic every third of these.
fn is_refused(lane: Lane, id: u8) -> bool {
    match lane {
        _ if id >= EVENTS => false,
        Lane::Events => id % 6 == 4,
        Lane::Dlq => id % 18 == 16,
        Lane::Other | Lane::Parked => false,
    }
}

type Sent = (Seq, u8);

pub(super) struct World {
    policy: AnswerAfter,
    now: Instant,
    records: Records,
    spooling: Spooling,
    job: Option<Commit>,
    pages: VecDeque<(Lane, Read)>,
    waiting: Vec<(u8, Receiver<Result<Safe, Overloaded>>)>,
    pub(super) disk: Disk,
    received_ms: i64,
    /// What the producers have, by lane and route.
    wire: [[VecDeque<Sent>; 2]; 3],
    kafka_up: bool,
    /// What the topics hold, by lane.
    topics: [Vec<Sent>; 3],
    // What the oracle knows.
    safe: HashSet<u8>,
    /// Kills and fatal errors: each may double what was in flight.
    doublings: usize,
    /// Which event a signature came with first may be lost.
    killed_with_failing_disk: bool,
}

fn records(policy: AnswerAfter, last_pending: [Seq; 4], last_seq: u64, newest: i64, now: Instant) -> Records {
    let (ack_timeout, store_after) = (Duration::from_secs(2), Duration::from_millis(50));
    let rules = Rules { policy, ack_timeout, store_after, memory: MEMORY, in_flight: IN_FLIGHT };
    let accounts = vec![("shop".to_owned(), "secure")];
    let settings = Settings {
        path: "/nowhere".into(),
        max_bytes: 1 << 30,
        answer_after: policy,
        ack_timeout,
        dedup_window: Duration::from_hours(48),
        dedup_max_bytes: 1 << 30,
        accounts: accounts.clone(),
        producer: None,
        topics: ["events".into(), "dlq".into(), "other".into()],
        encodings: Default::default(),
        traces: Traces::default(),
        probe: None,
    };
    let pending = last_pending.into_iter().max().map_or(0, |seq| seq.0);
    Records {
        answer_after: policy,
        has_kafka: true,
        lanes: Lanes::new(last_pending.map(|last| Pending::new(rules, last))),
        known: Known::new(Memory::new(newest, LIMITS)),
        dead_letters: DeadLetters::new(policy, accounts),
        seqs: Seqs::new(last_seq, pending, now, RECEIVED_MS),
        next: NextCommit::default(),
        disk_works: true,
        spool_full: false,
        observer: Observer::new(&settings, Metrics::new()),
        keys: RandomState::new(),
    }
}

impl World {
    /// `spool_records`: how many the disk takes.
    pub(super) fn new(policy: AnswerAfter, spool_records: usize) -> Self {
        let now = Instant::now();
        let mut world = Self {
            policy,
            now,
            records: records(policy, [Seq(0); 4], 0, NO_EVENT_TIME, now),
            spooling: Spooling::new(policy),
            job: None,
            pages: VecDeque::new(),
            waiting: Vec::new(),
            disk: Disk::new(spool_records),
            received_ms: RECEIVED_MS,
            wire: Default::default(),
            kafka_up: true,
            topics: Default::default(),
            safe: HashSet::new(),
            doublings: 0,
            killed_with_failing_disk: false,
        };
        world.kafka(true);
        world
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    pub(super) fn submit(&mut self, id: u8) {
        let (to, answer) = oneshot::channel();
        self.waiting.push((id, answer));
        let (account, received_at_ms) = (0, self.received_ms);
        let instead = move || Submission {
            lane: Lane::Dlq,
            account,
            event_id: event_id(QUARANTINED + id),
            event_time: NO_EVENT_TIME,
            received_at_ms,
            record: Record { value: [QUARANTINED + id].into(), ..Record::default() },
            binding: None,
        };
        let binding = signature(id).map(|signature| Binding { signature, instead: Some(Box::new(instead)) });
        let record = Record { key: Some(key(id).to_string()), value: [id].into(), ..Record::default() };
        let (lane, event_id, event_time) = (Lane::Events, event_id(id), second(id));
        let submission = Submission { lane, account, event_id, event_time, received_at_ms, record, binding };
        self.records.submit(submission, smallvec![(Reply::new(to), self.now)], self.now);
    }

    /// As the coordinator's.
    pub(super) fn turn(&mut self) {
        self.records.lanes.each().for_each(|lane| lane.tick(self.now));
        for lane in Lane::FORWARDED {
            self.steps(lane);
        }
        self.hand_over(false);
        self.records.answer();
        self.hear();
    }

    fn hand_over(&mut self, all: bool) {
        if let Some(commit) = self.spooling.next_commit(&mut self.records, all, self.now) {
            assert!(self.job.replace(commit).is_none(), "one commit at a time");
        }
    }

    fn steps(&mut self, lane: Lane) {
        loop {
            match self.records.lanes.get(lane).step(self.now) {
                Step::Connect(route) => self.records.lanes.get(lane).connected(route),
                Step::Send(route, seq) => {
                    let id = number(self.records.lanes.get(lane).payload(seq).expect("what is sent is in memory"));
                    self.wire[lane as usize][route as usize].push_back((seq, id));
                }
                Step::Purge(route) => {
                    let back = std::mem::take(&mut self.wire[lane as usize][route as usize]);
                    self.fail_all(lane, back, Failure::Purged);
                }
                Step::Read { after, upto } => {
                    let rows = self.disk.records.range((lane as u8, Seq(after.0 + 1))..=(lane as u8, upto)).take(PAGE);
                    let append = |((_, seq), sending): (&(u8, Seq), &Arc<Sending>)| Append {
                        lane,
                        seq: *seq,
                        sending: Arc::clone(sending),
                    };
                    let records: Vec<Append> = rows.map(append).collect();
                    let upto = records.last().filter(|_| records.len() == PAGE).map_or(upto, |last| last.seq);
                    self.pages.push_back((lane, Read { records, unreadable: Vec::new(), upto }));
                }
                Step::Idle(_) => return,
            }
        }
    }

    pub(super) fn page(&mut self) {
        if let Some((lane, page)) = self.pages.pop_front() {
            self.records.read(lane, page, self.now);
        }
    }

    pub(super) fn kafka(&mut self, up: bool) {
        self.kafka_up = up;
        self.records.lanes.each().for_each(|lane| lane.set_broker_up(up, self.now));
    }

    fn fail_all(&mut self, lane: Lane, records: impl IntoIterator<Item = Sent>, failure: Failure) {
        for (seq, _) in records {
            self.records.failed(lane, seq, failure, self.now);
        }
    }

    /// The broker answers the first request that a producer has on its way.
    pub(super) fn answer(&mut self, lane: usize, route: usize, size: usize) {
        if !self.kafka_up {
            return;
        }
        let wire = &mut self.wire[lane][route];
        let size = if ROUTES[route] == Route::Alone { 1 } else { size };
        let request: Vec<Sent> = wire.drain(..size.min(wire.len())).collect();
        let lane = Lane::FORWARDED[lane];
        let refused = request.iter().any(|(_, id)| is_refused(lane, *id));
        if refused && ROUTES[route] == Route::Batch {
            // The producer ends: nothing may overtake what it sends again. What is on its way to other partitions arrives.
            let behind = std::mem::take(&mut self.wire[lane as usize][route]);
            let bad = behind.iter().filter(|(_, id)| is_refused(lane, *id));
            let keys: HashSet<u8> = request.iter().chain(bad).map(|(_, id)| key(*id)).collect();
            self.fail_all(lane, request, Failure::Refused("invalid_record"));
            for (seq, id) in behind {
                if keys.contains(&key(id)) {
                    self.records.failed(lane, seq, Failure::Purged, self.now);
                } else {
                    self.delivered(lane, seq, id);
                }
            }
        } else if refused {
            self.fail_all(lane, request, Failure::Refused("invalid_record"));
        } else {
            for (seq, id) in request {
                self.delivered(lane, seq, id);
            }
        }
    }

    fn delivered(&mut self, lane: Lane, seq: Seq, id: u8) {
        self.topics[lane as usize].push((seq, id));
        self.records.acked(lane, Acked::in_a_test(seq), self.now);
    }

    pub(super) fn fatal(&mut self, lane: usize, arrived: usize) {
        let lost = std::mem::take(&mut self.wire[lane][Route::Batch as usize]);
        if lost.is_empty() {
            return;
        }
        self.doublings += 1;
        let of = Lane::FORWARDED[lane];
        let good = lost.iter().take_while(|(_, id)| !is_refused(of, *id)).take(arrived);
        self.topics[lane].extend(good.copied());
        self.fail_all(of, lost, Failure::Producer("fatal"));
    }

    /// The commit under way is done, where the disk works; else it fails.
    pub(super) fn commit(&mut self, ok: bool) {
        let Some(mut commit) = self.job.take() else { return };
        let (works, ids) = (ok && self.disk.works, self.spooling.reported());
        let undecided = std::mem::take(&mut commit.undecided);
        if works {
            let decided = self.disk.write(&commit, undecided);
            let full: Vec<_> = commit.append.extract_if(.., |append| !self.disk.holds(append)).collect();
            commit.replaced.retain(|(_, seq)| has_dead_letter(&full, *seq));
            let proven = |append: Append| {
                let proof = Committed::in_a_test(append.seq);
                (append, proof)
            };
            let done = Done {
                stored: commit.append.into_iter().map(proven).collect(),
                full,
                moved: commit.moved.into_iter().map(|moved| proven(moved.to)).collect(),
                decided,
                nonces: commit.nonces,
                kept: commit.replaced,
            };
            self.records.committed(&ids, done, self.now);
        } else {
            // Reading works: what is known is known.
            let decide = |undecided: Undecided| {
                let decision = self.disk.known(&undecided).unwrap_or(Decision::NotStored);
                Decided { undecided, decision }
            };
            let decided = undecided.into_iter().map(decide).collect();
            self.records.not_committed(commit, decided, self.now);
        }
        self.records.disk_is(Status { works, full: self.disk.full, oldest_ms: 0 });
    }

    /// What is in memory is sent, what cannot be is written; then as after a kill.
    pub(super) fn stop(&mut self) {
        self.records.lanes.each().for_each(Pending::drain);
        for _ in 0..60 {
            self.answer_all();
            self.hand_over(true);
            self.commit(true);
            self.pass(60);
            self.turn();
        }
        let sent = self.wire.iter().flatten().all(VecDeque::is_empty);
        self.kill(false);
        // What nobody has sent without a report is not sent again.
        self.doublings -= usize::from(sent && self.disk.works);
    }

    pub(super) fn kill(&mut self, written: bool) {
        self.doublings += 1;
        self.killed_with_failing_disk |= !self.disk.works || !self.records.disk_works;
        if let Some(mut commit) = self.job.take().filter(|_| written) {
            let undecided = std::mem::take(&mut commit.undecided);
            self.disk.write(&commit, undecided);
        }
        for (lane, topic) in Lane::FORWARDED.into_iter().zip(&mut self.topics) {
            let on_its_way = self.wire[lane as usize][Route::Batch as usize].drain(..).take(2);
            topic.extend(on_its_way.take_while(|(_, id)| !is_refused(lane, *id)));
        }
        self.wire = Default::default();
        self.pages.clear();
        // Who waited got no answer.
        self.waiting.clear();
        let last = |lane: Lane| self.disk.of(lane).next_back().unwrap_or(Seq(0));
        let newest =
            (0..EVENTS + BARE).filter(|id| self.disk.remembered.contains_key(&event_id(*id))).map(second).max();
        self.records =
            records(self.policy, Lane::ALL.map(last), self.disk.last_seq, newest.unwrap_or(NO_EVENT_TIME), self.now);
        self.spooling = Spooling::new(self.policy);
        self.received_ms += 10_000;
        self.kafka(self.kafka_up);
    }

    /// Takes the answers, and judges them.
    fn hear(&mut self) {
        for (id, mut answer) in std::mem::take(&mut self.waiting) {
            match answer.try_recv() {
                Err(TryRecvError::Empty) => self.waiting.push((id, answer)),
                Err(TryRecvError::Closed) => panic!("event {id} never gets an answer"),
                Ok(Err(_)) => {}
                Ok(Ok(safe)) => {
                    let id = if safe.nonce_reused { QUARANTINED + id } else { id };
                    let in_kafka = self.topics.iter().flatten().any(|(_, other)| *other == id);
                    let on_disk = self.disk.records.values().any(|sending| number(sending) == id);
                    assert!(in_kafka || !safe.by_kafka, "event {id} is not in Kafka");
                    assert!(safe.by_kafka || self.policy != AnswerAfter::KafkaOnly, "event {id} is on disk only");
                    assert!(in_kafka || on_disk, "event {id} is nowhere");
                    self.safe.insert(id);
                }
            }
        }
    }

    fn answer_all(&mut self) {
        for lane in 0..self.wire.len() {
            for route in 0..ROUTES.len() {
                self.answer(lane, route, 3);
            }
        }
    }

    /// All is well again, for long enough.
    pub(super) fn come_to_rest(&mut self) {
        self.disk.works = true;
        self.kafka(true);
        for _ in 0..400 {
            self.answer_all();
            self.commit(true);
            self.page();
            self.pass(60);
            self.turn();
        }
    }

    /// A delivery of the event was answered `success`.
    pub(super) fn was_safe(&self, id: u8) -> bool {
        self.safe.contains(&id)
    }

    pub(super) fn check(&self) {
        let published = |id: u8| self.topics.iter().flatten().filter(|(_, other)| *other == id).count();
        let parked = |id: u8| {
            let parked = self.disk.records.iter().filter(|((lane, _), _)| *lane == Lane::Parked as u8);
            parked.filter(|(_, sending)| number(sending) == id).count()
        };
        for id in &self.safe {
            assert!(published(*id) + parked(*id) > 0, "event {id} was answered and is lost");
        }
        for id in (0..EVENTS + BARE).chain(QUARANTINED + EVENTS..QUARANTINED + EVENTS + BARE) {
            let copies = published(id) + parked(id);
            assert!(copies <= 1 + self.doublings, "event {id} is there {copies} times");
        }
        for of_key in 0..3 {
            let mut seen = HashSet::new();
            let of_key = self.topics[0].iter().filter(|(_, id)| key(*id) == of_key);
            let first: Vec<u64> = of_key.filter(|(_, id)| seen.insert(*id)).map(|(seq, _)| seq.0).collect();
            assert!(first.is_sorted(), "records of one key left in the order {first:?}");
        }
        for of_signature in 0..SIGNATURES {
            let events: HashSet<u8> = self.topics[0].iter().map(|(_, id)| *id).collect();
            let under = events.iter().filter(|id| signature(**id) == Some([of_signature; 20])).count();
            assert!(under <= 1 || self.killed_with_failing_disk, "{under} events under one signature");
        }
        let unanswered: Vec<_> = self.waiting.iter().map(|(id, _)| id).collect();
        assert!(unanswered.is_empty(), "without an answer: {unanswered:?}");
        let pending: Vec<_> = self.disk.records.keys().filter(|(lane, _)| *lane != Lane::Parked as u8).collect();
        assert!(pending.is_empty(), "still pending: {pending:?}");
        assert!(self.records.lanes.are_drained());
    }
}
