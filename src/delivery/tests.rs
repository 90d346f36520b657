//! The delivery with a real spool and a sink that the test plays: what leaves, in which order, and what an answer waits for.

mod away;
mod failing_commit;
mod failing_spool;
mod nonce_reuse;
mod presence;
mod refused;
mod reports;

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use rdkafka::error::KafkaError;

use super::{
    broker::{Acked, Link, NotTaken, Producer, Report as BrokerReport, Reports},
    pending::{Failure, Seq},
    *,
};
use crate::event::{EventId, Record};

const SOON: Duration = Duration::from_secs(10);

/// What a producer was given: which one, seq, value.
type Sent = (Link, Seq, String);

/// A broker played by the test.
#[derive(Default)]
struct Broker {
    sent: Mutex<HashMap<&'static str, Vec<Sent>>>,
    reports: Mutex<Option<Reports>>,
    /// Acknowledge at once.
    acks: AtomicBool,
    /// Nobody is there.
    unreachable: AtomicBool,
}

struct Double {
    broker: Arc<Broker>,
    link: Link,
    reports: Reports,
}

fn topic_of(lane: Lane) -> &'static str {
    match lane {
        Lane::Events => "events",
        Lane::Dlq => "dlq",
        Lane::Other | Lane::Parked => "other",
    }
}

impl Connect for Arc<Broker> {
    fn connect(&self, link: Link, reports: Reports) -> Result<Box<dyn Producer>, KafkaError> {
        if !self.unreachable.load(Ordering::SeqCst) {
            reports(BrokerReport::Connected(link, true));
        }
        *self.reports.lock().unwrap() = Some(Arc::clone(&reports));
        Ok(Box::new(Double { broker: Arc::clone(self), link, reports }))
    }

    fn linger(&self) -> Duration {
        Duration::ZERO
    }
}

impl Producer for Double {
    fn send(&self, seq: Seq, record: &Record) -> Result<(), NotTaken> {
        let value = String::from_utf8(record.value.to_vec()).unwrap();
        if value.contains("too large") {
            return Err(NotTaken::Failed(Failure::Refused("too_large")));
        }
        let (topic, leaderless) = (topic_of(self.link.lane), value.contains("leaderless"));
        self.broker.sent.lock().unwrap().entry(topic).or_default().push((self.link, seq, value));
        if self.broker.acks.load(Ordering::SeqCst) && !leaderless {
            (self.reports)(BrokerReport::Acked(self.link, Acked::in_a_test(seq)));
        }
        Ok(())
    }

    fn purge(&self) {}
}

impl Broker {
    fn report(&self, report: BrokerReport) {
        let reports = self.reports.lock().unwrap().clone().expect("a producer");
        reports(report);
    }

    fn ack(&self, (link, seq, _): &Sent) {
        self.report(BrokerReport::Acked(*link, Acked::in_a_test(*seq)));
    }

    fn fail(&self, (link, seq, _): &Sent, failure: Failure) {
        self.report(BrokerReport::Failed(*link, *seq, failure));
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

    fn settings(&self) -> Settings {
        Settings {
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
            traces: crate::telemetry::traces::Traces::default(),
            probe: None,
        }
    }

    fn start(&self) -> (Delivery, Running) {
        Delivery::start_with(self.settings(), self.metrics.clone(), Some(Arc::new(Arc::clone(&self.broker)))).unwrap()
    }

    /// Pending records as `cardhook spool` sees them.
    fn pending(&self, lane: Lane) -> Vec<String> {
        let mut values = Vec::new();
        let read = each_page(&Reader::open(self.folder.path()).unwrap(), lane, |page| {
            values.extend(page.iter().map(|stored| String::from_utf8(stored.record.value.to_vec()).unwrap()));
            Ok::<_, SpoolError>(())
        });
        read.unwrap();
        values
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
            value: value.as_bytes().into(),
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
        acked_by.ack(&sent[0]);
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
        for sent in &sent[acked..] {
            bench.broker.ack(sent);
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
    let second = Delivery::start_with(bench.settings(), Metrics::new(), None);
    assert!(second.is_err_and(|error| error.to_string().contains("in use by another cardhook")));
    running.stop(SOON);
}
