//! The delivery with a real spool and a sink that the test plays: what leaves, in which order, and what an answer waits for.

mod nonce_reuse;

use std::{
    collections::HashMap,
    sync::{Mutex, atomic::AtomicBool},
};

use rdkafka::error::KafkaError;

use super::{
    sink::{NotTaken, Sink},
    state::{Failure, Item},
    *,
};
use crate::event::{EventId, Record};

const SOON: Duration = Duration::from_secs(10);

/// What a sink was given: generation, seq, value.
type Sent = (u64, u64, String);

/// A broker played by the test.
#[derive(Default)]
struct Broker {
    sent: Mutex<HashMap<&'static str, Vec<Sent>>>,
    lanes: Mutex<HashMap<&'static str, Arc<Shared>>>,
    /// Acknowledge at once, from a thread of its own.
    acks: AtomicBool,
}

struct Double {
    broker: Arc<Broker>,
    topic: &'static str,
    generation: u64,
}

fn topic_of(lane: Lane) -> &'static str {
    match lane {
        Lane::Events => "events",
        Lane::Dlq => "dlq",
        Lane::Other | Lane::Parked => "other",
    }
}

impl Connect for Arc<Broker> {
    fn connect(&self, lane: &Arc<Shared>, generation: u64) -> Result<Box<dyn Sink>, KafkaError> {
        let topic = topic_of(lane.lane);
        self.lanes.lock().unwrap().insert(topic, Arc::clone(lane));
        Ok(Box::new(Double { broker: Arc::clone(self), topic, generation }))
    }

    fn linger(&self) -> Duration {
        Duration::ZERO
    }
}

impl Sink for Double {
    fn send(&self, item: &Item) -> Result<(), NotTaken> {
        let value = String::from_utf8(item.record.value.clone()).unwrap();
        if value.contains("too large") {
            return Err(NotTaken::Failed(Failure::Refused("too_large")));
        }
        self.broker.sent.lock().unwrap().entry(self.topic).or_default().push((self.generation, item.seq, value));
        if self.broker.acks.load(Ordering::SeqCst) {
            let (broker, topic, generation, seq) = (Arc::clone(&self.broker), self.topic, self.generation, item.seq);
            // The caller holds the lane's lock: the report comes from elsewhere, as librdkafka's does.
            std::thread::spawn(move || broker.lane(topic).acked(generation, seq));
        }
        Ok(())
    }

    fn purge(&self) {}
}

impl Broker {
    fn lane(&self, topic: &str) -> Arc<Shared> {
        Arc::clone(&self.lanes.lock().unwrap()[topic])
    }

    fn sent(&self, topic: &str) -> Vec<Sent> {
        self.sent.lock().unwrap().get(topic).cloned().unwrap_or_default()
    }

    fn values(&self, topic: &str) -> Vec<String> {
        self.sent(topic).into_iter().map(|(_, _, value)| value).collect()
    }

    fn await_sent(&self, topic: &str, count: usize) -> Vec<Sent> {
        wait_until(&format!("{count} records on {topic}"), || self.sent(topic).len() >= count);
        self.sent(topic)
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

struct Bench {
    folder: tempfile::TempDir,
    broker: Arc<Broker>,
    metrics: Metrics,
    answer_after: AnswerAfter,
    max_bytes: u64,
    ack_timeout: Duration,
}

impl Bench {
    fn new(answer_after: AnswerAfter) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            broker: Arc::default(),
            metrics: Metrics::new(),
            answer_after,
            max_bytes: 1 << 30,
            ack_timeout: Duration::from_secs(3),
        }
    }

    fn acking(answer_after: AnswerAfter) -> Self {
        let bench = Self::new(answer_after);
        bench.broker.acks.store(true, Ordering::SeqCst);
        bench
    }

    fn start(&self) -> (Delivery, Running) {
        let settings = Settings {
            path: self.folder.path().to_owned(),
            max_bytes: self.max_bytes,
            answer_after: self.answer_after,
            ack_timeout: self.ack_timeout,
            dedup_window: Duration::from_hours(48),
            dedup_max_bytes: 1 << 30,
            accounts: vec![("shop".to_owned(), "secure")],
            producer: None,
            topics: ["events".into(), "dlq".into(), "other".into()],
        };
        Delivery::start_with(settings, self.metrics.clone(), Some(Arc::new(Arc::clone(&self.broker)))).unwrap()
    }

    /// Pending records as `cardhook spool` sees them.
    fn pending(&self, lane: Lane) -> Vec<String> {
        let page = Reader::open(self.folder.path()).unwrap().pending(lane, 0, u64::MAX, 100_000, usize::MAX).unwrap();
        page.records.into_iter().map(|stored| String::from_utf8(stored.record.value).unwrap()).collect()
    }
}

fn submission(value: &str) -> Submission {
    Submission {
        lane: Lane::Events,
        account: 0,
        event_id: EventId::of_quarantined("shop", value.as_bytes()),
        event_time: 1_700_000_000,
        received_at_ms: clock::unix_millis(),
        record: Record {
            key: Some("user".to_owned()),
            timestamp_ms: 1_700_000_000_000,
            headers: [("ce_id", value)].into_iter().collect(),
            value: value.as_bytes().to_vec(),
        },
        binding: None,
    }
}

async fn submit(delivery: &Delivery, value: &str) -> Result<Safe, Overloaded> {
    delivery.submit(submission(value), Instant::now() + Duration::from_secs(4)).await
}

const NEW_IN_KAFKA: Safe = Safe { by_kafka: true, duplicate: false, nonce_reused: false };
const NEW_ON_DISK: Safe = Safe { by_kafka: false, ..NEW_IN_KAFKA };
const KNOWN_IN_KAFKA: Safe = Safe { duplicate: true, ..NEW_IN_KAFKA };
const KNOWN_ON_DISK: Safe = Safe { duplicate: true, ..NEW_ON_DISK };

#[tokio::test]
async fn an_acknowledged_record_leaves_the_spool() {
    let bench = Bench::acking(AnswerAfter::Kafka);
    let (delivery, running) = bench.start();
    assert_eq!(submit(&delivery, "a").await, Ok(NEW_IN_KAFKA));
    wait_until("the removal", || bench.metrics.spool_records.get() == 0);
    running.stop(SOON);
    assert_eq!(bench.broker.values("events"), ["a"]);
    assert_eq!(bench.pending(Lane::Events), Vec::<String>::new());
}

#[tokio::test]
async fn what_was_not_acknowledged_goes_out_first_after_a_restart() {
    let bench = Bench::new(AnswerAfter::Disk);
    let (delivery, running) = bench.start();
    for value in ["1", "2", "3"] {
        assert_eq!(submit(&delivery, value).await, Ok(NEW_ON_DISK));
    }
    running.stop(Duration::ZERO);
    assert_eq!(bench.pending(Lane::Events), ["1", "2", "3"]);

    let before = bench.broker.sent("events").len();
    bench.broker.acks.store(true, Ordering::SeqCst);
    let (delivery, running) = bench.start();
    assert_eq!(submit(&delivery, "4").await, Ok(NEW_ON_DISK));
    bench.broker.await_sent("events", before + 4);
    wait_until("the removal", || bench.metrics.spool_records.get() == 0);
    assert_eq!(bench.broker.values("events")[before..], ["1", "2", "3", "4"]);
    assert_eq!(submit(&delivery, "2").await, Ok(KNOWN_IN_KAFKA), "still known");
    running.stop(SOON);
}

#[tokio::test]
async fn a_duplicate_joins_the_wait_of_the_first_copy() {
    let bench = Bench::new(AnswerAfter::Kafka);
    let (delivery, running) = bench.start();
    let acked_by = bench.broker.clone();
    let acker = std::thread::spawn(move || {
        let sent = acked_by.await_sent("events", 1);
        acked_by.lane("events").acked(sent[0].0, sent[0].1);
    });
    let (one, two, three, four) = tokio::join!(
        submit(&delivery, "same"),
        submit(&delivery, "same"),
        submit(&delivery, "same"),
        submit(&delivery, "same")
    );
    acker.join().unwrap();
    let answers = [one.unwrap(), two.unwrap(), three.unwrap(), four.unwrap()];
    assert!(answers.iter().all(|safe| safe.by_kafka));
    assert_eq!(answers.iter().filter(|safe| safe.duplicate).count(), 3);
    assert_eq!(bench.broker.values("events"), ["same"]);
    running.stop(SOON);
}

#[tokio::test]
async fn a_silent_broker_delays_one_answer_and_then_none() {
    let mut bench = Bench::new(AnswerAfter::Kafka);
    bench.ack_timeout = Duration::from_millis(300);
    let (delivery, running) = bench.start();
    let started = Instant::now();
    assert_eq!(submit(&delivery, "1").await, Ok(NEW_ON_DISK));
    assert!(started.elapsed() >= bench.ack_timeout);
    wait_until("away", || bench.metrics.kafka_up.get() == 0);
    let started = Instant::now();
    assert_eq!(submit(&delivery, "2").await, Ok(NEW_ON_DISK));
    assert!(started.elapsed() < bench.ack_timeout);

    let sent = bench.broker.await_sent("events", 2);
    bench.broker.lane("events").acked(sent[0].0, sent[0].1);
    assert_eq!(bench.metrics.kafka_up.get(), 1, "back with the next ack");
    running.stop(Duration::ZERO);
}

#[tokio::test]
async fn kafka_only_takes_no_disk_for_an_answer() {
    let mut bench = Bench::new(AnswerAfter::KafkaOnly);
    bench.ack_timeout = Duration::from_millis(200);
    let (delivery, running) = bench.start();
    assert_eq!(submit(&delivery, "1").await, Err(Overloaded::NoDurablePlace));
    assert_eq!(submit(&delivery, "1").await, Err(Overloaded::NoDurablePlace), "the re-delivery is not safe either");
    let sent = bench.broker.await_sent("events", 1);
    bench.broker.lane("events").acked(sent[0].0, sent[0].1);
    assert_eq!(submit(&delivery, "1").await, Ok(KNOWN_IN_KAFKA));
    running.stop(SOON);
    assert_eq!(bench.broker.values("events"), ["1"]);
}

#[tokio::test]
async fn a_full_spool_refuses_until_the_first_removal() {
    let mut bench = Bench::new(AnswerAfter::Disk);
    bench.max_bytes = 40;
    bench.ack_timeout = Duration::from_millis(100);
    let (delivery, running) = bench.start();
    assert_eq!(submit(&delivery, "1").await, Ok(NEW_ON_DISK));
    assert_eq!(submit(&delivery, "2").await, Ok(NEW_ON_DISK));
    wait_until("away", || bench.metrics.kafka_up.get() == 0);
    assert_eq!(submit(&delivery, "3").await, Err(Overloaded::NoDurablePlace));
    assert_eq!(submit(&delivery, "1").await, Ok(KNOWN_ON_DISK), "known, and safe");
    let sent = bench.broker.await_sent("events", 2);
    bench.broker.lane("events").acked(sent[0].0, sent[0].1);
    wait_until("room", || bench.metrics.spool_records.get() == 1);
    assert_eq!(submit(&delivery, "3").await, Ok(NEW_ON_DISK), "what was refused was not remembered");
    running.stop(Duration::ZERO);
}

#[tokio::test]
async fn a_failed_report_starts_over_from_the_oldest_unacknowledged_record() {
    let bench = Bench::new(AnswerAfter::Disk);
    let (delivery, running) = bench.start();
    for value in ["1", "2", "3", "4"] {
        submit(&delivery, value).await.unwrap();
    }
    let sent = bench.broker.await_sent("events", 4);
    let lane = bench.broker.lane("events");
    lane.acked(sent[0].0, sent[0].1);
    lane.failed(sent[1].0, sent[1].1, Failure::Producer("fatal"));
    submit(&delivery, "5").await.unwrap();
    assert_eq!(bench.broker.sent("events").len(), 4, "nothing is fed before all are reported");
    lane.acked(sent[2].0, sent[2].1);
    lane.failed(sent[3].0, sent[3].1, Failure::Purged);
    let again = bench.broker.await_sent("events", 7);
    assert_eq!(bench.broker.values("events")[4..], ["2", "4", "5"]);
    assert!(again[4].0 > sent[0].0, "on a new producer");
    running.stop(Duration::ZERO);
}

#[tokio::test]
async fn a_record_that_the_broker_refuses_goes_to_the_dlq_and_holds_up_nobody() {
    let bench = Bench::acking(AnswerAfter::Kafka);
    let (delivery, running) = bench.start();
    let (refused, fine) = tokio::join!(submit(&delivery, "too large"), submit(&delivery, "fine"));
    assert_eq!(fine, Ok(NEW_IN_KAFKA));
    assert!(refused.is_ok(), "safe in the spool");
    wait_until("the DLQ's refusal", || bench.metrics.spool_parked.get() == 1);
    assert_eq!(bench.broker.values("events"), ["fine"]);
    running.stop(SOON);
    assert_eq!(bench.pending(Lane::Parked), ["too large"], "refused on the DLQ topic too: parked");
}

#[tokio::test]
async fn a_refusal_among_others_is_found_by_sending_it_alone() {
    let bench = Bench::new(AnswerAfter::Disk);
    let (delivery, running) = bench.start();
    for value in ["1", "2", "3"] {
        submit(&delivery, value).await.unwrap();
    }
    let sent = bench.broker.await_sent("events", 3);
    let lane = bench.broker.lane("events");
    lane.failed(sent[0].0, sent[0].1, Failure::Producer("other"));
    lane.failed(sent[1].0, sent[1].1, Failure::Refused("invalid_record"));
    lane.failed(sent[2].0, sent[2].1, Failure::Producer("other"));
    // The suspect is in the middle: what stands before it must be acknowledged before it is sent, alone.
    let again = bench.broker.await_sent("events", 4);
    let lane = bench.broker.lane("events");
    lane.acked(again[3].0, again[3].1);
    let alone = bench.broker.await_sent("events", 5);
    assert_eq!(alone[4].2, "2");
    lane.failed(alone[4].0, alone[4].1, Failure::Refused("invalid_record"));
    bench.broker.await_sent("events", 6);
    bench.broker.await_sent("dlq", 1);
    assert_eq!(bench.broker.values("events")[3..], ["1", "2", "3"]);
    assert_eq!(bench.broker.values("dlq"), ["2"]);
    running.stop(Duration::ZERO);
}

#[tokio::test]
async fn a_backlog_beyond_memory_is_read_from_the_spool_in_order() {
    const COUNT: usize = 30_000;
    let bench = Bench::new(AnswerAfter::Disk);
    let (delivery, running) = bench.start();
    let values: Vec<String> = (0..COUNT).map(|number| format!("{number:05}")).collect();
    for chunk in values.chunks(500) {
        let all = futures_util::future::join_all(chunk.iter().map(|value| submit(&delivery, value))).await;
        assert!(all.iter().all(|answer| *answer == Ok(NEW_ON_DISK)));
    }
    let mut acked = 0;
    while acked < COUNT {
        let sent = bench.broker.await_sent("events", acked + 1);
        let lane = bench.broker.lane("events");
        for (generation, seq, _) in &sent[acked..] {
            lane.acked(*generation, *seq);
        }
        acked = sent.len();
    }
    assert!(bench.broker.values("events") == values, "complete and in order");
    wait_until("the removal", || bench.metrics.spool_records.get() == 0);
    running.stop(SOON);
}

#[test]
fn a_second_service_on_the_same_spool_is_refused() {
    let bench = Bench::new(AnswerAfter::Disk);
    let (_delivery, running) = bench.start();
    let second = spool::Spool::open(bench.folder.path(), &[]);
    assert!(second.is_err_and(|error| error.to_string().contains("in use by another cardhook")));
    running.stop(SOON);
}

/// Another writer's transaction: every append fails for as long as it lives, and reading works.
fn hold_the_disk(bench: &Bench) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(bench.folder.path().join("spool.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

#[tokio::test]
async fn past_a_failing_spool_events_go_to_kafka_and_known_ones_do_not_go_twice() {
    let bench = Bench::acking(AnswerAfter::Disk);
    let (delivery, running) = bench.start();
    assert_eq!(submit(&delivery, "stored").await, Ok(NEW_ON_DISK));
    wait_until("the removal", || bench.metrics.spool_records.get() == 0);
    let other = hold_the_disk(&bench);
    assert_eq!(submit(&delivery, "past it").await, Ok(NEW_IN_KAFKA), "answered after the ack");
    assert!(!delivery.health().spool && delivery.health().durable);
    let (stored, past) = tokio::join!(submit(&delivery, "stored"), submit(&delivery, "past it"));
    let duplicate = Ok(KNOWN_IN_KAFKA);
    assert_eq!((stored, past), (duplicate, duplicate));
    drop(other);
    wait_until("recovery without an event", || delivery.health().spool);
    assert_eq!(submit(&delivery, "past it").await, duplicate, "known in memory still");
    assert_eq!(submit(&delivery, "new").await, Ok(NEW_ON_DISK));
    running.stop(SOON);
    assert_eq!(bench.broker.values("events"), ["stored", "past it", "new"]);
    assert_eq!(bench.metrics.spool_bypassed.get(), 1);
}

#[tokio::test]
async fn with_spool_and_kafka_gone_the_answer_is_503_and_nothing_is_kept() {
    let mut bench = Bench::new(AnswerAfter::Kafka);
    bench.ack_timeout = Duration::from_millis(100);
    let (delivery, running) = bench.start();
    assert_eq!(submit(&delivery, "1").await, Ok(NEW_ON_DISK));
    wait_until("away", || bench.metrics.kafka_up.get() == 0);
    let other = hold_the_disk(&bench);
    assert_eq!(submit(&delivery, "2").await, Err(Overloaded::NoDurablePlace));
    assert!(!delivery.health().durable);
    drop(other);
    assert_eq!(submit(&delivery, "2").await, Ok(NEW_ON_DISK), "not remembered: the re-delivery is new");
    running.stop(Duration::ZERO);
}

#[tokio::test]
async fn what_is_refused_for_a_full_spool_is_not_overtaken() {
    let mut bench = Bench::new(AnswerAfter::Disk);
    bench.max_bytes = 60;
    let (delivery, running) = bench.start();
    let long = "x".repeat(60);
    let (one, big, two) = tokio::join!(submit(&delivery, "1"), submit(&delivery, &long), submit(&delivery, "2"));
    assert_eq!(one, Ok(NEW_ON_DISK));
    assert!(big.is_err() && two.is_err(), "past the full spool, and no ack comes: {big:?} {two:?}");
    assert!(!delivery.health().spool);
    assert_eq!(bench.broker.values("events"), ["1", long.as_str(), "2"]);
    running.stop(Duration::ZERO);
}
