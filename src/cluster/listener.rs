//! A client that listens for what librdkafka complains of while the brokers do not answer.

use std::time::Duration;

use rdkafka::{
    ClientContext, config::RDKafkaLogLevel, error::KafkaError, message::DeliveryResult, producer::ProducerContext,
    types::RDKafkaErrorCode,
};

use crate::delivery::Complaints;

/// What librdkafka complained of waits in a queue; hearing all of it takes no longer.
pub(super) const COMPLAINTS_WITHIN: Duration = Duration::from_millis(200);

/// Listens for one client.
#[derive(Debug, Default)]
pub(super) struct Listener(Complaints);

impl Listener {
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

impl ClientContext for Listener {
    /// What matters comes as an error too.
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.hear(&error, reason);
    }
}

impl ProducerContext for Listener {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}
