//! The topics: are they there, may they be written to, and what do their settings do to the events?

use std::collections::HashMap;

use rdkafka::{
    admin::{AdminClient, AdminOptions, OwnedResourceSpecifier, ResourceSpecifier},
    client::DefaultClientContext,
    metadata::{Metadata, MetadataTopic},
    producer::{BaseProducer, Producer as _},
    types::RDKafkaErrorCode,
};

use super::{ANSWER_WITHIN, SETTINGS_WITHIN, TopicFault, listener::Listener};
use crate::{config::Config, event::largest_record};

/// Where Kafka's own default is kept, a record of a day ago is taken; WeChat delivers again for a day.
const A_DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A topic's settings by name, as far as the brokers tell them.
pub type Settings = HashMap<String, String>;

/// What there is of a topic that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// How many.
    pub partitions: usize,
    /// Of the partition with the fewest.
    pub replicas: usize,
    /// Of the partition with the fewest.
    pub in_sync: usize,
}

/// The topics that a configuration writes to, with their keys.
pub(super) fn written(config: &Config) -> Vec<(&'static str, &str)> {
    let kafka = &config.kafka;
    let mut topics = vec![("kafka.topic", kafka.topic.as_str()), ("kafka.dlq_topic", &kafka.dlq_topic)];
    if config.accounts.iter().any(|account| account.other.publishes()) {
        topics.push(("kafka.other_topic", &kafka.other_topic));
    }
    topics
}

/// What there is of a topic; brokers list only what the user may see, so one that is not listed is asked for.
pub(super) fn look(client: &BaseProducer<Listener>, metadata: &Metadata, topic: &str) -> Result<Size, TopicFault> {
    match metadata.topics().iter().find(|found| found.name() == topic) {
        Some(found) => size(found),
        None => unlisted(client, topic),
    }
}

/// A topic that the list of all has not: it does not exist, or may not be seen.
fn unlisted(client: &BaseProducer<Listener>, topic: &str) -> Result<Size, TopicFault> {
    let asked = client.client().fetch_metadata(Some(topic), ANSWER_WITHIN);
    let asked = asked.map_err(|error| error.rdkafka_error_code().map_or(TopicFault::Missing, TopicFault::Unusable))?;
    asked.topics().iter().find(|found| found.name() == topic).map_or(Err(TopicFault::Missing), size)
}

/// What there is of it, or why it cannot be written to.
///
/// # Errors
/// The fault.
pub fn size(topic: &MetadataTopic) -> Result<Size, TopicFault> {
    match topic.error().map(RDKafkaErrorCode::from) {
        None => {}
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            return Err(TopicFault::Missing);
        }
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => return Err(TopicFault::Forbidden),
        Some(other) => return Err(TopicFault::Unusable(other)),
    }
    let partitions = topic.partitions();
    let leaderless = partitions.iter().filter(|partition| partition.leader() < 0).count();
    if leaderless > 0 {
        return Err(TopicFault::Leaderless(leaderless, partitions.len()));
    }
    let least = |count: fn(&rdkafka::metadata::MetadataPartition) -> usize| {
        partitions.iter().map(count).min().unwrap_or_default()
    };
    Ok(Size {
        partitions: partitions.len(),
        replicas: least(|partition| partition.replicas().len()),
        in_sync: least(|partition| partition.isr().len()),
    })
}

/// What the topic's size and settings would do to the events of pushes of up to `max_body` bytes.
#[must_use]
pub fn judge(is_dlq: bool, max_body: usize, size: Size, settings: Option<&Settings>) -> Vec<TopicFault> {
    let mut faults = Vec::new();
    let Size { replicas, in_sync, .. } = size;
    if replicas == 1 {
        faults.push(TopicFault::OneReplica);
    }
    let Some(settings) = settings else {
        faults.push(TopicFault::SettingsUntold);
        return faults;
    };
    let number = |setting: &str| settings.get(setting).and_then(|value| value.parse::<i64>().ok());
    if let Some(minimum) = number("min.insync.replicas") {
        let wanted = usize::try_from(minimum).unwrap_or_default();
        if wanted > replicas {
            faults.push(TopicFault::FewReplicas { wanted, replicas });
        } else if wanted > in_sync {
            faults.push(TopicFault::FewInSync { wanted, in_sync });
        } else if replicas > 1 && wanted < 2 {
            faults.push(TopicFault::OneSuffices(minimum));
        }
    }
    if settings.get("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
        faults.push(TopicFault::Compacted);
    }
    if let Some(retention) = number("retention.ms").filter(|retention| is_dlq && *retention >= 0) {
        faults.push(TopicFault::Expires(retention));
    }
    let least = largest_record(max_body);
    if let Some(limit) = number("max.message.bytes").filter(|limit| usize::try_from(*limit).is_ok_and(|it| it < least))
    {
        faults.push(TopicFault::SmallRecords { limit, max_body, least });
    }
    // Records carry WeChat's time; one from more than 5 minutes ahead carries that of its receipt.
    for (setting, least) in
        [("message.timestamp.before.max.ms", 2 * A_DAY_MS), ("message.timestamp.after.max.ms", 5 * 60 * 1000)]
    {
        if let Some(limit) = number(setting).filter(|limit| *limit < least) {
            faults.push(TopicFault::Timestamps { setting, limit, least });
        }
    }
    faults
}

/// Every setting of every topic, by topic. What is not told is left out. Brokers that do not know the question never answer it.
pub async fn settings(admin: &AdminClient<DefaultClientContext>, topics: &[&str]) -> HashMap<String, Settings> {
    let asked: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(SETTINGS_WITHIN));
    let told = admin.describe_configs(&asked, &options).await;
    let of_topic = |specifier| match specifier {
        OwnedResourceSpecifier::Topic(topic) => Some(topic),
        OwnedResourceSpecifier::Group(_) | OwnedResourceSpecifier::Broker(_) => None,
    };
    told.into_iter()
        .flatten()
        .flatten()
        .filter_map(|resource| {
            let entries = resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
            let settings: Settings = entries.collect();
            Some((of_topic(resource.specifier)?, settings)).filter(|(_, settings)| !settings.is_empty())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_replicas_in_sync_stop_records_and_one_that_is_enough_is_told() {
        let settings = |minimum: &str| Settings::from([("min.insync.replicas".to_owned(), minimum.to_owned())]);
        let judged = |replicas, in_sync, minimum| {
            let settings = settings(minimum);
            judge(false, 65_536, Size { partitions: 1, replicas, in_sync }, Some(&settings))
        };
        assert_eq!(judged(3, 3, "2"), []);
        assert_eq!(judged(3, 1, "2"), [TopicFault::FewInSync { wanted: 2, in_sync: 1 }]);
        assert_eq!(judged(3, 1, "1"), [TopicFault::OneSuffices(1)]);
        assert_eq!(judged(1, 1, "2"), [TopicFault::OneReplica, TopicFault::FewReplicas { wanted: 2, replicas: 1 }]);
    }

    #[test]
    fn a_topic_takes_what_the_largest_push_becomes() {
        let size = Size { partitions: 1, replicas: 3, in_sync: 3 };
        let judged = |limit: i64, max_body| {
            let settings = Settings::from([("max.message.bytes".to_owned(), limit.to_string())]);
            judge(false, max_body, size, Some(&settings))
        };
        // Kafka's default takes pushes of cardhook's default.
        assert_eq!(judged(1_048_588, 64 << 10), []);
        let least = largest_record(1 << 20);
        let small = TopicFault::SmallRecords { limit: 1_048_588, max_body: 1 << 20, least };
        assert_eq!(judged(1_048_588, 1 << 20), [small]);
        assert_eq!(judged(i64::try_from(least).unwrap(), 1 << 20), []);
    }
}
