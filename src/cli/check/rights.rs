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

/// Of topics that refuse a record from the year 9999: those that the user may not write to.
///
/// # Errors
/// When librdkafka refuses the properties.
pub(super) fn forbidden<'t>(client: &ClientConfig, topics: &[&'t str]) -> anyhow::Result<Vec<&'t str>> {
    let mut client = client.clone();
    // Without an id: asking for one is refused where any topic would do.
    client.set("enable.idempotence", "false").set("acks", "all").set("retries", "0").set("linger.ms", "0");
    client.set("message.timeout.ms", WAIT.as_millis().to_string());
    let producer: BaseProducer<Refusals> = client.create_with_context(Refusals::default())?;
    for (place, topic) in topics.iter().enumerate() {
        let record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, place).payload(b"check").timestamp(LAST_MS);
        // What is not taken is not told: the topic is not named then.
        drop(producer.send(record.key(b"cardhook-check")));
    }
    let end = Instant::now() + 2 * WAIT;
    while producer.in_flight_count() > 0 && Instant::now() < end {
        producer.poll(Duration::from_millis(50));
    }
    let refused = producer.context().0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(refused.into_iter().filter_map(|place| topics.get(place).copied()).collect())
}

/// The topics whose record was refused because of the user, by their place.
#[derive(Default)]
struct Refusals(Mutex<Vec<usize>>);

impl ClientContext for Refusals {
    // What is wrong with the brokers is said elsewhere.
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Refusals {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, place: usize) {
        if let Err((error, _)) = result
            && error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed)
        {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(place);
        }
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
