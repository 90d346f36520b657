//! What librdkafka complains of while no broker answers: the reason, and where to look.
//!
//! The one place that turns a connection's failure into a cure, for the service and for every command that speaks to Kafka.
//! Does not depend on which client complains.

use std::sync::{Mutex, PoisonError};

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

/// The first refusal of the user or of the certificate, else the last complaint.
#[derive(Debug, Default)]
pub struct Complaints(Mutex<Option<(RDKafkaErrorCode, String)>>);

impl Complaints {
    /// For a client's error callback: whether it is another complaint than the last one. The reason's secrets are left out.
    pub fn hear(&self, error: &KafkaError, reason: &str) -> bool {
        use RDKafkaErrorCode as Code;
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = [Code::Authentication, Code::SSL, Code::ClusterAuthorizationFailed];
        let refused = heard.as_ref().is_some_and(|(code, _)| first.contains(code));
        // That all brokers are down says less than what came before it.
        let code = error.rdkafka_error_code().filter(|code| *code != Code::AllBrokersDown && !refused);
        let Some(code) = code else { return false };
        let before = heard.replace((code, unquoted(reason)));
        before.is_none_or(|(before, _)| before != code)
    }

    /// The code of what is wrong.
    #[must_use]
    pub fn code(&self) -> Option<RDKafkaErrorCode> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(code, _)| *code)
    }

    /// What is wrong, and the cure; `None` while nothing was complained of.
    #[must_use]
    pub fn reason_and_cure(&self) -> Option<(String, &'static str)> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.as_ref().map(|(code, why)| (why.clone(), cure(*code, why)))
    }
}

fn cure(code: RDKafkaErrorCode, why: &str) -> &'static str {
    match code {
        RDKafkaErrorCode::Authentication => {
            "are kafka.sasl_password, and sasl.username and sasl.mechanism in kafka.options, right?"
        }
        RDKafkaErrorCode::SSL => "does ssl.ca.location in kafka.options name who signed the brokers' certificates?",
        RDKafkaErrorCode::ClusterAuthorizationFailed => {
            "no Write on any of the topics: allow Describe and Write on them"
        }
        RDKafkaErrorCode::Resolve => {
            "the name has no address from here: correct it, or the brokers' advertised.listeners"
        }
        // A listener with TLS or SASL answers a plain client by closing the connection.
        RDKafkaErrorCode::BrokerTransportFailure if why.to_ascii_lowercase().contains("disconnected") => {
            "the broker closes the connection: it may want TLS or SASL (security.protocol in kafka.options)"
        }
        _ => "are kafka.brokers and security.protocol in kafka.options right?",
    }
}

/// librdkafka's words, up to where they quote the value of a property that is a secret.
fn unquoted(reason: &str) -> String {
    const QUOTED: &str = "sasl.oauthbearer.config";
    reason.split_once(QUOTED).map_or_else(|| reason.to_owned(), |(before, _)| format!("{before}{QUOTED}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(complaints: &[(RDKafkaErrorCode, &str)]) -> Option<(String, &'static str)> {
        let all = Complaints::default();
        for (code, reason) in complaints {
            all.hear(&KafkaError::Global(*code), reason);
        }
        all.reason_and_cure()
    }

    #[test]
    fn a_refusal_of_the_user_stays_the_reason_and_brokers_that_are_down_are_none() {
        use RDKafkaErrorCode as Code;
        assert_eq!(heard(&[]), None);
        assert_eq!(heard(&[(Code::AllBrokersDown, "2/2 brokers are down")]), None);
        let (reason, cure) =
            heard(&[(Code::Authentication, "wrong"), (Code::BrokerTransportFailure, "Disconnected")]).unwrap();
        assert!(reason == "wrong" && cure.contains("kafka.sasl_password"), "{reason} {cure}");
        let (_, cure) = heard(&[(Code::BrokerTransportFailure, "127.0.0.1:9/1: Disconnected while…")]).unwrap();
        assert!(cure.contains("TLS or SASL"), "{cure}");
    }

    #[test]
    fn the_same_complaint_again_is_no_news() {
        use RDKafkaErrorCode as Code;
        let complaints = Complaints::default();
        let news = |code, reason| complaints.hear(&KafkaError::Global(code), reason);
        assert!(!news(Code::AllBrokersDown, "1/1 brokers are down"));
        assert!(news(Code::BrokerTransportFailure, "Disconnected (after 3ms)"));
        assert!(!news(Code::BrokerTransportFailure, "Disconnected (after 5ms)"));
        assert!(!news(Code::AllBrokersDown, "1/1 brokers are down"));
        assert!(news(Code::Authentication, "wrong"));
        assert!(!news(Code::BrokerTransportFailure, "Disconnected"), "the refusal of the user stays the reason");
    }

    #[test]
    fn a_quoted_secret_is_left_out() {
        let (reason, _) = heard(&[(RDKafkaErrorCode::Fail, "bad sasl.oauthbearer.config\" = \"LEAK\"")]).unwrap();
        assert!(!reason.contains("LEAK"), "{reason}");
    }
}
