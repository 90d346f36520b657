//! The records of one round, and how far each partition may be committed.

use std::collections::BTreeMap;

use rdkafka::{Message as _, message::OwnedMessage};

use super::reprocess::Verdict;

/// A record of the DLQ topic and what becomes of it.
pub(super) struct Item {
    pub(super) message: OwnedMessage,
    pub(super) verdict: Verdict,
    /// What became of it is acknowledged: it may be committed.
    pub(super) settled: bool,
}

impl Item {
    pub(super) fn new(message: OwnedMessage, verdict: Verdict) -> Self {
        Self { message, verdict, settled: false }
    }
}

/// Partition → the offset to go on from: behind the settled records that have no other one before them.
pub(super) fn places(items: &[Item]) -> BTreeMap<i32, i64> {
    let mut places = BTreeMap::new();
    let mut held = Vec::new();
    for item in items {
        let partition = item.message.partition();
        if !item.settled {
            held.push(partition);
        } else if !held.contains(&partition) {
            places.insert(partition, item.message.offset() + 1);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;

    use super::*;

    fn item((partition, offset, settled): (i32, i64, bool)) -> Item {
        let message = OwnedMessage::new(None, None, String::new(), Timestamp::NotAvailable, partition, offset, None);
        Item { message, verdict: Verdict::Ignore, settled }
    }

    fn places_of(items: &[(i32, i64, bool)]) -> Vec<(i32, i64)> {
        let items: Vec<Item> = items.iter().copied().map(item).collect();
        places(&items).into_iter().collect()
    }

    #[test]
    fn a_place_moves_behind_the_last_settled_record() {
        assert_eq!(places_of(&[(0, 5, true), (1, 9, true), (0, 7, true)]), [(0, 8), (1, 10)]);
    }

    #[test]
    fn a_record_that_is_not_settled_holds_its_partition_and_no_other() {
        let items = [(0, 5, true), (0, 6, false), (0, 7, true), (1, 9, true), (2, 1, false), (2, 2, true)];
        assert_eq!(places_of(&items), [(0, 6), (1, 10)]);
    }

    #[test]
    fn nothing_settled_moves_nothing() {
        assert_eq!(places_of(&[]), []);
        assert_eq!(places_of(&[(0, 5, false)]), []);
    }
}
