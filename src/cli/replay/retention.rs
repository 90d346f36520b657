//! How long the topics keep records, by their timestamps: an old event would be swept away as soon as it is sent.
//!
//! It refuses to decide that events are dropped: they are sent as asked for, or stay on the DLQ topic.

use anyhow::Context as _;
use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier},
    client::DefaultClientContext,
};

use super::{
    Timestamp,
    reprocess::{Destination, Verdict},
};
use crate::{
    cli::{
        kafka_client::{ANSWER_WITHIN, client_config},
        note,
    },
    config::Config,
    event::UtcMillis,
};

/// Returned: older than what the topic keeps.
const RETENTION: &str = "retention";

/// What the topics of events keep.
pub(super) struct Retention {
    events: Topic,
    other: Topic,
}

/// A topic that events go to.
struct Topic {
    name: String,
    /// `retention.ms`, where records are kept by their own timestamp and for a limited time.
    keeps_ms: Option<i64>,
    told: bool,
}

impl Retention {
    /// Asks the brokers.
    ///
    /// # Errors
    /// When the client's properties are refused.
    pub(super) async fn ask(config: &Config) -> anyhow::Result<Self> {
        let admin: AdminClient<DefaultClientContext> =
            client_config(&config.kafka).create().context("the client's properties are refused")?;
        let events = Topic::ask(&admin, &config.kafka.topic).await;
        let other = if config.accounts.iter().any(|account| account.other.publishes()) {
            Topic::ask(&admin, &config.kafka.other_topic).await
        } else {
            Topic { name: config.kafka.other_topic.clone(), keeps_ms: None, told: false }
        };
        Ok(Self { events, other })
    }

    /// Gives an event the timestamp that was chosen. Without a choice one that would be swept away is returned.
    pub(super) fn consider(&mut self, verdict: Verdict, timestamp: Option<Timestamp>, now_ms: i64) -> Verdict {
        let Verdict::Publish { destination, event_type, mut record } = verdict else { return verdict };
        let topic = match destination {
            Destination::Events => &mut self.events,
            Destination::Other => &mut self.other,
        };
        match timestamp {
            Some(Timestamp::Now) => record.timestamp_ms = now_ms,
            Some(Timestamp::Event) => {
                topic.sweeps(record.timestamp_ms, now_ms, "Sent all the same; `--timestamp now` would save them");
            }
            None => {
                let cure = "They go back to the DLQ topic; `--timestamp now` sends them with the time of the replay, \
                            `--timestamp event` with their own";
                if topic.sweeps(record.timestamp_ms, now_ms, cure) {
                    return Verdict::Return(RETENTION);
                }
            }
        }
        Verdict::Publish { destination, event_type, record }
    }
}

impl Topic {
    async fn ask(admin: &AdminClient<DefaultClientContext>, name: &str) -> Self {
        let options = AdminOptions::new().request_timeout(Some(ANSWER_WITHIN));
        let told = admin.describe_configs(&[ResourceSpecifier::Topic(name)], &options).await;
        let described = told.ok().and_then(|mut results| results.pop()?.ok());
        if described.is_none() {
            note(format_args!(
                "{name}: the brokers do not tell its retention.ms; events older than that are swept away once sent, \
                 unless with `--timestamp now`"
            ));
        }
        Self { name: name.to_owned(), keeps_ms: described.as_ref().and_then(keeps_ms), told: false }
    }

    /// Whether the topic would not keep a record of that age. The first one is told.
    fn sweeps(&mut self, timestamp_ms: i64, now_ms: i64, cure: &str) -> bool {
        let Some(keeps_ms) = self.keeps_ms.filter(|keeps_ms| now_ms.saturating_sub(timestamp_ms) >= *keeps_ms) else {
            return false;
        };
        if !self.told {
            self.told = true;
            note(format_args!(
                "{}: an event of {} is older than retention.ms = {keeps_ms}: the brokers would sweep such events away at \
                 once. {cure}",
                self.name,
                UtcMillis::clamped(timestamp_ms),
            ));
        }
        true
    }
}

fn keeps_ms(topic: &ConfigResource) -> Option<i64> {
    let setting = |name: &str| topic.get(name)?.value.as_deref();
    let by_own_timestamp = setting("message.timestamp.type") != Some("LogAppendTime");
    let deletes = setting("cleanup.policy").is_none_or(|policy| policy.contains("delete"));
    setting("retention.ms")?.parse().ok().filter(|keeps_ms| *keeps_ms >= 0 && by_own_timestamp && deletes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Headers, Record};

    const NOW_MS: i64 = 1_700_000_000_000;

    fn event(age_ms: i64) -> Verdict {
        let record = Record { key: None, timestamp_ms: NOW_MS - age_ms, headers: Headers::default(), value: [].into() };
        Verdict::Publish { destination: Destination::Events, event_type: "card.viewed", record }
    }

    fn considered(keeps_ms: Option<i64>, age_ms: i64, timestamp: Option<Timestamp>) -> Verdict {
        let topic = |keeps_ms| Topic { name: "topic".to_owned(), keeps_ms, told: false };
        let mut retention = Retention { events: topic(keeps_ms), other: topic(None) };
        retention.consider(event(age_ms), timestamp, NOW_MS)
    }

    #[test]
    fn an_event_that_would_be_swept_away_is_not_sent_unasked() {
        assert_eq!(considered(Some(1000), 1000, None), Verdict::Return(RETENTION));
        assert_eq!(considered(Some(1000), 999, None), event(999));
        assert_eq!(considered(None, i64::MAX / 2, None), event(i64::MAX / 2));
    }

    #[test]
    fn the_choice_of_a_timestamp_sends_it() {
        assert_eq!(considered(Some(1000), 2000, Some(Timestamp::Event)), event(2000));
        assert_eq!(considered(Some(1000), 2000, Some(Timestamp::Now)), event(0));
    }

    #[test]
    fn what_is_no_event_has_no_timestamp_to_choose() {
        let mut retention = Retention {
            events: Topic { name: String::new(), keeps_ms: Some(0), told: false },
            other: Topic { name: String::new(), keeps_ms: Some(0), told: false },
        };
        assert_eq!(retention.consider(Verdict::Ignore, Some(Timestamp::Now), NOW_MS), Verdict::Ignore);
        assert_eq!(retention.consider(Verdict::Return("decrypt"), None, NOW_MS), Verdict::Return("decrypt"));
    }
}
