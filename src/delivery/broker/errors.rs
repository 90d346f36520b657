//! What an error code means for a record and for those behind it, and its label.

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

use crate::{delivery::pending::Failure, event::EncodeError};

/// Whether a failed report says that the broker will never take the record. It may have been another record of the same
/// batch: only the refusal of a record sent alone is surely its own.
#[must_use]
pub fn is_refusal(error: &KafkaError) -> bool {
    matches!(classify(error.rdkafka_error_code()), Failure::Refused(_))
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
        Some(Code::InvalidRecord | Code::InvalidTimestamp | Code::InvalidArgument | Code::PolicyViolation) => {
            Failure::Refused("invalid_record")
        }
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
