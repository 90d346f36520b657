//! The latest cards and event ids, so many and no more.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::{BuildHasher as _, Hash},
};

/// What one card's events have said so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Card {
    /// The row that the card counts in; `None` until the event that put it out was read.
    pub(super) row: Option<usize>,
    /// Unix milliseconds.
    pub(super) received_ms: Option<i64>,
    /// Unix milliseconds, once it was consumed.
    pub(super) consumed_ms: Option<i64>,
    /// One bit for each stage reached.
    pub(super) stages: u8,
    /// The card that it became when it was given away.
    pub(super) became: Option<Key>,
}

/// Two hashes of the texts that name a card or an event: 128 bits, so that a million of them do not meet by chance.
pub(super) type Key = (u64, u64);

/// A map that forgets its oldest entry when it is full.
#[derive(Debug)]
pub(super) struct Latest<V> {
    entries: HashMap<Key, V>,
    order: VecDeque<Key>,
    limit: usize,
    /// How many it has forgotten.
    pub(super) forgotten: u64,
    hashers: [std::hash::RandomState; 2],
}

impl<V: Default> Latest<V> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            limit,
            forgotten: 0,
            hashers: [std::hash::RandomState::new(), std::hash::RandomState::new()],
        }
    }

    pub(super) fn key(&self, name: impl Hash) -> Key {
        let [first, second] = &self.hashers;
        (first.hash_one(&name), second.hash_one(&name))
    }

    pub(super) fn get(&self, key: Key) -> Option<&V> {
        self.entries.get(&key)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values()
    }

    /// The entry, made when it is not there, and whether it was made.
    pub(super) fn entry(&mut self, key: Key) -> (&mut V, bool) {
        if !self.entries.contains_key(&key) {
            if self.order.len() >= self.limit
                && let Some(oldest) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
                self.forgotten += 1;
            }
            self.order.push_back(key);
        }
        match self.entries.entry(key) {
            Entry::Occupied(entry) => (entry.into_mut(), false),
            Entry::Vacant(entry) => (entry.insert(V::default()), true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_when_it_is_full() {
        let mut latest = Latest::<u32>::new(2);
        let [a, b, c] = ["a", "b", "c"].map(|name| latest.key(name));
        for key in [a, b, a, c] {
            *latest.entry(key).0 += 1;
        }
        assert_eq!((latest.get(a), latest.get(b), latest.get(c)), (None, Some(&1), Some(&1)));
        assert_eq!((latest.forgotten, latest.entries.len(), latest.order.len()), (1, 2, 2));
    }
}
