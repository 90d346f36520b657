//! A client of a command that listens for what librdkafka complains of while the brokers do not answer.

use std::time::Duration;

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    error::KafkaError,
    message::DeliveryResult,
    producer::{BaseProducer, Producer as _, ProducerContext},
    types::RDKafkaErrorCode,
};

use crate::delivery::Complaints;

/// A connection that is refused is refused within this.
const ASK_AGAIN_FOR: Duration = Duration::from_secs(3);
/// What librdkafka complained of waits in a queue; hearing all of it takes no longer.
const COMPLAINTS_WITHIN: Duration = Duration::from_millis(200);

/// Why the brokers do not answer a client of these properties, and the cure: asks once more, and listens.
pub(super) fn no_answer(client: &ClientConfig) -> String {
    let brokers = client.get("bootstrap.servers").unwrap_or_default();
    let producer: Result<BaseProducer<Complaint>, _> = client.create_with_context(Complaint::default());
    let Ok(producer) = producer else { return format!("no answer from the brokers {brokers}") };
    // The answer does not matter any more: what is complained of meanwhile does.
    let _ = producer.client().fetch_metadata(None, ASK_AGAIN_FOR);
    producer.poll(COMPLAINTS_WITHIN);
    let (reason, cure) = producer.context().reason_and_cure();
    format!("no answer from the brokers {brokers}: {reason}; {cure}")
}

/// Listens for one client.
#[derive(Default)]
pub(super) struct Complaint(Complaints);

impl Complaint {
    /// The code of what is wrong.
    pub(super) fn code(&self) -> Option<RDKafkaErrorCode> {
        self.0.code()
    }

    /// What is wrong, and the cure.
    pub(super) fn reason_and_cure(&self) -> (String, &'static str) {
        let nothing = || ("no answer".to_owned(), "are kafka.brokers and security.protocol in kafka.options right?");
        self.0.last().map_or_else(nothing, |(reason, complaint)| (reason, complaint.cure()))
    }
}

impl ClientContext for Complaint {
    /// What matters comes as an error too.
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.hear(&error, reason);
    }
}

impl ProducerContext for Complaint {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}
