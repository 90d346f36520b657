//! What librdkafka complains of while no broker answers: the reason, and where to look.
//!
//! The one place that turns a connection's failure into a cure, for the service and for every command that speaks to Kafka.
//! Does not depend on which client complains.

use std::sync::{Mutex, PoisonError};

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

use super::NO_WRITE;

const ADVERTISES: &str = "the cluster advertises ";
/// What to do about [`unreachable_address`].
pub const ADVERTISED_CURE: &str = "correct the brokers' advertised.listeners, or this machine's name resolution";

/// A broker is not reached where the cluster says that it is.
#[must_use]
pub fn unreachable_address(address: &str) -> String {
    format!("{ADVERTISES}{address}, which cannot be reached from here")
}

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
        // That all brokers are down says less than what came before it; what ends a producer is said of its records.
        let says_why = |code: &Code| !matches!(code, Code::AllBrokersDown | Code::Fatal);
        let code = error.rdkafka_error_code().filter(|code| says_why(code) && !refused);
        let Some(code) = code else { return false };
        // The brokers' word for it says nothing of topics.
        let reason = match (code, advertised(reason)) {
            (Code::ClusterAuthorizationFailed, _) => NO_WRITE.0.to_owned(),
            (Code::Resolve, Some(address)) => unreachable_address(address),
            (_, _) => unquoted(reason),
        };
        let before = heard.replace((code, reason));
        before.is_none_or(|(before, _)| before != code)
    }

    /// The code of what is wrong.
    #[must_use]
    pub fn code(&self) -> Option<RDKafkaErrorCode> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(code, _)| *code)
    }

    /// What is wrong, in librdkafka's words, and which kind it is; `None` while nothing was complained of.
    #[must_use]
    pub fn last(&self) -> Option<(String, Complaint)> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.as_ref().map(|(code, why)| (why.clone(), Complaint::of(*code, why)))
    }
}

/// Which kind of failure it is: the cure hangs on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Complaint {
    /// The user or the password is refused.
    Authentication,
    /// The certificates do not fit.
    Tls,
    /// The user may do nothing.
    Authorization,
    /// A name has no address.
    Resolve,
    /// The name that the cluster gives for a broker has none.
    Advertised,
    /// The connection is closed at once.
    Closed,
    /// No connection.
    Unreachable,
}

impl Complaint {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Authentication,
        Self::Tls,
        Self::Authorization,
        Self::Resolve,
        Self::Advertised,
        Self::Closed,
        Self::Unreachable,
    ];

    fn of(code: RDKafkaErrorCode, why: &str) -> Self {
        match code {
            RDKafkaErrorCode::Authentication => Self::Authentication,
            RDKafkaErrorCode::SSL => Self::Tls,
            RDKafkaErrorCode::ClusterAuthorizationFailed => Self::Authorization,
            RDKafkaErrorCode::Resolve if why.starts_with(ADVERTISES) => Self::Advertised,
            RDKafkaErrorCode::Resolve => Self::Resolve,
            // A listener with TLS or SASL answers a plain client by closing the connection.
            RDKafkaErrorCode::BrokerTransportFailure if why.to_ascii_lowercase().contains("disconnected") => {
                Self::Closed
            }
            _ => Self::Unreachable,
        }
    }

    /// The kind in a word: the console's page has words for each.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Tls => "tls",
            Self::Authorization => "authorization",
            Self::Resolve => "resolve",
            Self::Advertised => "advertised",
            Self::Closed => "closed",
            Self::Unreachable => "unreachable",
        }
    }

    /// Where to look.
    #[must_use]
    pub fn cure(self) -> &'static str {
        match self {
            Self::Authentication => {
                "are kafka.sasl_password, and sasl.username and sasl.mechanism in kafka.options, right?"
            }
            Self::Tls => "does ssl.ca.location in kafka.options name who signed the brokers' certificates?",
            Self::Authorization => NO_WRITE.1,
            Self::Resolve => "the name has no address from here: correct it in kafka.brokers",
            Self::Advertised => ADVERTISED_CURE,
            Self::Closed => {
                "the broker closes the connection: it may want TLS or SASL (security.protocol in kafka.options)"
            }
            Self::Unreachable => "are kafka.brokers and security.protocol in kafka.options right?",
        }
    }
}

/// The address that the cluster gave for a broker, where a complaint is about that and not about one of `kafka.brokers`:
/// librdkafka writes the broker's id behind it.
fn advertised(reason: &str) -> Option<&str> {
    let (broker, _) = reason.split_once(": ")?;
    let (address, id) = broker.rsplit_once('/')?;
    let address = address.rsplit_once("//").map_or(address, |(_, address)| address);
    (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())).then_some(address)
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
        all.last().map(|(reason, complaint)| (reason, complaint.cure()))
    }

    #[test]
    fn a_refusal_of_the_user_stays_the_reason_and_brokers_that_are_down_are_none() {
        use RDKafkaErrorCode as Code;
        assert_eq!(heard(&[]), None);
        assert_eq!(heard(&[(Code::AllBrokersDown, "2/2 brokers are down")]), None);
        let (reason, cure) =
            heard(&[(Code::Authentication, "wrong"), (Code::BrokerTransportFailure, "Disconnected")]).unwrap();
        assert!(reason == "wrong" && cure.contains("kafka.sasl_password"), "{reason} {cure}");
        let (reason, cure) = heard(&[(Code::Resolve, "ssl://k.invalid:9/1: Failed to resolve 'k.invalid:9'")]).unwrap();
        assert_eq!(reason, "the cluster advertises k.invalid:9, which cannot be reached from here");
        assert!(cure.contains("advertised.listeners"), "{cure}");
        let (_, cure) = heard(&[(Code::Resolve, "k.invalid:9/bootstrap: Failed to resolve 'k.invalid:9'")]).unwrap();
        assert!(cure.contains("kafka.brokers"), "{cure}");
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
