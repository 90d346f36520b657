//! The delivery with a real spool and a sink that the test plays: what leaves, in which order, and what an answer waits for.

mod away;
mod failing_commit;
mod failing_spool;
mod nonce_reuse;
mod reports;

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
            encodings: Default::default(),
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

/// Another writer's transaction: every append fails for as long as it lives, and reading works.
fn hold_the_disk(bench: &Bench) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(bench.folder.path().join("spool.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

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
