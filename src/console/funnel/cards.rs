//! Which channel a card came by: the latest cards, by a hash of the code. No code is kept.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState},
    sync::Arc,
};

/// Cards whose channel is remembered, so that what happens to them later counts for it.
const CARDS: usize = 20_000;

/// A map whose keys are hashes already.
pub(super) type ByHash<V> = HashMap<u64, V, BuildHasherDefault<AsItIs>>;

/// Hashes a hash to itself.
#[derive(Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Cards {
    channels: ByHash<Option<Arc<str>>>,
    order: VecDeque<u64>,
    hasher: RandomState,
}

impl Cards {
    fn key(&self, account: usize, code: &str) -> u64 {
        self.hasher.hash_one((account, code))
    }

    pub(super) fn remember(&mut self, account: usize, code: &str, channel: Option<Arc<str>>) {
        let key = self.key(account, code);
        if self.channels.insert(key, channel).is_none() {
            self.order.push_back(key);
            if self.order.len() > CARDS
                && let Some(oldest) = self.order.pop_front()
            {
                self.channels.remove(&oldest);
            }
        }
    }

    pub(super) fn channel(&self, account: usize, code: &str) -> Option<&str> {
        self.channels.get(&self.key(account, code))?.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_card_is_forgotten_first() {
        let mut cards = Cards::default();
        for number in 0..=CARDS {
            cards.remember(0, &number.to_string(), Some("poster".into()));
        }
        assert_eq!((cards.channel(0, "0"), cards.channel(0, "1")), (None, Some("poster")));
        assert_eq!((cards.channels.len(), cards.order.len()), (CARDS, CARDS));
    }
}
