//! The sink: where a lane's records go. Kafka in the service, a double in the forwarder's tests.

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
use serde::Deserialize;

use super::{
    Lane,
    complaint::Complaints,
    lane::Shared,
    properties::linger,
    state::{Failure, Item},
    watch,
};
use crate::event::{EncodeError, Encoding, Record};

/// An event's, and room for one more.
const HEADERS: usize = 9;
/// How long the polling thread may sleep; how long a stop waits for it.
const POLL: Duration = Duration::from_millis(100);

/// Why a record was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// No room now: try again soon.
    QueueFull,
    /// As a failed report would say.
    Failed(Failure),
}

/// A connection of one lane to its topic. Every taken record is reported once: `Shared::acked` or `Shared::failed`.
pub(super) trait Sink: Send {
    /// Takes a record, or says why not. Never blocks.
    fn send(&self, item: &Item) -> Result<(), NotTaken>;
    /// Gives back what has not left yet, reported as [`Failure::Purged`].
    fn purge(&self);
}

/// Makes sinks: one at start, a new one after a failure.
pub(super) trait Connect: Send + Sync {
    /// A sink that reports to `lane` under `generation`.
    fn connect(&self, lane: &Arc<Shared>, generation: u64) -> Result<Box<dyn Sink>, KafkaError>;
    /// How long a sink keeps a record for others to share its request.
    fn linger(&self) -> Duration;
}

/// librdkafka properties, and how each lane's values are written. Without `Debug`: passwords are among them.
pub(super) struct Kafka {
    pub(super) config: ClientConfig,
    pub(super) encodings: [Encoding; 3],
}

impl Connect for Kafka {
    fn connect(&self, lane: &Arc<Shared>, generation: u64) -> Result<Box<dyn Sink>, KafkaError> {
        let context = Context {
            lane: Arc::clone(lane),
            generation,
            complaints: Complaints::default(),
            distrusted: AtomicBool::new(false),
            producer: OnceLock::new(),
        };
        let producer: Arc<BaseProducer<Context>> = Arc::new(self.config.create_with_context(context)?);
        // Set before the first poll, so before the first report.
        producer.context().producer.get_or_init(|| Arc::downgrade(&producer));
        let stop = Arc::new(AtomicBool::new(false));
        let polling = {
            let (producer, stop) = (Arc::clone(&producer), Arc::clone(&stop));
            watch::spawn("kafka-poll", move || {
                while !stop.load(Ordering::Relaxed) {
                    producer.poll(POLL);
                }
            })
        };
        let polling = polling.map_err(|_| KafkaError::ClientCreation("no thread for polling".into()))?;
        let encoding = Lane::FORWARDED.iter().position(|forwarded| *forwarded == lane.lane);
        let encoding = encoding.and_then(|place| self.encodings.get(place)).cloned().unwrap_or_default();
        Ok(Box::new(KafkaSink { producer, lane: Arc::clone(lane), encoding, stop, polling: Some(polling) }))
    }

    fn linger(&self) -> Duration {
        linger(&self.config)
    }
}

struct KafkaSink {
    producer: Arc<BaseProducer<Context>>,
    lane: Arc<Shared>,
    encoding: Encoding,
    stop: Arc<AtomicBool>,
    polling: Option<JoinHandle<()>>,
}

impl Sink for KafkaSink {
    fn send(&self, item: &Item) -> Result<(), NotTaken> {
        let record = self.encoding.encode(&item.record).map_err(|error| {
            let failure = unencoded(error);
            self.lane.count(failure);
            NotTaken::Failed(failure)
        })?;
        // A seq has at most 56 bits; the opaque is as wide as a pointer, 64 bits on every supported target.
        let seq = usize::try_from(item.seq).unwrap_or(usize::MAX);
        let mut send = BaseRecord::with_opaque_to(&self.lane.topic, seq)
            .payload(record.value.as_slice())
            // librdkafka takes 0 for "now".
            .timestamp(record.timestamp_ms.max(1))
            .headers(kafka_headers(&record));
        if let Some(key) = record.key.as_deref() {
            send = send.key(key.as_bytes());
        }
        self.producer.send::<[u8], [u8]>(send).map_err(|(error, _)| match self.producer.context().cause(&error) {
            Some(RDKafkaErrorCode::QueueFull) => NotTaken::QueueFull,
            code => {
                let failure = classify(code);
                self.lane.count(failure);
                NotTaken::Failed(failure)
            }
        })
    }

    fn purge(&self) {
        // The lane's lock is held: a broker thread in a name look-up must not be waited for.
        self.producer.purge(PurgeConfig::default().queue().non_blocking());
    }
}

impl Drop for KafkaSink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(polling) = self.polling.take() {
            // The thread ends by itself within `POLL`. It cannot have panicked: that ends the process.
            let _ = polling.join();
        }
    }
}

struct Context {
    lane: Arc<Shared>,
    generation: u64,
    /// Why no broker answers.
    complaints: Complaints,
    /// A report said delivered that need not be true: the later ones are not believed either.
    distrusted: AtomicBool,
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
        match result {
            Ok(message) if self.trusts(message.offset()) => self.lane.acked(self.generation, seq as u64),
            Ok(_) => self.lane.failed(self.generation, seq as u64, Failure::Producer("fatal")),
            Err((error, _)) => self.lane.failed(self.generation, seq as u64, classify(self.cause(error))),
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
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
        let up = serde_json::from_slice::<Statistics>(statistics)
            .is_ok_and(|statistics| statistics.brokers.values().any(|broker| broker.state == "UP"));
        self.lane.broker_up.store(up, Ordering::Relaxed);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.complaints.hear(&error, reason);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                self.lane.broker_up.store(false, Ordering::Relaxed);
                match self.complaints.reason_and_cure() {
                    Some((reason, cure)) => self.lane.set_away(&format!("all brokers are down: {reason}; {cure}")),
                    None => self.lane.set_away("all brokers are down"),
                }
            }
            // No record fails by it, they wait: counted here, once for every line that librdkafka logs.
            code @ Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => self.lane.count(classify(code)),
            Some(_) | None => tracing::debug!(target: "librdkafka", %error, "{reason}"),
        }
    }
}

/// The part of librdkafka's statistics that says whether a broker is there.
#[derive(Deserialize)]
struct Statistics<'a> {
    #[serde(borrow, default)]
    brokers: std::collections::HashMap<std::borrow::Cow<'a, str>, Broker<'a>>,
}

#[derive(Deserialize)]
struct Broker<'a> {
    #[serde(borrow)]
    state: std::borrow::Cow<'a, str>,
}

/// A record's headers as librdkafka takes them.
#[must_use]
pub fn kafka_headers(record: &Record) -> OwnedHeaders {
    record.headers.iter().fold(OwnedHeaders::new_with_capacity(HEADERS), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}

/// Whether a failed report says that the broker will never take the record. It may have been another record of the same
/// batch: only the refusal of a record sent alone is surely its own.
#[must_use]
pub fn is_refusal(error: &KafkaError) -> bool {
    matches!(classify(error.rdkafka_error_code()), Failure::Refused(_))
}

/// Every label of `cardhook_publish_errors_total`.
pub(super) const REASONS: [&str; 10] = [
    "too_large",
    "invalid_record",
    "unknown_topic",
    "topic_authorization_failed",
    "cluster_authorization_failed",
    "authentication_failed",
    "tls_failed",
    "schema_registry_unavailable",
    "fatal",
    "other",
];

/// What it means for a record, and for those behind it, that it was not encoded.
fn unencoded(error: EncodeError) -> Failure {
    match error {
        EncodeError::NoSchemaId => Failure::Topic("schema_registry_unavailable"),
        EncodeError::NotAnEvent => Failure::Refused("invalid_record"),
    }
}

/// What an error code means for the record and for those behind it. An unlisted code ends in a new producer and another try.
fn classify(code: Option<RDKafkaErrorCode>) -> Failure {
    use RDKafkaErrorCode as Code;
    match code {
        Some(Code::PurgeQueue | Code::PurgeInflight) => Failure::Purged,
        Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize) => {
            Failure::Refused("too_large")
        }
        Some(Code::InvalidRecord | Code::InvalidTimestamp | Code::InvalidArgument | Code::PolicyViolation) => {
            Failure::Refused("invalid_record")
        }
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::InvalidTopic) => {
            Failure::Topic("unknown_topic")
        }
        Some(Code::TopicAuthorizationFailed) => Failure::Topic("topic_authorization_failed"),
        Some(Code::ClusterAuthorizationFailed) => Failure::Topic("cluster_authorization_failed"),
        Some(Code::Authentication) => Failure::Producer("authentication_failed"),
        Some(Code::SSL) => Failure::Producer("tls_failed"),
        Some(
            Code::Fatal
            | Code::GaplessGuarantee
            | Code::Fenced
            | Code::OutOfOrderSequenceNumber
            | Code::InvalidProducerEpoch
            | Code::ProducerFenced
            | Code::UnknownProducerId,
        ) => Failure::Producer("fatal"),
        _ => Failure::Producer("other"),
    }
}
