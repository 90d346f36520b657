//! Random interleavings of what can happen to a delivery, against an oracle that knows only the contract (§3.1).
//!
//! The world below is a coordinator without threads: it takes submissions, applies reports, and drives the lanes and the index
//! exactly as the service does, with a disk and a broker that are plain collections and fail when they are told to.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::{
    lane::Lane,
    memory::{Due, Found, Limits, Memory},
    record::{By, Seq, Verdict},
    resend::{Failure, Route},
    step::{Amount, Arrival, New, Refused, Rules, Step},
};
use crate::delivery::{AnswerAfter, broker::Acked, store::Committed};

const EVENTS: usize = 0;
const DLQ: usize = 1;
/// Small, so that the store is asked often; what it lacks is never forgotten.
const LIMITS: Limits = Limits { held: 12, due: 100 };
const ROUTES: [Route; 2] = [Route::Batch, Route::Alone];

type Place = (usize, Seq);
type Page = Vec<(Seq, Option<u64>, u64, Rec)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rec {
    id: u32,
    key: u64,
}

impl Rec {
    fn of(id: u32) -> Self {
        Self { id, key: u64::from(id % 3) }
    }

    /// Several ids share an event second; every eighth is much older than its neighbours.
    fn second(self) -> i64 {
        if self.id % 8 == 5 { 1 } else { i64::from(self.id / 3) + 2 }
    }

    /// The events topic refuses it.
    fn is_bad(self) -> bool {
        self.id % 6 == 4
    }
}

#[derive(Debug, Clone, Copy)]
enum Op {
    /// A delivery or a re-delivery.
    Submit(u32),
    /// What the store was asked first is committed, or fails.
    Commit(bool),
    /// The broker answers a request of so many records.
    Answer(usize, usize, usize),
    /// The producer ends; so many of its records have arrived all the same.
    Fatal(usize, usize),
    /// A page that was read arrives.
    Page,
    Kafka(bool),
    Disk(bool),
    Pass(u64),
    /// Killed, and started again; what the disk was writing may be written.
    Kill(bool),
    /// Stopped in order, and started again.
    Stop,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..40_u32).prop_map(Op::Submit),
        1 => Just(Op::Commit(false)),
        8 => Just(Op::Commit(true)),
        8 => (0..2_usize, 0..2_usize, 1..5_usize).prop_map(|(lane, route, size)| Op::Answer(lane, route, size)),
        1 => (0..2_usize, 0..4_usize).prop_map(|(lane, arrived)| Op::Fatal(lane, arrived)),
        3 => Just(Op::Page),
        2 => any::<bool>().prop_map(Op::Kafka),
        2 => any::<bool>().prop_map(Op::Disk),
        4 => (1..120_u64).prop_map(Op::Pass),
        1 => Just(Op::Pass(2100)),
        1 => any::<bool>().prop_map(Op::Kill),
        1 => Just(Op::Stop),
    ]
}

/// What one commit does.
#[derive(Debug, Default, Clone)]
struct Job {
    append: Vec<(Place, Rec)>,
    ids: Vec<Due<u32, Place>>,
    remove: Vec<Place>,
    undecided: Vec<(Seq, Rec)>,
    moved: Vec<(Place, Seq, Rec)>,
}

struct World {
    policy: AnswerAfter,
    now: Instant,
    lanes: [Lane<Rec, u32>; 2],
    ids: Memory<u32, Place>,
    jobs: VecDeque<Job>,
    remove_again: Vec<Place>,
    pages: VecDeque<(usize, Page, Seq)>,
    next_seq: u64,
    // What outlives a kill.
    disk: BTreeMap<Place, Rec>,
    remembered: HashMap<u32, Place>,
    disk_works: bool,
    /// What the producers have, by lane and route.
    wire: [[VecDeque<(Seq, Rec)>; 2]; 2],
    kafka_up: bool,
    /// What the topics hold.
    topics: [Vec<(Seq, Rec)>; 2],
    // What the oracle knows.
    asked: HashMap<u32, Rec>,
    safe: HashSet<u32>,
    /// Kills and fatal errors: each may double what was in flight.
    doublings: usize,
}

fn lane(policy: AnswerAfter, last: Seq) -> Lane<Rec, u32> {
    let (memory, in_flight) = (Amount { records: 8, bytes: 1000 }, Amount { records: 5, bytes: 1000 });
    let (ack_timeout, store_after) = (Duration::from_secs(2), Duration::from_millis(50));
    Lane::new(Rules { policy, ack_timeout, store_after, memory, in_flight }, last)
}

impl World {
    fn new(policy: AnswerAfter) -> Self {
        let mut world = Self {
            policy,
            now: Instant::now(),
            lanes: [lane(policy, Seq(0)), lane(policy, Seq(0))],
            ids: Memory::new(0, LIMITS),
            jobs: VecDeque::new(),
            remove_again: Vec::new(),
            pages: VecDeque::new(),
            next_seq: 1,
            disk: BTreeMap::new(),
            remembered: HashMap::new(),
            disk_works: true,
            wire: Default::default(),
            kafka_up: true,
            topics: Default::default(),
            asked: HashMap::new(),
            safe: HashSet::new(),
            doublings: 0,
        };
        world.kafka(true);
        world
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Submit(id) => self.submit(Rec::of(id)),
            Op::Commit(ok) => self.commit(ok && self.disk_works),
            Op::Answer(lane, route, size) => self.answer(lane, route, size),
            Op::Fatal(lane, arrived) => self.fatal(lane, arrived),
            Op::Page => self.page(),
            Op::Kafka(up) => self.kafka(up),
            Op::Disk(works) => self.disk_works = works,
            Op::Pass(ms) => self.now += Duration::from_millis(ms),
            Op::Kill(written) => self.kill(written),
            Op::Stop => self.stop(),
        }
        self.turn();
    }

    fn take_seq(&mut self) -> Seq {
        self.next_seq += 1;
        Seq(self.next_seq)
    }

    fn submit(&mut self, rec: Rec) {
        let answer = u32::try_from(self.asked.len()).unwrap();
        self.asked.insert(answer, rec);
        let waiting = smallvec::smallvec![(answer, self.now)];
        let (key, payload, bytes) = (Some(rec.key), rec, 1);
        match self.ids.find(rec.second(), &rec.id) {
            Found::Known((lane, seq)) => self.lanes[lane].join(seq, answer, self.now, self.now),
            found @ (Found::New | Found::AskStore) => {
                let seq = self.take_seq();
                self.ids.insert(rec.second(), rec.id, (EVENTS, seq));
                let arrival = if found == Found::New { Arrival::New } else { Arrival::Undecided };
                self.lanes[EVENTS].add(New { seq, key, bytes, payload, waiting, arrival }, self.now);
                if found == Found::AskStore {
                    self.jobs.push_back(Job { undecided: vec![(seq, rec)], ..Job::default() });
                }
            }
        }
    }

    fn turn(&mut self) {
        for lane in [EVENTS, DLQ] {
            self.lanes[lane].tick(self.now);
            self.steps(lane);
        }
        let mut job = Job { remove: std::mem::take(&mut self.remove_again), ..Job::default() };
        for lane in [EVENTS, DLQ] {
            let stored = self.lanes[lane].take_to_store(self.now);
            job.append.extend(stored.into_iter().map(|(seq, rec)| ((lane, seq), *rec)));
            job.remove.extend(self.lanes[lane].take_removals().into_iter().map(|(seq, _)| (lane, seq)));
        }
        if self.jobs.is_empty() {
            job.ids = self.ids.due(100);
        }
        if !(job.append.is_empty() && job.remove.is_empty() && job.ids.is_empty()) {
            self.jobs.push_back(job);
        }
        for lane in [EVENTS, DLQ] {
            for (answer, verdict) in self.lanes[lane].take_decided() {
                self.answered(answer, verdict);
            }
            for rec in self.lanes[lane].take_given_up() {
                self.ids.forget(rec.second(), &rec.id);
            }
        }
    }

    fn steps(&mut self, lane: usize) {
        loop {
            match self.lanes[lane].step(self.now) {
                Step::Connect(route) => self.lanes[lane].connected(route),
                Step::Send(route, seq) => {
                    let rec = *self.lanes[lane].payload(seq).expect("what is sent is in memory");
                    self.wire[lane][route as usize].push_back((seq, rec));
                }
                Step::Purge(route) => {
                    let back = std::mem::take(&mut self.wire[lane][route as usize]);
                    self.fail_all(lane, &back, Failure::Purged);
                }
                Step::Read { after, upto } => {
                    let rows = self.disk.range((lane, Seq(after.0 + 1))..=(lane, upto));
                    let page: Vec<_> = rows.map(|((_, seq), rec)| (*seq, Some(rec.key), 1, *rec)).take(3).collect();
                    let upto = if page.len() == 3 { page[2].0 } else { upto };
                    self.pages.push_back((lane, page, upto));
                }
                Step::Idle(_) => return,
            }
        }
    }

    fn page(&mut self) {
        if let Some((lane, page, upto)) = self.pages.pop_front() {
            self.lanes[lane].loaded(page, upto, self.now);
        }
    }

    fn kafka(&mut self, up: bool) {
        self.kafka_up = up;
        for lane in &mut self.lanes {
            lane.set_broker_up(up, self.now);
        }
    }

    fn fail_all(&mut self, lane: usize, records: &VecDeque<(Seq, Rec)>, failure: Failure) {
        for (seq, _) in records {
            self.fail(lane, *seq, failure);
        }
    }

    fn fail(&mut self, lane: usize, seq: Seq, failure: Failure) {
        for refused in self.lanes[lane].failed(seq, failure, self.now) {
            self.move_to_dlq(refused);
        }
    }

    fn move_to_dlq(&mut self, refused: Refused<Rec, u32>) {
        let Refused { seq: from, bytes, payload, on_disk, waiting, .. } = refused;
        let seq = self.take_seq();
        self.ids.insert(payload.second(), payload.id, (DLQ, seq));
        if on_disk {
            self.jobs.push_back(Job { moved: vec![((EVENTS, from), seq, payload)], ..Job::default() });
        }
        let arrival = Arrival::Moved { writing: on_disk };
        self.lanes[DLQ].add(New { seq, key: None, bytes, payload, waiting, arrival }, self.now);
    }

    /// The broker answers the first request that a producer has on its way.
    fn answer(&mut self, lane: usize, route: usize, size: usize) {
        if !self.kafka_up {
            return;
        }
        let wire = &mut self.wire[lane][route];
        let size = if ROUTES[route] == Route::Alone { 1 } else { size.min(wire.len()) };
        let request: VecDeque<_> = wire.drain(..size.min(wire.len())).collect();
        let refused = lane == EVENTS && request.iter().any(|(_, rec)| rec.is_bad());
        if refused && ROUTES[route] == Route::Batch {
            // The producer ends: nothing may overtake what it sends again. What is on its way to other partitions arrives.
            let keys: HashSet<u64> = request.iter().map(|(_, rec)| rec.key).collect();
            let behind = std::mem::take(&mut self.wire[lane][route]);
            let (same, others): (VecDeque<_>, VecDeque<_>) =
                behind.into_iter().partition(|(_, rec)| keys.contains(&rec.key) || rec.is_bad());
            self.fail_all(lane, &request, Failure::Refused("invalid_record"));
            self.fail_all(lane, &same, Failure::Purged);
            let bad: HashSet<u64> = same.iter().map(|(_, rec)| rec.key).collect();
            for (seq, rec) in others {
                if bad.contains(&rec.key) {
                    self.fail(lane, seq, Failure::Purged);
                } else {
                    self.delivered(lane, seq, rec);
                }
            }
            return;
        }
        for (seq, rec) in request {
            if refused {
                self.fail(lane, seq, Failure::Refused("invalid_record"));
                continue;
            }
            self.delivered(lane, seq, rec);
        }
    }

    fn delivered(&mut self, lane: usize, seq: Seq, rec: Rec) {
        self.topics[lane].push((seq, rec));
        if let Some(rec) = self.lanes[lane].acked(Acked::in_a_test(seq), self.now) {
            self.ids.acked(rec.second(), rec.id);
        }
        for refused in self.lanes[lane].recover(self.now) {
            self.move_to_dlq(refused);
        }
    }

    fn fatal(&mut self, lane: usize, arrived: usize) {
        let lost = std::mem::take(&mut self.wire[lane][Route::Batch as usize]);
        if lost.is_empty() {
            return;
        }
        self.doublings += 1;
        let good = lost.iter().take_while(|(_, rec)| lane == DLQ || !rec.is_bad());
        self.topics[lane].extend(good.take(arrived));
        self.fail_all(lane, &lost, Failure::Producer("fatal"));
    }

    fn commit(&mut self, ok: bool) {
        let Some(job) = self.jobs.pop_front() else { return };
        if ok {
            self.write(&job);
            self.committed(&job);
        } else {
            self.not_committed(job);
        }
    }

    /// The transaction.
    fn write(&mut self, job: &Job) {
        for (place, rec) in &job.append {
            self.disk.insert(*place, *rec);
            self.remembered.insert(rec.id, *place);
        }
        for due in &job.ids {
            self.remembered.insert(due.key, due.place);
        }
        for place in &job.remove {
            self.disk.remove(place);
        }
        for (from, seq, rec) in &job.moved {
            self.disk.remove(from);
            self.disk.insert((DLQ, *seq), *rec);
            self.remembered.insert(rec.id, (DLQ, *seq));
        }
        for (seq, rec) in &job.undecided {
            if !self.remembered.contains_key(&rec.id) {
                self.disk.insert((EVENTS, *seq), *rec);
                self.remembered.insert(rec.id, (EVENTS, *seq));
            }
        }
    }

    fn committed(&mut self, job: &Job) {
        for ((lane, seq), rec) in &job.append {
            self.stored(*lane, *seq, *rec);
        }
        self.ids.saved(&job.ids);
        for (_, seq, rec) in &job.moved {
            self.stored(DLQ, *seq, *rec);
        }
        for (seq, rec) in &job.undecided {
            match self.remembered[&rec.id] {
                place if place == (EVENTS, *seq) => {
                    self.lanes[EVENTS].decided_new(*seq);
                    self.stored(EVENTS, *seq, *rec);
                }
                first => self.join_first(*seq, *rec, first),
            }
        }
    }

    fn stored(&mut self, lane: usize, seq: Seq, rec: Rec) {
        self.lanes[lane].committed(&[Committed::in_a_test(seq)], self.now);
        if self.ids.find(rec.second(), &rec.id) == Found::Known((lane, seq)) {
            self.ids.stored(rec.second(), &rec.id);
        }
    }

    fn join_first(&mut self, seq: Seq, rec: Rec, stored: Place) {
        let (lane, first) = match self.ids.find(rec.second(), &rec.id) {
            // Refused since the transaction: its DLQ record is the first copy now.
            Found::Known(place) if place != (EVENTS, seq) => place,
            Found::Known(_) | Found::New | Found::AskStore => {
                self.ids.insert(rec.second(), rec.id, stored);
                self.ids.stored(rec.second(), &rec.id);
                stored
            }
        };
        // The transaction says whether the first copy is still pending on disk; else it is in Kafka.
        let pending = (lane, first) != stored || self.disk.contains_key(&stored);
        for (answer, since) in self.lanes[EVENTS].take_duplicate(seq) {
            if pending {
                self.lanes[lane].join(first, answer, since, self.now);
            } else {
                self.answered(answer, Verdict::Safe(By::KAFKA));
            }
        }
    }

    fn not_committed(&mut self, job: Job) {
        self.remove_again.extend(job.remove);
        // Once its DLQ record is stored, or acknowledged; `works_again` stores it in the same commit.
        self.remove_again.extend(job.moved.iter().map(|(from, _, _)| *from));
        let moved = job.moved.iter().map(|(_, seq, _)| (DLQ, *seq));
        let places: Vec<Place> = job.append.iter().map(|(place, _)| *place).chain(moved).collect();
        for (seq, rec) in job.undecided {
            // Reading works: what is known is known.
            if let Some(first) = self.remembered.get(&rec.id) {
                self.join_first(seq, rec, *first);
            } else {
                self.lanes[EVENTS].decided_new(seq);
                self.lanes[EVENTS].not_committed(&[seq], self.now);
            }
        }
        for (lane, seq) in places {
            self.lanes[lane].not_committed(&[seq], self.now);
        }
        // The next commit is the try whether the disk works again.
        self.lanes.iter_mut().for_each(Lane::disk_works);
    }

    /// What is in memory is sent, what cannot be is written; then as after a kill.
    fn stop(&mut self) {
        self.lanes.iter_mut().for_each(Lane::drain);
        for _ in 0..60 {
            self.answer_all();
            self.commit(self.disk_works);
            self.now += Duration::from_millis(60);
            self.turn();
        }
        let sent = self.wire.iter().flatten().all(VecDeque::is_empty);
        self.kill(false);
        // What nobody has sent without a report is not sent again.
        self.doublings -= usize::from(sent && self.disk_works);
    }

    fn kill(&mut self, written: bool) {
        self.doublings += 1;
        if let Some(job) = self.jobs.pop_front().filter(|_| written) {
            self.write(&job);
        }
        for (lane, topic) in self.topics.iter_mut().enumerate() {
            let on_its_way = self.wire[lane][Route::Batch as usize].drain(..).take(2);
            topic.extend(on_its_way.take_while(|(_, rec)| lane == DLQ || !rec.is_bad()));
        }
        self.wire = Default::default();
        (self.jobs, self.pages, self.remove_again) = Default::default();
        let last =
            |lane| self.disk.range((lane, Seq(0))..=(lane, Seq(u64::MAX))).next_back().map_or(Seq(0), |row| row.0.1);
        self.lanes = [lane(self.policy, last(EVENTS)), lane(self.policy, last(DLQ))];
        let newest = self.remembered.keys().map(|id| Rec::of(*id).second()).max();
        self.ids = Memory::new(newest.unwrap_or(0), LIMITS);
        // Who waited got no answer.
        self.asked.clear();
        self.kafka(self.kafka_up);
    }

    fn answered(&mut self, answer: u32, verdict: Verdict) {
        let rec = self.asked[&answer];
        let in_kafka = self.topics.iter().flatten().any(|(_, other)| other.id == rec.id);
        let on_disk = self.disk.values().any(|other| other.id == rec.id);
        match verdict {
            Verdict::Safe(By::KAFKA) => assert!(in_kafka, "{rec:?} is not in Kafka"),
            Verdict::Safe(By::DISK) => {
                assert_ne!(self.policy, AnswerAfter::KafkaOnly);
                assert!(on_disk || in_kafka, "{rec:?} is not on disk");
            }
            Verdict::Refuse => return self.refused(answer),
            Verdict::Wait => panic!("that is no answer"),
        }
        self.asked.insert(answer, Rec { id: u32::MAX, key: 0 });
        self.safe.insert(rec.id);
    }

    fn refused(&mut self, answer: u32) {
        self.asked.insert(answer, Rec { id: u32::MAX, key: 0 });
    }

    fn answer_all(&mut self) {
        for lane in [EVENTS, DLQ] {
            for route in [0, 1] {
                self.answer(lane, route, 3);
            }
        }
    }

    /// All is well again, for long enough.
    fn come_to_rest(&mut self) {
        self.disk_works = true;
        self.kafka(true);
        for _ in 0..400 {
            self.answer_all();
            self.commit(true);
            self.page();
            self.now += Duration::from_millis(60);
            self.turn();
        }
    }

    fn check(&self) {
        let published = |id: u32| self.topics.iter().flatten().filter(|(_, rec)| rec.id == id).count();
        for id in &self.safe {
            assert!(published(*id) > 0, "{id} was answered and is lost");
        }
        for id in 0..40 {
            assert!(published(id) <= 1 + self.doublings, "{id} is published {} times", published(id));
        }
        for key in 0..3 {
            let mut seen = HashSet::new();
            let of_key = self.topics[EVENTS].iter().filter(|(_, rec)| rec.key == key);
            let first: Vec<u64> = of_key.filter(|(_, rec)| seen.insert(rec.id)).map(|(seq, _)| seq.0).collect();
            assert!(first.is_sorted(), "records of key {key} left in the order {first:?}");
        }
        let unanswered: Vec<_> = self.asked.values().filter(|rec| rec.id != u32::MAX).collect();
        assert!(unanswered.is_empty(), "without an answer: {unanswered:?}");
        assert!(self.disk.is_empty(), "still pending: {:?}", self.disk);
        assert!(self.lanes.iter().all(Lane::is_drained));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_what_is_answered_is_safe_in_order_and_published_once(
        policy in prop_oneof![Just(AnswerAfter::Kafka), Just(AnswerAfter::Disk), Just(AnswerAfter::KafkaOnly)],
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut world = World::new(policy);
        for op in ops {
            world.apply(op);
        }
        world.come_to_rest();
        world.check();
    }
}
