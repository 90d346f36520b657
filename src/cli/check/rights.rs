//! Whether the user may write at all: an idempotent producer asks the brokers for its id, which they give only to a user with
//! Write on some topic. Nothing is written.
//!
//! The brokers tell no client of ours which of several topics a user may write to: a right on one of them is all that is seen.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, Producer as _},
    types::RDKafkaErrorCode,
};

use super::super::complaint::Complaint;

/// The brokers answer within milliseconds; a refusal is reported at once.
const WAIT: Duration = Duration::from_secs(2);

/// What is known of the right to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// On none of the topics.
    Nowhere,
    /// Not refused.
    NotRefused,
}

/// Asks.
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
