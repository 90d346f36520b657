//! Whether the user may write, to which topics. Nothing is written.
//!
//! An idempotent producer asks the brokers for its id, which they give only to a user with Write on some topic. Of one topic a
//! broker tells it when it refuses a record: it looks at the user's rights first, and at the record after that. The record that
//! is sent for this is from the year 9999, which a topic refuses whose settings say so; to others none is sent.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext,
    error::KafkaError,
    message::DeliveryResult,
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext},
    types::RDKafkaErrorCode,
};

use super::super::complaint::Complaint;

/// The brokers answer within milliseconds; a refusal is reported at once.
const WAIT: Duration = Duration::from_secs(2);
/// 9999-12-31T23:59:59Z, Unix milliseconds.
const LAST_MS: i64 = 253_402_300_799_000;

/// What is known of the right to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// On none of the topics.
    Nowhere,
    /// Not refused.
    NotRefused,
}

/// Whether the user may write at all.
///
/// # Errors
/// When librdkafka refuses the properties.
pub(super) fn ask(client: &ClientConfig) -> anyhow::Result<Write> {
    let mut client = client.clone();
    client.set("enable.idempotence", "true");
    let producer: BaseProducer<Complaint> = client.create_with_context(Complaint::default())?;
    let end = Instant::now() + WAIT;
    while Instant::now() < end {
        producer.poll(Duration::from_millis(100));
        let fatal = producer.client().fatal_error().map(|(code, _)| code);
        let refused = [fatal, producer.context().code()].contains(&Some(RDKafkaErrorCode::ClusterAuthorizationFailed));
        if refused {
            return Ok(Write::Nowhere);
        }
    }
    Ok(Write::NotRefused)
}

/// Whether a topic with these settings refuses a record from the year 9999.
pub(super) fn refuses_the_future(settings: &HashMap<String, String>, now_ms: i64) -> bool {
    let limit = settings.get("message.timestamp.after.max.ms").and_then(|limit| limit.parse::<i64>().ok());
    settings.get("message.timestamp.type").is_some_and(|kind| kind == "CreateTime")
        && limit.is_some_and(|limit| limit < LAST_MS - now_ms)
}

/// What a topic answered to a record that it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OneTopic {
    /// The user may not write to it.
    Forbidden,
    /// The user may: the record was looked at, and refused for its timestamp.
    Allowed,
    /// Nothing that says either.
    Silent,
}

/// What each of these topics, which refuse a record from the year 9999, answers to one.
///
/// # Errors
/// When librdkafka refuses the properties.
pub(super) fn of_each<'t>(client: &ClientConfig, topics: &[&'t str]) -> anyhow::Result<Vec<(&'t str, OneTopic)>> {
    let mut client = client.clone();
    // Without an id: asking for one is refused where any topic would do.
    client.set("enable.idempotence", "false").set("acks", "all").set("retries", "0").set("linger.ms", "0");
    client.set("message.timeout.ms", WAIT.as_millis().to_string());
    let producer: BaseProducer<Answers> = client.create_with_context(Answers::default())?;
    for (place, topic) in topics.iter().enumerate() {
        let record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, place).payload(b"check").timestamp(LAST_MS);
        // A record that librdkafka does not take gets no answer.
        drop(producer.send(record.key(b"cardhook-check")));
    }
    let end = Instant::now() + 2 * WAIT;
    while producer.in_flight_count() > 0 && Instant::now() < end {
        producer.poll(Duration::from_millis(50));
    }
    let answers = producer.context().0.lock().unwrap_or_else(PoisonError::into_inner);
    let of = |place: usize| answers.get(&place).copied().unwrap_or(OneTopic::Silent);
    Ok(topics.iter().enumerate().map(|(place, topic)| (*topic, of(place))).collect())
}

/// By the topic's place.
#[derive(Default)]
struct Answers(Mutex<HashMap<usize, OneTopic>>);

impl ClientContext for Answers {
    // What is wrong with the brokers is said elsewhere.
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Answers {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, place: usize) {
        let answer = match result.as_ref().map_err(|(error, _)| error.rdkafka_error_code()) {
            Err(Some(RDKafkaErrorCode::TopicAuthorizationFailed)) => OneTopic::Forbidden,
            Err(Some(RDKafkaErrorCode::InvalidTimestamp)) => OneTopic::Allowed,
            Ok(_) | Err(_) => OneTopic::Silent,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(place, answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_sent_only_where_the_settings_refuse_it() {
        let settings = |kind: &str, limit: &str| {
            HashMap::from(
                [("message.timestamp.type", kind), ("message.timestamp.after.max.ms", limit)]
                    .map(|(name, value)| (name.to_owned(), value.to_owned())),
            )
        };
        let now = 1_800_000_000_000;
        assert!(refuses_the_future(&settings("CreateTime", "3600000"), now));
        assert!(!refuses_the_future(&settings("CreateTime", "9223372036854775807"), now));
        assert!(!refuses_the_future(&settings("LogAppendTime", "3600000"), now));
        assert!(!refuses_the_future(&HashMap::new(), now));
    }
}
