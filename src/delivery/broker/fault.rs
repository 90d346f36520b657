//! What is wrong with a topic or with the rights on it, in words, and the cure.
//!
//! The one place for these words: the service's log, `cardhook check` and the commands that speak to Kafka say the same.
//! Does not depend on how a fault was found.

use rdkafka::types::RDKafkaErrorCode;

/// The user may write to no topic: what was found, and the cure.
pub const NO_WRITE: (&str, &str) = ("no Write on any of the topics", "allow Describe and Write on them");

pub(super) const ADVERTISES: &str = "the cluster advertises ";
/// What to do about [`unreachable_address`].
pub const ADVERTISED_CURE: &str = "correct the brokers' advertised.listeners, or this machine's name resolution";

/// A broker is not reached where the cluster says that it is.
#[must_use]
pub fn unreachable_address(address: &str) -> String {
    format!("{ADVERTISES}{address}, which cannot be reached from here")
}

/// Something that stops a topic's records, or puts them at risk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicFault {
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
    /// The user may not see its settings.
    SettingsUntold,
}

impl TopicFault {
    /// Whether records do not arrive because of it; else they may be lost, or it is to be known.
    #[must_use]
    pub fn stops_records(&self) -> bool {
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
            | Self::SettingsUntold => false,
        }
    }

    /// What was found; the topic's name stands before it.
    #[must_use]
    pub fn found(&self) -> String {
        match self {
            Self::Missing => "does not exist".to_owned(),
            Self::Forbidden => "is forbidden to this user".to_owned(),
            Self::NoWrite => "no Write for this user".to_owned(),
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
            Self::SettingsUntold => "the brokers do not tell its settings to this user".to_owned(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn cure(&self) -> String {
        match self {
            Self::Missing => "`cardhook topics create` makes it".to_owned(),
            Self::Forbidden | Self::NoWrite => "allow Describe and Write on it".to_owned(),
            Self::NoRead => "allow Describe and Read on it".to_owned(),
            Self::Leaderless(..) | Self::FewInSync { .. } => "start the missing brokers".to_owned(),
            Self::Unusable(_) => "look at the brokers' logs".to_owned(),
            Self::Compacted => "cleanup.policy=delete".to_owned(),
            Self::FewReplicas { .. } => "lower min.insync.replicas, or add replicas".to_owned(),
            Self::OneReplica => "3 replicas, min.insync.replicas 2".to_owned(),
            Self::OneSuffices(_) => "min.insync.replicas 2".to_owned(),
            Self::Expires(_) => "retention.ms=-1".to_owned(),
            Self::Timestamps { setting, least, .. } => format!("{setting} of at least {least}"),
            Self::SettingsUntold => {
                "allow DescribeConfigs on it, or look at min.insync.replicas and cleanup.policy yourself".to_owned()
            }
        }
    }
}

/// What a failed publish says by its reason: what was found, and the cure.
pub(in crate::delivery) fn words(reason: &'static str) -> Option<(String, String)> {
    let fault = match reason {
        "unknown_topic" => TopicFault::Missing,
        "topic_authorization_failed" => TopicFault::NoWrite,
        "cluster_authorization_failed" => return Some((NO_WRITE.0.to_owned(), NO_WRITE.1.to_owned())),
        _ => return None,
    };
    Some((fault.found(), fault.cure()))
}
