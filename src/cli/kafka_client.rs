//! What the commands ask of Kafka: the properties of a client that does not produce, and reading one topic.
//!
//! Reading leaves no trace on the brokers: no consumer group is joined and no offset committed.

use std::collections::HashMap;

use anyhow::{Context as _, anyhow, bail};
use rdkafka::{
    ClientConfig, ClientContext, Message as _, Offset, TopicPartitionList,
    consumer::{Consumer as _, ConsumerContext, StreamConsumer},
    error::KafkaError,
    metadata::Metadata,
    types::RDKafkaErrorCode,
};

pub(super) use crate::cluster::ANSWER_WITHIN;
use crate::{
    cluster::{no_answer, why_unread},
    config::Kafka,
};

/// The properties with which a consumer or an admin client of `kafka` connects.
pub(super) fn client_config(kafka: &Kafka) -> ClientConfig {
    kafka.client_properties().into_iter().collect()
}

/// Where reading begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    /// The oldest record that is still there.
    Beginning,
    /// The first record of each partition whose timestamp is this or later, Unix milliseconds.
    Time(i64),
    /// Partition (`None`: every one) and offset; where partitions are named, the others are not read.
    Offsets(Vec<(Option<i32>, i64)>),
    /// What arrives from now on.
    Now,
}

impl Start {
    /// The offset of `partition` to begin with, between `low` and `end`; `None` where it is not to be read.
    fn first(&self, partition: i32, [low, end]: [i64; 2], at_time: &HashMap<i32, i64>) -> Option<i64> {
        let first = match self {
            Self::Beginning => low,
            Self::Now => end,
            Self::Time(_) => at_time.get(&partition).copied().unwrap_or(end),
            Self::Offsets(offsets) => {
                let named = offsets.iter().find(|(named, _)| *named == Some(partition));
                named.or_else(|| offsets.iter().find(|(named, _)| named.is_none()))?.1
            }
        };
        Some(first.clamp(low, end))
    }
}

/// A record.
#[derive(Debug)]
pub(super) struct Read {
    /// Empty for a tombstone.
    pub(super) value: Vec<u8>,
    /// In the order they stand in the record.
    pub(super) headers: Vec<(String, Vec<u8>)>,
}

/// Logs what librdkafka complains of, but for a partition's end, which is no error here.
struct Reading;

impl ClientContext for Reading {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::warn!(target: "librdkafka", %error, "{reason}");
        }
    }
}

impl ConsumerContext for Reading {}

/// All partitions of one topic.
pub(super) struct TopicReader {
    consumer: StreamConsumer<Reading>,
    client: ClientConfig,
    topic: String,
    /// Partition → what was its end when reading began, where the reader has not come there yet.
    ahead: HashMap<i32, i64>,
    backlog: u64,
}

impl TopicReader {
    /// Finds the topic's partitions and starts to read them. Blocks, and needs a tokio runtime around it.
    ///
    /// # Errors
    /// When no broker answers, or the topic does not exist.
    pub(super) fn open(mut client: ClientConfig, topic: &str, start: &Start) -> anyhow::Result<Self> {
        let consumer: StreamConsumer<Reading> = client
            .set("group.id", "cardhook-tail")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            // The last offset can be one that is never handed out: a transaction's marker, or what compaction took.
            .set("enable.partition.eof", "true")
            .create_with_context(Reading)
            .context("the client's properties are refused")?;
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER_WITHIN).with_context(|| no_answer(&client))?;
        let partitions = partitions(&metadata, &client, topic)?;
        let at_time = match start {
            Start::Time(at) => offsets_at(&consumer, topic, &partitions, *at)?,
            _ => HashMap::new(),
        };
        let mut assignment = TopicPartitionList::new();
        let (mut ahead, mut backlog) = (HashMap::new(), 0);
        for partition in partitions {
            let (low, end) = consumer.fetch_watermarks(topic, partition, ANSWER_WITHIN).map_err(|error| {
                anyhow!("partition {partition}: {error}").context(why_unread(&client, topic, &error))
            })?;
            let Some(first) = start.first(partition, [low, end], &at_time) else { continue };
            assignment.add_partition_offset(topic, partition, Offset::Offset(first))?;
            if first < end {
                ahead.insert(partition, end);
                backlog += end.abs_diff(first);
            }
        }
        if assignment.count() == 0 {
            bail!("{topic} has no partition of those that --offset names");
        }
        consumer.assign(&assignment)?;
        Ok(Self { consumer, client, topic: topic.to_owned(), ahead, backlog })
    }

    /// How many records there were to read when reading began.
    pub(super) fn backlog(&self) -> u64 {
        self.backlog
    }

    /// Whether everything that was there when reading began has been read.
    pub(super) fn at_end(&self) -> bool {
        self.ahead.is_empty()
    }

    /// The next record; `None` when a partition has come to its end, for the time being. Cancel-safe.
    ///
    /// # Errors
    /// When the brokers refuse; what they do not answer in time is asked again by librdkafka.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Read>> {
        let message = match self.consumer.recv().await {
            Err(KafkaError::PartitionEOF(partition)) => {
                self.ahead.remove(&partition);
                return Ok(None);
            }
            Ok(message) => message,
            // tail does not join the group, but librdkafka looks for the group's coordinator all the same.
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {
                return Ok(None);
            }
            Err(error) => {
                let why = why_unread(&self.client, &self.topic, &error);
                return Err(anyhow::Error::from(error).context(why));
            }
        };
        if self.ahead.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
            self.ahead.remove(&message.partition());
        }
        let headers = message.headers().into_iter().flat_map(rdkafka::message::Headers::iter);
        Ok(Some(Read {
            value: message.payload().unwrap_or_default().to_vec(),
            headers: headers.map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec())).collect(),
        }))
    }
}

/// Partition → the offset of its first record that is not older than `at`; absent where there is none.
fn offsets_at(
    consumer: &StreamConsumer<Reading>,
    topic: &str,
    partitions: &[i32],
    at: i64,
) -> anyhow::Result<HashMap<i32, i64>> {
    let mut times = TopicPartitionList::new();
    for partition in partitions {
        times.add_partition_offset(topic, *partition, Offset::Offset(at))?;
    }
    let found =
        consumer.offsets_for_times(times, ANSWER_WITHIN).context("the brokers do not say where that time is")?;
    Ok(found
        .elements()
        .iter()
        .filter_map(|place| Some((place.partition(), place.offset().to_raw()?)))
        .filter(|(_, offset)| *offset >= 0)
        .collect())
}

/// The topic's partitions.
///
/// # Errors
/// When the topic does not exist or may not be read.
pub(super) fn partitions(metadata: &Metadata, client: &ClientConfig, topic: &str) -> anyhow::Result<Vec<i32>> {
    let partitions: Vec<i32> = metadata
        .topics()
        .iter()
        .filter(|found| found.name() == topic && found.error().is_none())
        .flat_map(|found| found.partitions().iter().map(rdkafka::metadata::MetadataPartition::id))
        .collect();
    if partitions.is_empty() {
        let unknown = KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopic);
        bail!("{}", why_unread(client, topic, &unknown));
    }
    Ok(partitions)
}
