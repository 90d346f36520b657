//! What librdkafka complains of while a command waits for the brokers: the reason, and where to look.
//!
//! The one place that turns a connection's failure into a cure, for every command that speaks to Kafka.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    error::KafkaError,
    message::DeliveryResult,
    producer::{BaseProducer, Producer as _, ProducerContext},
    types::RDKafkaErrorCode,
};

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

/// The first refusal of the user or of the certificate, else the last complaint.
#[derive(Default)]
pub(super) struct Complaint(Mutex<Option<(RDKafkaErrorCode, String)>>);

impl Complaint {
    /// The code of what is wrong.
    pub(super) fn code(&self) -> Option<RDKafkaErrorCode> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(code, _)| *code)
    }

    /// What is wrong, and the cure.
    pub(super) fn reason_and_cure(&self) -> (String, &'static str) {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((code, why)) = heard.as_ref() else {
            return ("no answer".to_owned(), "are kafka.brokers and security.protocol in kafka.options right?");
        };
        let cure = match code {
            RDKafkaErrorCode::Authentication => {
                "are kafka.sasl_password, and sasl.username and sasl.mechanism in kafka.options, right?"
            }
            RDKafkaErrorCode::SSL => "does ssl.ca.location in kafka.options name who signed the brokers' certificates?",
            RDKafkaErrorCode::ClusterAuthorizationFailed => "allow the user Write on the topics",
            RDKafkaErrorCode::Resolve => {
                "the name has no address from here: correct it, or the brokers' advertised.listeners"
            }
            // A listener with TLS or SASL answers a plain client by closing the connection.
            RDKafkaErrorCode::BrokerTransportFailure
                if why.contains("Disconnected") || why.contains("disconnected") =>
            {
                "the broker closes the connection: it may want TLS or SASL (security.protocol in kafka.options)"
            }
            _ => "are kafka.brokers and security.protocol in kafka.options right?",
        };
        (why.clone(), cure)
    }
}

/// librdkafka's words, up to where they quote the value of a property that is a secret.
fn unquoted(reason: &str) -> String {
    const QUOTED: &str = "sasl.oauthbearer.config";
    reason.split_once(QUOTED).map_or_else(|| reason.to_owned(), |(before, _)| format!("{before}{QUOTED}\""))
}

impl ClientContext for Complaint {
    /// What matters comes as an error too.
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode as Code;
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = [Code::Authentication, Code::SSL, Code::ClusterAuthorizationFailed];
        let refused = heard.as_ref().is_some_and(|(code, _)| first.contains(code));
        // That all brokers are down says less than what came before it.
        let code = error.rdkafka_error_code().filter(|code| *code != Code::AllBrokersDown && !refused);
        if let Some(code) = code {
            *heard = Some((code, unquoted(reason)));
        }
    }
}

impl ProducerContext for Complaint {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}
