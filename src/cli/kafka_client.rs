//! What the commands ask of Kafka: the properties of a client that does not produce, and reading one topic.
//!
//! Reading leaves no trace on the brokers: no consumer group is joined and no offset committed.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context as _, bail};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer},
    metadata::Metadata,
};

use super::complaint::no_answer;
use crate::{app::client_properties, config::Kafka};

/// How long a question to the brokers may take.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The properties with which a consumer or an admin client of `kafka` connects.
pub(super) fn client_config(kafka: &Kafka) -> ClientConfig {
    client_properties(kafka).into_iter().collect()
}

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// The oldest record that is still there.
    Beginning,
    /// What arrives from now on.
    Now,
}

/// All partitions of one topic.
pub(super) struct TopicReader {
    consumer: StreamConsumer,
    /// Partition → what was its end when reading began, where the reader has not come there yet.
    ahead: HashMap<i32, i64>,
}

impl TopicReader {
    /// Finds the topic's partitions and starts to read them. Blocks, and needs a tokio runtime around it.
    ///
    /// # Errors
    /// When no broker answers, or the topic does not exist.
    pub(super) fn open(mut client: ClientConfig, topic: &str, start: Start) -> anyhow::Result<Self> {
        let consumer: StreamConsumer = client
            .set("group.id", "cardhook-tail")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            .create()
            .context("the client's properties are refused")?;
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER_WITHIN).with_context(|| no_answer(&client))?;
        let mut assignment = TopicPartitionList::new();
        let mut ahead = HashMap::new();
        for partition in partitions(&metadata, topic)? {
            let (low, end) = consumer
                .fetch_watermarks(topic, partition, ANSWER_WITHIN)
                .with_context(|| format!("partition {partition} of {topic} does not answer"))?;
            let first = if start == Start::Beginning { low } else { end };
            assignment.add_partition_offset(topic, partition, Offset::Offset(first))?;
            if first < end {
                ahead.insert(partition, end);
            }
        }
        consumer.assign(&assignment)?;
        Ok(Self { consumer, ahead })
    }

    /// Whether everything that was there when reading began has been read.
    pub(super) fn at_end(&self) -> bool {
        self.ahead.is_empty()
    }

    /// The next record's value; empty for a tombstone. Cancel-safe.
    ///
    /// # Errors
    /// When the brokers refuse; what they do not answer in time is asked again by librdkafka.
    pub(super) async fn next(&mut self) -> anyhow::Result<Vec<u8>> {
        let message = self.consumer.recv().await.context("cannot read the topic")?;
        if self.ahead.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
            self.ahead.remove(&message.partition());
        }
        Ok(message.payload().unwrap_or_default().to_vec())
    }
}

/// The topic's partitions.
///
/// # Errors
/// When the topic does not exist or may not be read.
pub(super) fn partitions(metadata: &Metadata, topic: &str) -> anyhow::Result<Vec<i32>> {
    let partitions: Vec<i32> = metadata
        .topics()
        .iter()
        .filter(|found| found.name() == topic && found.error().is_none())
        .flat_map(|found| found.partitions().iter().map(rdkafka::metadata::MetadataPartition::id))
        .collect();
    if partitions.is_empty() {
        bail!("there is no topic {topic} that may be read: `cardhook topics create` makes it");
    }
    Ok(partitions)
}
