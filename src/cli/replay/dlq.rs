//! The DLQ topic: from the group's place to what was its end at the start.
//!
//! Partitions are assigned, not subscribed to: a run that was killed leaves no member behind whose session the next one
//! would have to wait out. Does not depend on what the records are.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use futures_util::FutureExt as _;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _, StreamConsumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::OwnedMessage,
};

use super::round::{Item, places};
use crate::{
    cli::{
        kafka_client::{ANSWER_WITHIN, client_config, partitions},
        note,
    },
    cluster::{TopicFault, no_answer, why_unread},
    config::Kafka,
};

const GROUP: &str = "cardhook-replay";
/// Records of one round.
const RECORDS: usize = 500;
/// Bytes of their values.
const BYTES: usize = 8 * 1024 * 1024;
/// A round that has a record waits no longer for the next one.
const QUIET: Duration = Duration::from_millis(20);

/// How long the group may be without a coordinator.
const COORDINATOR_WITHIN: Duration = Duration::from_secs(30);

/// The reader of the DLQ topic.
pub(super) struct Dlq {
    consumer: Arc<StreamConsumer>,
    client: ClientConfig,
    topic: String,
    /// Partition → what was its end when the run began, where the reader has not come there yet.
    ahead: BTreeMap<i32, i64>,
}

impl Dlq {
    /// Finds the place of the last run and what is the end now. Blocks, and needs a tokio runtime around it.
    ///
    /// # Errors
    /// When no broker answers, or the topic does not exist.
    pub(super) fn open(kafka: &Kafka) -> anyhow::Result<Self> {
        let topic = kafka.dlq_topic.clone();
        let client = client_config(kafka);
        let consumer: StreamConsumer = client
            .clone()
            .set("group.id", GROUP)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            .create()
            .context("the client's properties are refused")?;
        let metadata = consumer.fetch_metadata(Some(&topic), ANSWER_WITHIN).with_context(|| no_answer(&client))?;
        let mut asked = TopicPartitionList::new();
        for partition in partitions(&metadata, &client, &topic)? {
            asked.add_partition(&topic, partition);
        }
        let committed = coordinated(|| consumer.committed_offsets(asked.clone(), ANSWER_WITHIN))
            .map_err(|error| of_group(&refusal(&consumer).unwrap_or(error)))?;
        if committed.elements().iter().all(|partition| partition.offset() == Offset::Invalid) {
            note(format_args!("the group {GROUP} has no place yet (or none any more): reading from the beginning"));
        }
        let mut assignment = TopicPartitionList::new();
        let mut ahead = BTreeMap::new();
        for found in committed.elements() {
            let partition = found.partition();
            found.error().map_err(|error| of_group(&error))?;
            let (low, end) = consumer.fetch_watermarks(&topic, partition, ANSWER_WITHIN).map_err(|error| {
                anyhow!("partition {partition}: {error}").context(why_unread(&client, &topic, &error))
            })?;
            let first = first(found.offset(), low, end);
            if first < end {
                assignment.add_partition_offset(&topic, partition, Offset::Offset(first))?;
                ahead.insert(partition, end);
            }
        }
        consumer.assign(&assignment)?;
        Ok(Self { consumer: Arc::new(consumer), client, topic, ahead })
    }

    /// Whether everything that was there when the run began has been read.
    pub(super) fn at_end(&self) -> bool {
        self.ahead.is_empty()
    }

    /// The next records, as many as are there: at least one, unless the end has come.
    ///
    /// # Errors
    /// When the brokers refuse; what they do not answer in time is asked again by librdkafka.
    pub(super) async fn some(&mut self) -> anyhow::Result<Vec<OwnedMessage>> {
        let mut messages = Vec::new();
        let mut bytes = 0;
        while !self.at_end() && messages.len() < RECORDS && bytes < BYTES {
            let received = if messages.is_empty() {
                self.consumer.recv().await
            } else {
                match tokio::time::timeout(QUIET, self.consumer.recv()).await {
                    Ok(received) => received,
                    Err(_quiet) => break,
                }
            };
            let message = match received {
                Ok(message) => message,
                // The last records before the end may be none that a reader sees.
                Err(KafkaError::PartitionEOF(partition)) => {
                    self.ahead.remove(&partition);
                    continue;
                }
                Err(error) => {
                    let why = why_unread(&self.client, &self.topic, &error);
                    return Err(anyhow::Error::from(error).context(why));
                }
            };
            let (partition, next) = (message.partition(), message.offset() + 1);
            let Some(&end) = self.ahead.get(&partition) else { continue };
            if next >= end {
                self.ahead.remove(&partition);
            }
            if next <= end {
                bytes += message.payload_len();
                messages.push(message.detach());
            }
        }
        Ok(messages)
    }

    /// Moves the group's place behind what is settled, and waits until the brokers have it.
    ///
    /// On a thread of its own: librdkafka blocks, for minutes where a broker hangs.
    ///
    /// # Errors
    /// When they do not take it.
    pub(super) async fn commit(&self, items: &[Item]) -> anyhow::Result<()> {
        let places = places(items);
        if places.is_empty() {
            return Ok(());
        }
        let mut offsets = TopicPartitionList::new();
        for (partition, next) in places {
            offsets.add_partition_offset(&self.topic, partition, Offset::Offset(next))?;
        }
        let consumer = Arc::clone(&self.consumer);
        tokio::task::spawn_blocking(move || coordinated(|| consumer.commit(&offsets, CommitMode::Sync)))
            .await?
            .map_err(|error| of_group(&error))
    }
}

/// The refusal that a reader whose group may not be used meets; the question itself only times out.
fn refusal(consumer: &StreamConsumer) -> Option<KafkaError> {
    std::iter::from_fn(|| consumer.recv().now_or_never())
        .filter_map(Result::err)
        .find(|error| error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed))
}

/// Why the brokers refuse to tell or to store the offsets of the group.
fn of_group(error: &KafkaError) -> anyhow::Error {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {
            anyhow!("the group {GROUP}: no Read for this user; allow Read on it")
        }
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            anyhow!("the group {GROUP} on the DLQ topic: {}; {}", TopicFault::NoRead.found(), TopicFault::NoRead.cure())
        }
        _ => anyhow!("the brokers do not tell or take the place of the group {GROUP}: {error}"),
    }
}

/// Asks until the group has a coordinator: it has none for a moment when it is new, or when its broker has gone. Blocks.
fn coordinated<T>(ask: impl Fn() -> KafkaResult<T>) -> KafkaResult<T> {
    use RDKafkaErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
    let until = Instant::now() + COORDINATOR_WITHIN;
    loop {
        let answer = ask();
        let code = answer.as_ref().err().and_then(KafkaError::rdkafka_error_code);
        match code {
            Some(CoordinatorLoadInProgress | CoordinatorNotAvailable | NotCoordinator) if Instant::now() < until => {
                std::thread::sleep(QUIET);
            }
            Some(_) | None => return answer,
        }
    }
}

/// Where to begin: at the place, unless it lies outside what the partition holds (it never was, or the topic was made anew).
fn first(place: Offset, low: i64, end: i64) -> i64 {
    match place {
        Offset::Offset(place) if (low..=end).contains(&place) => place,
        _ => low,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_the_partition_does_not_hold_is_its_beginning() {
        assert_eq!(first(Offset::Offset(7), 3, 9), 7);
        assert_eq!(first(Offset::Offset(9), 3, 9), 9);
        assert_eq!(first(Offset::Offset(2), 3, 9), 3, "swept away meanwhile");
        assert_eq!(first(Offset::Offset(10), 3, 9), 3, "a topic made anew");
        assert_eq!(first(Offset::Invalid, 3, 9), 3, "the first run");
    }
}
