//! What is known of one pending record, and what that means for its answer: the promise (contract §3.1) as one table.
//!
//! Does not depend on I/O, clocks, SQLite or Kafka.

use std::time::Instant;

use super::step::{Rules, Waiting};
use crate::delivery::AnswerAfter;

/// A record's place in the order of its lane. Given once, never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::delivery) struct Seq(pub(in crate::delivery) u64);

/// What the disk has of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Disk {
    /// Nothing: the record is in memory, and the store was not asked to take it.
    Memory,
    /// The store was asked to take it, and has not reported yet.
    Writing,
    /// Committed and fsynced.
    Stored,
    /// The store could not take it: the disk is full or failing, or `spool.max_bytes` is reached.
    Failed,
}

impl Disk {
    /// It is not known yet whether the disk gets it.
    pub(super) fn is_open(self) -> bool {
        match self {
            Self::Memory | Self::Writing => true,
            Self::Stored | Self::Failed => false,
        }
    }
}

/// What the broker has of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Broker {
    /// Nothing, or nothing that is sure: the record waits to be sent, for the first time or again.
    Queued,
    /// The producer has it, and has not reported yet.
    Sent {
        /// When it was handed to a producer for the first time.
        since: Instant,
    },
    /// Acknowledged by all in-sync replicas.
    Acked,
    /// The broker will never take it: the reason is a label of `cardhook_publish_errors_total`.
    Refused(&'static str),
}

/// Where a safe record is: in Kafka, or in the fsynced store. Nothing but [`verdict`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) struct By {
    kafka: bool,
}

impl By {
    /// In Kafka; else in the fsynced store.
    pub(in crate::delivery) fn is_kafka(self) -> bool {
        self.kafka
    }

    #[cfg(test)]
    pub(super) const KAFKA: Self = Self { kafka: true };
    #[cfg(test)]
    pub(super) const DISK: Self = Self { kafka: false };
}

/// What an answer may say now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Verdict {
    /// Nothing yet.
    Wait,
    /// `success`.
    Safe(By),
    /// 503: the record has no durable place, and none is in sight.
    Refuse,
}

/// The promise. `away`: Kafka does not answer. `late`: the answer has waited `delivery.ack_timeout`.
///
/// | policy | safe in Kafka | safe on disk | refuse | otherwise |
/// |---|---|---|---|---|
/// | `kafka` | acked | stored, and away or late | failed and away | wait |
/// | `disk` | acked, and failed or late | stored | failed and away | wait |
/// | `kafka_only` | acked | never | away | wait |
///
/// With `disk`, *late* is for a disk that hangs: it neither stores nor fails, and must not turn an acknowledged event into
/// a 503. A refused record waits like a queued one: its answers go with it to the record in the DLQ topic.
pub(in crate::delivery) fn verdict(
    policy: AnswerAfter,
    away: bool,
    late: bool,
    disk: Disk,
    broker: &Broker,
) -> Verdict {
    use AnswerAfter as Policy;
    let acked = match broker {
        Broker::Acked => true,
        Broker::Queued | Broker::Sent { .. } | Broker::Refused(_) => false,
    };
    let ack_is_enough = match (policy, disk) {
        (Policy::Kafka | Policy::KafkaOnly, _) | (Policy::Disk, Disk::Failed) => true,
        (Policy::Disk, Disk::Memory | Disk::Writing) => late,
        (Policy::Disk, Disk::Stored) => false,
    };
    let disk_is_enough = match policy {
        Policy::Kafka => away || late,
        Policy::Disk => true,
        Policy::KafkaOnly => false,
    };
    let no_place_in_sight = away
        && match policy {
            Policy::Kafka | Policy::Disk => disk == Disk::Failed,
            Policy::KafkaOnly => true,
        };
    if acked && ack_is_enough {
        Verdict::Safe(By { kafka: true })
    } else if disk == Disk::Stored && disk_is_enough {
        Verdict::Safe(By { kafka: false })
    } else if no_place_in_sight {
        Verdict::Refuse
    } else {
        Verdict::Wait
    }
}

/// One pending record. `P` is what is sent, `A` is who waits.
#[derive(Debug)]
pub(super) struct Record<P, A> {
    /// `None`: on disk only.
    pub(super) payload: Option<P>,
    pub(super) bytes: u64,
    pub(super) key: Option<u64>,
    pub(super) received: Instant,
    pub(super) first_sent: Option<Instant>,
    pub(super) disk: Disk,
    pub(super) broker: Broker,
    /// Never given up.
    pub(super) kept: bool,
    pub(super) waiting: Waiting<A>,
}

impl<P, A> Record<P, A> {
    /// A record that is on disk only.
    pub(super) fn stored(now: Instant) -> Self {
        let (disk, broker) = (Disk::Stored, Broker::Queued);
        let (payload, key, first_sent, waiting) = (None, None, None, Waiting::new());
        Self { payload, bytes: 0, key, received: now, first_sent, disk, broker, kept: false, waiting }
    }

    /// It stands on disk behind so many others that memory does not hold it. Its ack may be minutes away, so that its answer
    /// counts as late at once.
    fn is_left_on_disk(&self) -> bool {
        self.payload.is_none() && self.disk == Disk::Stored && self.broker == Broker::Queued
    }

    /// Takes out the answers that are decided.
    pub(super) fn judge(&mut self, rules: &Rules, away: bool, now: Instant, decided: &mut Vec<(A, Verdict)>) {
        let is_left = self.is_left_on_disk();
        for (answer, since) in std::mem::take(&mut self.waiting) {
            let late = is_left || now >= since + rules.ack_timeout;
            match verdict(rules.policy, away, late, self.disk, &self.broker) {
                Verdict::Wait => self.waiting.push((answer, since)),
                safe_or_not => decided.push((answer, safe_or_not)),
            }
        }
    }
}

/// The verdict on a record that was acknowledged and is gone from its lane.
pub(in crate::delivery) fn acknowledged(policy: AnswerAfter) -> Verdict {
    verdict(policy, false, false, Disk::Failed, &Broker::Acked)
}

/// The verdict on a record that is parked: committed, and never to be acknowledged.
pub(in crate::delivery) fn parked(policy: AnswerAfter) -> Verdict {
    verdict(policy, true, true, Disk::Stored, &Broker::Queued)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISKS: [Disk; 4] = [Disk::Memory, Disk::Writing, Disk::Stored, Disk::Failed];
    const WHEN: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

    /// One letter a cell: `w` wait, `k` safe in Kafka, `d` safe on disk, `r` refuse.
    fn letter(verdict: Verdict) -> char {
        match verdict {
            Verdict::Wait => 'w',
            Verdict::Safe(by) if by.is_kafka() => 'k',
            Verdict::Safe(_) => 'd',
            Verdict::Refuse => 'r',
        }
    }

    /// A row for each state of the disk, in the order of `DISKS`; a column for (away, late) = (no, no), (no, yes), (yes, no),
    /// (yes, yes).
    fn table(policy: AnswerAfter, broker: Broker) -> [String; 4] {
        DISKS.map(|disk| {
            WHEN.iter().map(|(away, late)| letter(verdict(policy, *away, *late, disk, &broker))).collect::<String>()
        })
    }

    fn unacknowledged() -> [Broker; 3] {
        [Broker::Queued, Broker::Sent { since: Instant::now() }, Broker::Refused("too_large")]
    }

    #[test]
    fn with_kafka_the_ack_is_enough_and_the_disk_counts_when_kafka_is_away_or_late() {
        assert_eq!(table(AnswerAfter::Kafka, Broker::Acked), ["kkkk", "kkkk", "kkkk", "kkkk"]);
        for broker in unacknowledged() {
            assert_eq!(table(AnswerAfter::Kafka, broker), ["wwww", "wwww", "wddd", "wwrr"], "{broker:?}");
        }
    }

    #[test]
    fn with_disk_the_stored_record_is_enough_and_the_ack_counts_when_the_disk_fails_or_hangs() {
        assert_eq!(table(AnswerAfter::Disk, Broker::Acked), ["wkwk", "wkwk", "dddd", "kkkk"]);
        for broker in unacknowledged() {
            assert_eq!(table(AnswerAfter::Disk, broker), ["wwww", "wwww", "dddd", "wwrr"], "{broker:?}");
        }
    }

    #[test]
    fn with_kafka_only_nothing_but_the_ack_is_enough_and_nobody_waits_while_kafka_is_away() {
        assert_eq!(table(AnswerAfter::KafkaOnly, Broker::Acked), ["kkkk", "kkkk", "kkkk", "kkkk"]);
        for broker in unacknowledged() {
            assert_eq!(table(AnswerAfter::KafkaOnly, broker), ["wwrr", "wwrr", "wwrr", "wwrr"], "{broker:?}");
        }
    }

    /// What the table is for, said without it.
    #[test]
    fn nothing_is_called_safe_that_is_neither_acknowledged_nor_stored() {
        for policy in [AnswerAfter::Kafka, AnswerAfter::Disk, AnswerAfter::KafkaOnly] {
            for disk in DISKS {
                for broker in unacknowledged().into_iter().chain([Broker::Acked]) {
                    for (away, late) in WHEN {
                        match verdict(policy, away, late, disk, &broker) {
                            Verdict::Safe(by) if by.is_kafka() => assert_eq!(broker, Broker::Acked),
                            Verdict::Safe(_) => assert_eq!(disk, Disk::Stored),
                            Verdict::Wait | Verdict::Refuse => {}
                        }
                    }
                }
            }
        }
    }
}
