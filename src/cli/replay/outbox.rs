//! Sends what a round decided, and settles what is acknowledged. The same promise as the service's: `acks=all`, idempotence.
//!
//! Does not depend on offsets and events.

use std::{borrow::Cow, collections::HashSet, time::Duration};

use anyhow::{Context as _, anyhow};
use rdkafka::{
    Message as _,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
};

use super::{
    reprocess::{Destination, Reason, Verdict},
    round::Item,
};
use crate::{
    app::encodings_at_once,
    cli::note,
    config::Kafka,
    delivery::{AnswerAfter, kafka_headers, producer_properties, refusal, why_unpublished},
    event::{Encoding, Record},
};

/// Between two looks whether the client's queue has room again.
const FULL: Duration = Duration::from_millis(10);

/// librdkafka takes a timestamp of 0 for "now".
const EARLIEST: i64 = 1;

/// The producer and its topics.
pub(super) struct Outbox<'a> {
    producer: FutureProducer,
    kafka: &'a Kafka,
    /// Of the events, the dead letters, the other messages.
    encodings: [Encoding; 3],
    /// Refusals that were printed already: topic and cause.
    told: HashSet<(String, &'static str)>,
}

impl<'a> Outbox<'a> {
    /// # Errors
    /// When the client's properties are refused, or a schema registry is needed and does not answer.
    pub(super) async fn open(kafka: &'a Kafka) -> anyhow::Result<Self> {
        let encodings = encodings_at_once(kafka).await?;
        Ok(Self { producer: producer(kafka)?, kafka, encodings, told: HashSet::new() })
    }

    /// Settles all, or as many as it can: what is acknowledged is settled when an error comes back too.
    ///
    /// An event that the broker refuses for good goes back to the DLQ topic as it came.
    ///
    /// # Errors
    /// When the brokers do not take a record, and not for what it is.
    pub(super) async fn send(&mut self, items: &mut [Item]) -> anyhow::Result<()> {
        loop {
            let mut sent = Vec::with_capacity(items.len());
            for item in items.iter_mut().filter(|item| !item.settled) {
                let handed = self.hand_over(item).await;
                sent.push((item, handed));
            }
            let mut failure = None;
            let mut refused = Vec::new();
            for (item, handed) in sent {
                match acknowledged(handed).await {
                    Ok(()) => item.settled = true,
                    Err(error) if refusal(&error, true).is_some() => refused.push(item),
                    Err(error) => failure = failure.or(Some(self.failed(item, &error))),
                }
            }
            if refused.is_empty() {
                return failure.map_or(Ok(()), Err);
            }
            for item in refused {
                self.send_alone(item).await?;
            }
            // What failed beside them may have failed because of them.
        }
    }

    /// The brokers refuse whole batches: only what they refuse alone is refused for what it is.
    async fn send_alone(&mut self, item: &mut Item) -> anyhow::Result<()> {
        let mut outcome = self.send_one(item).await?;
        if let (Err(error), Verdict::Publish { record, .. }) = (&outcome, &item.verdict)
            && let Some(why) = refusal(error, record.key.is_some())
        {
            let topic = self.topic(&item.verdict).to_owned();
            if self.told.insert((topic.clone(), why)) {
                note(format_args!("{topic} refuses a record for good: {why}; such records go to the DLQ topic"));
            }
            item.verdict = Verdict::Return(Reason::Rejected.name());
            outcome = self.send_one(item).await?;
        }
        item.settled = outcome.is_ok();
        outcome.map_err(|error| self.failed(item, &error))
    }

    /// With a new producer where a refusal has ended the last one.
    async fn send_one(&mut self, item: &Item) -> anyhow::Result<Result<(), KafkaError>> {
        if self.producer.client().fatal_error().is_some() {
            self.producer = producer(self.kafka)?;
        }
        Ok(acknowledged(self.hand_over(item).await).await)
    }

    /// Gives the producer what becomes of an item; `None` when nothing is to be sent.
    async fn hand_over(&self, item: &Item) -> Result<Option<DeliveryFuture>, KafkaError> {
        let Item { message, verdict, .. } = item;
        let encoded;
        let mut record = FutureRecord::<[u8], [u8]>::to(self.topic(verdict));
        match verdict {
            Verdict::Ignore => return Ok(None),
            Verdict::Publish { record: event, destination, event_type: _ } => {
                encoded = self.encoded(event, *destination);
                let event = &*encoded;
                record.key = event.key.as_deref().map(str::as_bytes);
                record.payload = Some(&event.value);
                record.timestamp = Some(event.timestamp_ms.max(EARLIEST));
                record.headers = Some(kafka_headers(event));
            }
            Verdict::Return(_) => {
                record.key = message.key();
                record.payload = message.payload();
                record.timestamp = message.timestamp().to_millis().map(|at| at.max(EARLIEST));
                record.headers = message.headers().cloned();
            }
        }
        loop {
            match self.producer.send_result(record) {
                Ok(sent) => return Ok(Some(sent)),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) => {
                    record = unsent;
                    tokio::time::sleep(FULL).await;
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// As `kafka.format` says. Every event has an encoding: what has none is no event, and goes as it is.
    fn encoded<'r>(&self, event: &'r Record, destination: Destination) -> Cow<'r, Record> {
        let [events, _, other] = &self.encodings;
        let encoding = match destination {
            Destination::Events => events,
            Destination::Other => other,
        };
        encoding.encode(event).unwrap_or(Cow::Borrowed(event))
    }

    fn topic(&self, verdict: &Verdict) -> &str {
        match verdict {
            Verdict::Publish { destination: Destination::Events, .. } => &self.kafka.topic,
            Verdict::Publish { destination: Destination::Other, .. } => &self.kafka.other_topic,
            Verdict::Return(_) | Verdict::Ignore => &self.kafka.dlq_topic,
        }
    }

    fn failed(&self, item: &Item, error: &KafkaError) -> anyhow::Error {
        let (partition, offset) = (item.message.partition(), item.message.offset());
        let topic = self.topic(&item.verdict);
        let fatal = self.producer.client().fatal_error().map(|(code, _)| code);
        let words = why_unpublished(fatal.or(error.rdkafka_error_code()));
        let why = words.map_or_else(|| error.to_string(), |(found, cure)| format!("{found}; {cure}"));
        anyhow!("{topic} does not take the record of partition {partition}, offset {offset} of the DLQ topic: {why}")
    }
}

fn producer(kafka: &Kafka) -> anyhow::Result<FutureProducer> {
    // No answer waits for it.
    let properties = producer_properties(&kafka.client_properties(), AnswerAfter::Disk);
    properties.create().context("the producer's properties are refused")
}

async fn acknowledged(sent: Result<Option<DeliveryFuture>, KafkaError>) -> Result<(), KafkaError> {
    let Some(sent) = sent? else { return Ok(()) };
    match sent.await {
        // The broker called it a repetition; it may never have had it (`delivery::broker`).
        Ok(Ok(delivered)) if delivered.offset < 0 => {
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::DuplicateSequenceNumber))
        }
        Ok(Ok(_)) => Ok(()),
        Ok(Err((error, _))) => Err(error),
        Err(_canceled) => Err(KafkaError::Canceled),
    }
}
