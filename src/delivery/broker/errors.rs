//! What an error code means for a record and for those behind it, and its label.

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

use crate::{delivery::pending::Failure, event::EncodeError};

/// There is no topic of that name: what was found, and the cure. The topic's name stands before it.
pub const MISSING: (&str, &str) = ("does not exist", "`cardhook topics create` makes it");
/// The user may ask for the topic, and not write to it.
pub const NO_WRITE_ON_IT: (&str, &str) = ("no Write for this user", "allow Describe and Write on it");
/// The user may write to no topic.
pub const NO_WRITE: (&str, &str) = ("no Write on any of the topics", "allow Describe and Write on them");

/// What a failed report says, in the words of `dlq_detail`, where it means that the broker will never take the record. It may
/// have been another record of the same batch: only the refusal of a record sent alone is surely its own.
#[must_use]
pub fn refusal(error: &KafkaError, has_key: bool) -> Option<&'static str> {
    match classify(error.rdkafka_error_code()) {
        Failure::Refused(reason) => Some(detail(reason, has_key)),
        Failure::Purged | Failure::Topic(_) | Failure::Producer(_) => None,
    }
}

/// What a failed publish says, and the cure: `None` where nothing more is known than the error's own text.
#[must_use]
pub fn why_unpublished(error: Option<RDKafkaErrorCode>) -> Option<(&'static str, &'static str)> {
    match classify(error) {
        Failure::Topic(reason) | Failure::Producer(reason) => words(reason),
        Failure::Refused(_) | Failure::Purged => None,
    }
}

/// The same by its reason.
pub(in crate::delivery) fn words(reason: &'static str) -> Option<(&'static str, &'static str)> {
    match reason {
        "unknown_topic" => Some(MISSING),
        "topic_authorization_failed" => Some(NO_WRITE_ON_IT),
        "cluster_authorization_failed" => Some(NO_WRITE),
        _ => None,
    }
}

/// Every label of `cardhook_publish_errors_total`.
pub(in crate::delivery) const REASONS: [&str; 10] = [
    "too_large",
    "invalid_record",
    "unknown_topic",
    "topic_authorization_failed",
    "cluster_authorization_failed",
    "authentication_failed",
    "tls_failed",
    "schema_registry_unavailable",
    "fatal",
    "other",
];

/// Refused for its timestamp: the closed set of labels has `invalid_record` for it.
const TIMESTAMP: &str = "invalid_timestamp";

/// The label of a refusal's reason.
pub(in crate::delivery) fn label(reason: &'static str) -> &'static str {
    if reason == TIMESTAMP { "invalid_record" } else { reason }
}

/// What `dlq_detail` says of a refusal, by its reason and whether the record has a key.
pub(in crate::delivery) fn detail(reason: &'static str, has_key: bool) -> &'static str {
    match (reason, has_key) {
        (TIMESTAMP, _) => {
            "invalid_record: the timestamp is outside what the topic takes (message.timestamp.before.max.ms, message.timestamp.after.max.ms)"
        }
        // Nothing else of a cardhook record is known to be refused so.
        ("invalid_record", false) => {
            "invalid_record: the record has no key, and the topic seems to be compacted (cleanup.policy)"
        }
        (reason, _) => reason,
    }
}

/// What it means for a record, and for those behind it, that it was not encoded.
pub(super) fn unencoded(error: EncodeError) -> Failure {
    match error {
        EncodeError::NoSchemaId => Failure::Topic("schema_registry_unavailable"),
        EncodeError::NotAnEvent => Failure::Refused("invalid_record"),
    }
}

/// What an error code means for the record and for those behind it. An unlisted code ends in a new producer and another try.
pub(super) fn classify(code: Option<RDKafkaErrorCode>) -> Failure {
    use RDKafkaErrorCode as Code;
    match code {
        // Another record of its batch or of its partition was refused: this one goes again.
        Some(Code::PurgeQueue | Code::PurgeInflight | Code::GaplessGuarantee | Code::InvalidDifferentRecord) => {
            Failure::Purged
        }
        Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize) => {
            Failure::Refused("too_large")
        }
        Some(Code::InvalidTimestamp) => Failure::Refused(TIMESTAMP),
        Some(Code::InvalidRecord | Code::InvalidArgument | Code::PolicyViolation) => Failure::Refused("invalid_record"),
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::InvalidTopic) => {
            Failure::Topic("unknown_topic")
        }
        Some(Code::TopicAuthorizationFailed) => Failure::Topic("topic_authorization_failed"),
        Some(Code::ClusterAuthorizationFailed) => Failure::Topic("cluster_authorization_failed"),
        Some(Code::Authentication) => Failure::Producer("authentication_failed"),
        Some(Code::SSL) => Failure::Producer("tls_failed"),
        Some(
            Code::Fatal
            | Code::Fenced
            | Code::OutOfOrderSequenceNumber
            | Code::InvalidProducerEpoch
            | Code::ProducerFenced
            | Code::UnknownProducerId,
        ) => Failure::Producer("fatal"),
        _ => Failure::Producer("other"),
    }
}
