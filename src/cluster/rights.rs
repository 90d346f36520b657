//! Whether the user may write, to which topics, and what the brokers' clock says. Nothing is written.
//!
//! An idempotent producer asks the brokers for its id, which they give only to a user with Write on some topic. Of one topic a
//! broker tells it when it refuses a batch: it looks at the user's rights first, and at the records after that. The batch that
//! is sent for this begins, ends and is filled with records from the year 9999, which a topic refuses whose settings say so, and
//! with them the whole batch; to others none is sent.

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

use super::{
    GivenUp,
    clock_offset::{self, Between},
    listener::Listener,
    metadata,
    topics::Settings,
};
use crate::clock;

/// The brokers answer within milliseconds; a refusal is reported at once.
const WAIT: Duration = Duration::from_secs(2);
/// A batch leaves once it has all its records, or after this long.
const GATHER: Duration = Duration::from_millis(1500);
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
pub(super) fn ask(client: &ClientConfig, given_up: GivenUp<'_>) -> anyhow::Result<Write> {
    let mut client = client.clone();
    client.set("enable.idempotence", "true");
    let producer: BaseProducer<Listener> = client.create_with_context(Listener::default())?;
    let end = Instant::now() + WAIT;
    while Instant::now() < end && !given_up() {
        producer.poll(Duration::from_millis(100));
        let fatal = producer.client().fatal_error().map(|(code, _)| code);
        let refused = [fatal, producer.context().code()].contains(&Some(RDKafkaErrorCode::ClusterAuthorizationFailed));
        if refused {
            return Ok(Write::Nowhere);
        }
    }
    Ok(Write::NotRefused)
}

/// A topic that refuses a record from the year 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusing {
    /// `message.timestamp.after.max.ms`
    after_max_ms: i64,
}

impl Refusing {
    /// From a topic's settings; `None` where they do not say that it refuses one.
    pub(super) fn of(settings: &Settings, now_ms: i64) -> Option<Self> {
        let limit = settings.get("message.timestamp.after.max.ms").and_then(|limit| limit.parse::<i64>().ok());
        let by_own_timestamp = settings.get("message.timestamp.type").is_some_and(|kind| kind == "CreateTime");
        let after_max_ms = limit.filter(|limit| by_own_timestamp && *limit < LAST_MS - now_ms)?;
        Some(Self { after_max_ms })
    }
}

/// What a topic answered to a batch that it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OneTopic {
    /// The user may not write to it.
    Forbidden,
    /// The user may: the records were looked at, and refused; perhaps their timestamps say how its clock is.
    Allowed(Option<Between>),
    /// Nothing that says either.
    Silent,
}

/// What the broker says of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Forbidden,
    /// Its timestamp is too far ahead.
    TooFar,
    /// It is none of those for which the batch is refused.
    Fits,
    Other,
}

/// What each of these topics answers.
///
/// # Errors
/// When librdkafka refuses the properties.
pub(super) fn of_each<'t>(
    client: &ClientConfig,
    topics: &[(&'t str, Refusing)],
    given_up: GivenUp<'_>,
) -> anyhow::Result<Vec<(&'t str, OneTopic)>> {
    let steps: Vec<i64> = clock_offset::steps().collect();
    let mut answers = Vec::new();
    for (topic, refusing) in topics {
        answers.push((*topic, of_one(client, topic, *refusing, &steps, given_up)?));
    }
    Ok(answers)
}

fn of_one(
    client: &ClientConfig,
    topic: &str,
    refusing: Refusing,
    steps: &[i64],
    given_up: GivenUp<'_>,
) -> anyhow::Result<OneTopic> {
    let producer: BaseProducer<Answers> =
        one_batch(client, 2 * steps.len() + 1).create_with_context(Answers::default())?;
    // The topic's leader is known before the first record: a batch is not filled while it is looked for.
    if metadata(producer.client(), Some(topic), given_up).is_err() || given_up() {
        return Ok(OneTopic::Silent);
    }
    let limit_ms = clock::unix_millis().saturating_add(refusing.after_max_ms);
    // Whatever part of it leaves, one from the year 9999 is in it.
    let around = steps.iter().flat_map(|step| [limit_ms.saturating_add(*step), LAST_MS]);
    for (place, timestamp) in std::iter::once(LAST_MS).chain(around).enumerate() {
        let record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, place).partition(0).payload(b"check");
        // A record that librdkafka does not take gets no answer.
        drop(producer.send(record.timestamp(timestamp).key(b"cardhook-check")));
    }
    let end = Instant::now() + 2 * WAIT;
    while producer.in_flight_count() > 0 && Instant::now() < end && !given_up() {
        producer.poll(Duration::from_millis(50));
    }
    let answers = producer.context().0.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(read(steps, |place| answers.get(&place).copied().unwrap_or(Answer::Other)))
}

/// A producer whose records leave in one batch of so many.
fn one_batch(client: &ClientConfig, records: usize) -> ClientConfig {
    let mut client = client.clone();
    // Other names of what is set here.
    for name in ["queue.buffering.max.ms", "message.send.max.retries", "compression.type"] {
        client.remove(name);
    }
    let (gather, wait) = (GATHER.as_millis().to_string(), (GATHER + WAIT).as_millis().to_string());
    for (name, value) in [
        // Without an id: asking for one is refused where any topic would do.
        ("enable.idempotence", "false"),
        // The leader's own answer: whether enough replicas are in sync is said elsewhere.
        ("acks", "1"),
        ("retries", "0"),
        ("batch.num.messages", &records.to_string()),
        ("batch.size", "1000000"),
        ("message.max.bytes", "1000000"),
        ("compression.codec", "none"),
        ("linger.ms", &gather),
        ("message.timeout.ms", &wait),
    ] {
        client.set(name, value);
    }
    client
}

/// From the answers by place: the odd ones are those around the limit.
fn read(steps: &[i64], answer: impl Fn(usize) -> Answer) -> OneTopic {
    let all = || (0..=2 * steps.len()).map(&answer);
    if all().any(|answer| answer == Answer::Forbidden) {
        return OneTopic::Forbidden;
    }
    if all().step_by(2).any(|answer| answer != Answer::TooFar) {
        return OneTopic::Silent;
    }
    let of_step = |(place, step): (usize, &i64)| (*step, answer(2 * place + 1));
    let with = |wanted: Answer| {
        steps.iter().enumerate().map(of_step).filter(move |(_, answer)| *answer == wanted).map(|(step, _)| step)
    };
    OneTopic::Allowed(Between::of(with(Answer::Fits).max(), with(Answer::TooFar).min()))
}

/// By the record's place.
#[derive(Default)]
struct Answers(Mutex<HashMap<usize, Answer>>);

impl ClientContext for Answers {
    // What is wrong with the brokers is said elsewhere.
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Answers {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, place: usize) {
        let answer = match result.as_ref().map_err(|(error, _)| error.rdkafka_error_code()) {
            Err(Some(RDKafkaErrorCode::TopicAuthorizationFailed)) => Answer::Forbidden,
            // Where several records of a batch are wrong, librdkafka gives each this code.
            Err(Some(RDKafkaErrorCode::InvalidTimestamp | RDKafkaErrorCode::InvalidRecord)) => Answer::TooFar,
            Err(Some(RDKafkaErrorCode::InvalidDifferentRecord)) => Answer::Fits,
            Ok(_) | Err(_) => Answer::Other,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(place, answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_sent_only_where_the_settings_refuse_it() {
        let settings = |kind: &str, limit: &str| {
            HashMap::from(
                [("message.timestamp.type", kind), ("message.timestamp.after.max.ms", limit)]
                    .map(|(name, value)| (name.to_owned(), value.to_owned())),
            )
        };
        let now = 1_800_000_000_000;
        let of = |settings| Refusing::of(&settings, now);
        assert_eq!(of(settings("CreateTime", "3600000")), Some(Refusing { after_max_ms: 3_600_000 }));
        assert_eq!(of(settings("CreateTime", "9223372036854775807")), None);
        assert_eq!(of(settings("LogAppendTime", "3600000")), None);
        assert_eq!(of(HashMap::new()), None);
    }

    #[test]
    fn answers_say_the_right_and_where_the_limit_lies() {
        use Answer::{Fits, Forbidden, Other, TooFar};
        let answers = |answers: [Answer; 5]| read(&[-1000, 1000], |place| answers[place]);
        assert_eq!(
            answers([TooFar, Fits, TooFar, TooFar, TooFar]),
            OneTopic::Allowed(Between::of(Some(-1000), Some(1000)))
        );
        assert_eq!(answers([TooFar, Fits, TooFar, Fits, TooFar]), OneTopic::Allowed(Between::of(Some(1000), None)));
        assert_eq!(answers([Forbidden; 5]), OneTopic::Forbidden);
        assert_eq!(answers([Other; 5]), OneTopic::Silent);
        assert_eq!(answers([TooFar, Fits, Other, TooFar, TooFar]), OneTopic::Silent);
    }
}
