//! librdkafka: a producer for each route of a lane, its reports, and which of them are believed.

use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Message as _,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig},
};

use super::{
    Acked, Connect, Link, NotTaken, Position, Report, Reports,
    complaint::Complaints,
    errors::{classify, unencoded},
    properties::{alone, linger},
    statistics::Statistics,
};
use crate::{
    clock,
    delivery::{
        Lane,
        pending::Seq,
        pending::{Failure, Route},
        probe::{LastError, Probe},
        watch,
    },
    event::{Encoding, Record},
};

/// An event's, and room for one more.
const HEADERS: usize = 9;
/// How long the polling thread may sleep; how long a stop waits for it.
const POLL: Duration = Duration::from_millis(100);
/// How long a new producer waits for one answer to its question for metadata.
const FIRST: Duration = Duration::from_secs(1);
/// So many answers a new producer waits for.
const ANSWERS: usize = 2;

/// librdkafka properties, the topics, and how each lane's values are written. Without `Debug`: passwords are among them.
pub(in crate::delivery) struct Kafka {
    pub(in crate::delivery) config: ClientConfig,
    pub(in crate::delivery) topics: [Arc<str>; 3],
    pub(in crate::delivery) encodings: [Encoding; 3],
    /// Shown the brokers by the events' producer: all lanes speak to the same.
    pub(in crate::delivery) probe: Option<Probe>,
}

impl Connect for Kafka {
    fn connect(&self, link: Link, reports: Reports) -> Result<Box<dyn super::Producer>, KafkaError> {
        let config = match link.route {
            Route::Batch => &self.config,
            Route::Alone => &alone(&self.config),
        };
        let context = Context {
            link,
            reports,
            complaints: Complaints::default(),
            distrusted: AtomicBool::new(false),
            probe: self.probe.clone().filter(|_| link.lane == Lane::Events && link.route == Route::Batch),
            producer: OnceLock::new(),
        };
        let producer: Arc<BaseProducer<Context>> = Arc::new(config.create_with_context(context)?);
        // Set before the first poll, so before the first report.
        producer.context().producer.get_or_init(|| Arc::downgrade(&producer));
        let stop = Arc::new(AtomicBool::new(false));
        let place = Lane::FORWARDED.iter().position(|forwarded| *forwarded == link.lane).unwrap_or_default();
        let topic = self.topics.get(place).cloned().unwrap_or_default();
        let no_thread = |_| KafkaError::ClientCreation("no thread for polling".into());
        let polling = {
            let (producer, stop) = (Arc::clone(&producer), Arc::clone(&stop));
            watch::spawn("kafka-poll", move || {
                while !stop.load(Ordering::Relaxed) {
                    producer.poll(POLL);
                }
            })
        };
        let polling = polling.map_err(no_thread)?;
        let first = {
            let (producer, stop, topic) = (Arc::downgrade(&producer), Arc::clone(&stop), Arc::clone(&topic));
            watch::spawn("kafka-first", move || first_connection(&producer, &stop, &topic))
        };
        first.map_err(no_thread)?;
        let encoding = self.encodings.get(place).cloned().unwrap_or_default();
        Ok(Box::new(KafkaProducer { producer, topic, encoding, stop, polling: Some(polling) }))
    }

    fn linger(&self) -> Duration {
        linger(&self.config)
    }
}

/// Asks for metadata until a broker has answered twice, and reports that one is connected; the statistics would say it two seconds
/// later. Twice, because librdkafka gives up the connection that the first answer came by, and asks for its producer id with the
/// next one, or half a second later: no record leaves before it has that.
fn first_connection(producer: &Weak<BaseProducer<Context>>, stop: &AtomicBool, topic: &str) {
    let mut answers = 0;
    while !stop.load(Ordering::Relaxed) {
        let Some(producer) = producer.upgrade() else { return };
        if producer.client().fetch_metadata(Some(topic), FIRST).is_ok() {
            answers += 1;
            if answers == ANSWERS {
                return (producer.context().reports)(Report::Connected(producer.context().link, true));
            }
        } else {
            drop(producer);
            std::thread::sleep(POLL);
        }
    }
}

struct KafkaProducer {
    producer: Arc<BaseProducer<Context>>,
    topic: Arc<str>,
    encoding: Encoding,
    stop: Arc<AtomicBool>,
    polling: Option<JoinHandle<()>>,
}

impl super::Producer for KafkaProducer {
    fn send(&self, seq: Seq, record: &Record) -> Result<(), NotTaken> {
        let record = self.encoding.encode(record).map_err(|error| NotTaken::Failed(unencoded(error)))?;
        // A seq has at most 56 bits; the opaque is as wide as a pointer, 64 bits on every supported target.
        let seq = usize::try_from(seq.0).unwrap_or(usize::MAX);
        let mut send = BaseRecord::with_opaque_to(&self.topic, seq)
            .payload(&*record.value)
            // librdkafka takes 0 for "now".
            .timestamp(record.timestamp_ms.max(1))
            .headers(kafka_headers(&record));
        if let Some(key) = record.key.as_deref() {
            send = send.key(key.as_bytes());
        }
        self.producer.send::<[u8], [u8]>(send).map_err(|(error, _)| match self.producer.context().cause(&error) {
            Some(RDKafkaErrorCode::QueueFull) => NotTaken::QueueFull,
            code => NotTaken::Failed(classify(code)),
        })
    }

    fn purge(&self) {
        // A broker thread in a name look-up must not be waited for.
        self.producer.purge(PurgeConfig::default().queue().non_blocking());
    }
}

impl Drop for KafkaProducer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(polling) = self.polling.take() {
            // The thread ends by itself within `POLL`. It cannot have panicked: that ends the process.
            let _ = polling.join();
        }
    }
}

struct Context {
    link: Link,
    reports: Reports,
    /// Why no broker answers.
    complaints: Complaints,
    /// A report said delivered that need not be true: the later ones are not believed either.
    distrusted: AtomicBool,
    probe: Option<Probe>,
    /// Whose context this is.
    producer: OnceLock<Weak<BaseProducer<Context>>>,
}

impl Context {
    /// An error's code; where it only says that the producer has ended, or that librdkafka gave everything back because of
    /// that, the code of what ended it.
    fn cause(&self, error: &KafkaError) -> Option<RDKafkaErrorCode> {
        use RDKafkaErrorCode as Code;
        let code = error.rdkafka_error_code();
        if !matches!(code, Some(Code::Fatal | Code::PurgeQueue | Code::PurgeInflight)) {
            return code;
        }
        let producer = self.producer.get().and_then(Weak::upgrade);
        producer.and_then(|producer| producer.client().fatal_error()).map_or(code, |(cause, _)| Some(cause))
    }
}

impl Context {
    /// Whether a report of success means that the broker has the record. librdkafka reports success also when the broker calls
    /// the batch's sequence numbers old: a new leader that was sent a later batch first says so of one that it never had. Such
    /// a report has no offset, -1, and those of the records behind it in the batch count on from that.
    fn trusts(&self, offset: i64) -> bool {
        if offset < 0 {
            self.distrusted.store(true, Ordering::Relaxed);
        }
        !self.distrusted.load(Ordering::Relaxed)
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, seq: usize) {
        let (link, seq) = (self.link, Seq(seq as u64));
        (self.reports)(match result {
            Ok(message) if self.trusts(message.offset()) => {
                let position = Position { partition: message.partition(), offset: message.offset() };
                Report::Acked(link, Acked { seq, position })
            }
            Ok(_) => Report::Failed(link, seq, Failure::Producer("fatal")),
            Err((error, _)) => Report::Failed(link, seq, classify(self.cause(error))),
        });
    }
}

impl Context {
    /// What is wrong may be learnt only after all brokers were reported down.
    fn hear(&self, error: &KafkaError, reason: &str) {
        if self.complaints.hear(error, reason)
            && let Some((reason, complaint)) = self.complaints.last()
        {
            (self.reports)(Report::Reason(self.link, format!("{reason}; {}", complaint.cure())));
            if let Some(probe) = &self.probe {
                probe.set_last_error(LastError { at_ms: clock::unix_millis(), kind: complaint.label(), reason });
            }
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // A listener that ends plain connections is no error for librdkafka: it only logs that `security.protocol` may be wrong.
        if facility == "FAIL" && message.to_ascii_lowercase().contains("disconnected") {
            // The thread's name stands before it.
            let (_, message) = message.split_once("]: ").unwrap_or(("", message));
            self.hear(&KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure), message);
        }
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::warn!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let statistics = Statistics::read(statistics);
        (self.reports)(Report::Connected(self.link, statistics.is_up()));
        if let Some(probe) = &self.probe {
            probe.set_brokers(statistics.brokers());
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.hear(&error, reason);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                let why = match self.complaints.last() {
                    Some((reason, complaint)) => format!("all brokers are down: {reason}; {}", complaint.cure()),
                    None => "all brokers are down".to_owned(),
                };
                (self.reports)(Report::AllDown(self.link, why));
            }
            // No record fails by it, they wait: counted here, once for every line that librdkafka logs.
            code @ Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => {
                if let Some(reason) = classify(code).reason() {
                    (self.reports)(Report::Complaint(reason));
                }
            }
            Some(_) | None => tracing::debug!(target: "librdkafka", %error, "{reason}"),
        }
    }
}

/// A record's headers as librdkafka takes them.
#[must_use]
pub fn kafka_headers(record: &Record) -> OwnedHeaders {
    record.headers.iter().fold(OwnedHeaders::new_with_capacity(HEADERS), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}
