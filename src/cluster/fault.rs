//! What is wrong with a topic or with the rights on it, in words, and the cure.
//!
//! The one place for these words: the service's log, `cardhook check` and the commands that speak to Kafka say the same. Those
//! that a failed record tells too are the delivery's. Does not depend on how a fault was found.

use rdkafka::types::RDKafkaErrorCode;

use crate::delivery::{MISSING, NO_WRITE_ON_IT};

/// Something that stops a topic's records, or puts them at risk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TopicFault {
    /// There is none of that name.
    Missing,
    /// The user may not even ask for it.
    Forbidden,
    /// The user may ask for it, and not write to it.
    NoWrite,
    /// The user may ask for it, and not read it.
    NoRead,
    /// So many of its partitions have no leader.
    Leaderless(usize, usize),
    /// Another error of the topic.
    Unusable(RDKafkaErrorCode),
    /// `cleanup.policy` has `compact`.
    Compacted,
    /// It has fewer replicas than `min.insync.replicas`.
    FewReplicas {
        /// `min.insync.replicas`
        wanted: usize,
        /// Replicas of the partition with the fewest.
        replicas: usize,
    },
    /// Fewer replicas are in sync than `min.insync.replicas`.
    FewInSync {
        /// `min.insync.replicas`
        wanted: usize,
        /// Replicas in sync of the partition with the fewest.
        in_sync: usize,
    },
    /// One replica.
    OneReplica,
    /// Several replicas, and one in sync is enough for an ack: `min.insync.replicas`.
    OneSuffices(i64),
    /// The DLQ topic deletes what is older than this, milliseconds.
    Expires(i64),
    /// It refuses records that are this far off, milliseconds.
    Timestamps {
        /// `message.timestamp.before.max.ms` or `message.timestamp.after.max.ms`
        setting: &'static str,
        /// What it is.
        limit: i64,
        /// What it should be at least.
        least: i64,
    },
    /// It takes only records up to this size, and a push can become a larger one.
    SmallRecords {
        /// `max.message.bytes`
        limit: i64,
        /// `server.max_body_bytes`
        max_body: usize,
        /// What the limit should be at least.
        least: usize,
    },
    /// The user may not see its settings.
    SettingsUntold,
}

impl TopicFault {
    /// Whether records do not arrive because of it; else they may be lost, or it is to be known.
    #[must_use]
    pub(crate) fn stops_records(&self) -> bool {
        match self {
            Self::Missing
            | Self::Forbidden
            | Self::NoWrite
            | Self::NoRead
            | Self::Leaderless(..)
            | Self::Unusable(_)
            | Self::Compacted
            | Self::FewReplicas { .. }
            | Self::FewInSync { .. } => true,
            Self::OneReplica
            | Self::OneSuffices(_)
            | Self::Expires(_)
            | Self::Timestamps { .. }
            | Self::SmallRecords { .. }
            | Self::SettingsUntold => false,
        }
    }

    /// What was found; the topic's name stands before it.
    #[must_use]
    pub(crate) fn found(&self) -> String {
        match self {
            Self::Missing => MISSING.0.to_owned(),
            Self::Forbidden => "is forbidden to this user".to_owned(),
            Self::NoWrite => NO_WRITE_ON_IT.0.to_owned(),
            Self::NoRead => "no Read for this user".to_owned(),
            Self::Leaderless(without, of) => format!("{without} of {of} partitions have no leader"),
            Self::Unusable(code) => format!("cannot be used: {code}"),
            Self::Compacted => {
                "cleanup.policy compact: records without a key are refused, and of one user only the last event stays"
                    .to_owned()
            }
            Self::FewReplicas { wanted, replicas } => {
                format!(
                    "min.insync.replicas {wanted}, and it has {replicas} replicas: some releases of Kafka take no record"
                )
            }
            Self::FewInSync { wanted, in_sync } => {
                format!("min.insync.replicas {wanted}, and {in_sync} replicas are in sync: no record is taken")
            }
            Self::OneReplica => "1 replica: a lost broker loses events".to_owned(),
            Self::OneSuffices(in_sync) => {
                format!("min.insync.replicas {in_sync}: one broker alone makes an event safe")
            }
            Self::Expires(retention) => format!("retention.ms {retention}: quarantined pushes vanish"),
            Self::Timestamps { setting, limit, .. } => {
                format!("{setting} {limit}: events of an outage or of WeChat's re-deliveries are refused")
            }
            Self::SmallRecords { limit, max_body, least } => format!(
                "max.message.bytes {limit}: a push of server.max_body_bytes {max_body} can become a record of {least}, \
                 which is refused"
            ),
            Self::SettingsUntold => "the brokers do not tell its settings to this user".to_owned(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub(crate) fn cure(&self) -> String {
        match self {
            Self::Missing => MISSING.1.to_owned(),
            Self::Forbidden | Self::NoWrite => NO_WRITE_ON_IT.1.to_owned(),
            Self::NoRead => "allow Describe and Read on it".to_owned(),
            Self::Leaderless(..) | Self::FewInSync { .. } => "start the missing brokers".to_owned(),
            Self::Unusable(_) => "look at the brokers' logs".to_owned(),
            Self::Compacted => "cleanup.policy=delete".to_owned(),
            Self::FewReplicas { .. } => "lower min.insync.replicas, or add replicas".to_owned(),
            Self::OneReplica => "3 replicas, min.insync.replicas 2".to_owned(),
            Self::OneSuffices(_) => "min.insync.replicas 2".to_owned(),
            Self::Expires(_) => "retention.ms=-1".to_owned(),
            Self::Timestamps { setting, least, .. } => format!("{setting} of at least {least}"),
            Self::SmallRecords { least, .. } => format!(
                "max.message.bytes of at least {least}, and message.max.bytes in kafka.options likewise; or a smaller \
                 server.max_body_bytes"
            ),
            Self::SettingsUntold => {
                "allow DescribeConfigs on it, or look at min.insync.replicas and cleanup.policy yourself".to_owned()
            }
        }
    }
}
