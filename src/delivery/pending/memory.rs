//! Which events are known: the ids of the latest event seconds, and those that are not on disk yet.
//!
//! Above the *horizon*, an event second, this index knows every id, so that what it does not hold is new. Below it the store
//! decides, in the transaction that would store the event; only the ids that the store does not have yet are held here too.
//! Does not depend on I/O, clocks, SQLite or Kafka.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use foldhash::fast::RandomState;

/// Whether an event was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Found<P> {
    /// Never within the window.
    New,
    /// Yes, and this is its place.
    Known(P),
    /// The store has to say.
    AskStore,
}

/// The index. `K` names an event (account and id), `P` says where its record is.
#[derive(Debug)]
pub(in crate::delivery) struct Memory<K, P> {
    /// Every id with a later event second is held here.
    horizon: i64,
    /// By event second, so that the oldest seconds are evicted as a whole.
    seconds: BTreeMap<i64, HashMap<K, Held<P>, RandomState>>,
    /// Ids that the next commits write, by their number, in the order in which they became due.
    due: BTreeMap<u64, (i64, K, P)>,
    held: usize,
    next: u64,
    limits: Limits,
}

/// How many ids an index holds.
#[derive(Debug, Clone, Copy)]
pub(in crate::delivery) struct Limits {
    /// Above this the oldest seconds are left to the store, but for ids that it lacks.
    pub(in crate::delivery) held: usize,
    /// Above this the oldest ids that the store should have got are forgotten: the disk has failed for long.
    pub(in crate::delivery) due: usize,
}

#[derive(Debug)]
struct Held<P> {
    place: P,
    saved: Saved,
}

/// Whether the store has an id. It may have one only when the event is acknowledged, or stored with it: else a crash would
/// leave the id without the event, and its re-delivery would be called a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saved {
    /// No, and it must not.
    No,
    /// Not yet: a commit is to write it, or writes it now. Its number.
    Due(u64),
    Yes,
}

/// An id that a commit writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) struct Due<K, P> {
    number: u64,
    pub(in crate::delivery) second: i64,
    pub(in crate::delivery) key: K,
    pub(in crate::delivery) place: P,
}

impl<K: Copy + Eq + Hash, P: Copy + PartialEq> Memory<K, P> {
    /// An index with these limits. `horizon` is the newest event second of the store, as far as it is not ahead of
    /// the clock; the ids behind it (of pushes dated in the future) are to be [`learn`](Self::learn)t.
    pub(in crate::delivery) fn new(horizon: i64, limits: Limits) -> Self {
        Self { horizon, seconds: BTreeMap::new(), due: BTreeMap::new(), held: 0, next: 0, limits }
    }

    /// What is known of an event of this second.
    pub(in crate::delivery) fn find(&self, second: i64, key: &K) -> Found<P> {
        match self.seconds.get(&second).and_then(|ids| ids.get(key)) {
            Some(held) => Found::Known(held.place),
            None if second > self.horizon => Found::New,
            None => Found::AskStore,
        }
    }

    /// Holds the id of a new event, or says that the event's record is at another place now. The store must not have it yet.
    pub(in crate::delivery) fn insert(&mut self, second: i64, key: K, place: P) {
        match self.seconds.entry(second).or_default().insert(key, Held { place, saved: Saved::No }) {
            Some(Held { saved: Saved::Due(number), .. }) => drop(self.due.remove(&number)),
            Some(Held { saved: Saved::No | Saved::Yes, .. }) => {}
            None => self.held += 1,
        }
        self.evict();
    }

    /// Holds an id that the store has.
    pub(in crate::delivery) fn learn(&mut self, second: i64, key: K, place: P) {
        if second > self.horizon && !self.seconds.get(&second).is_some_and(|ids| ids.contains_key(&key)) {
            self.seconds.entry(second).or_default().insert(key, Held { place, saved: Saved::Yes });
            self.held += 1;
            self.evict();
        }
    }

    fn get_mut(&mut self, second: i64, key: &K) -> Option<&mut Held<P>> {
        self.seconds.get_mut(&second)?.get_mut(key)
    }

    /// The event is acknowledged: the next commit writes its id.
    pub(in crate::delivery) fn acked(&mut self, second: i64, key: K) {
        let number = self.next;
        let Some(held) = self.get_mut(second, &key).filter(|held| held.saved == Saved::No) else { return };
        held.saved = Saved::Due(number);
        let place = held.place;
        self.next += 1;
        self.due.insert(number, (second, key, place));
        self.evict();
    }

    /// The event was stored at this place, and its id with it. One that is at another place by now is to be stored there.
    pub(in crate::delivery) fn stored(&mut self, second: i64, key: &K, place: P) {
        let Some(held) = self.get_mut(second, key).filter(|held| held.place == place) else { return };
        if let Saved::Due(number) = std::mem::replace(&mut held.saved, Saved::Yes) {
            self.due.remove(&number);
        }
        self.drop_below_horizon(second, key);
        self.evict();
    }

    /// The event was given up and its record is gone: the next delivery of it is new.
    pub(in crate::delivery) fn forget(&mut self, second: i64, key: &K) {
        let Some(ids) = self.seconds.get_mut(&second) else { return };
        let Some(held) = ids.remove(key) else { return };
        if ids.is_empty() {
            self.seconds.remove(&second);
        }
        self.held -= 1;
        if let Saved::Due(number) = held.saved {
            self.due.remove(&number);
        }
    }

    /// The ids that a commit is to write, the oldest first, `limit` at most. They stay due until [`saved`](Self::saved): what a
    /// failed commit should have written is given again.
    pub(in crate::delivery) fn due(&self, limit: usize) -> Vec<Due<K, P>> {
        let due = self.due.iter().take(limit);
        due.map(|(&number, &(second, key, place))| Due { number, second, key, place }).collect()
    }

    /// The commit that wrote these ids is on disk.
    pub(in crate::delivery) fn saved(&mut self, ids: &[Due<K, P>]) {
        for Due { number, second, key, .. } in ids {
            self.due.remove(number);
            // One that has got another place meanwhile is to be written again.
            let same = self.get_mut(*second, key).filter(|held| held.saved == Saved::Due(*number));
            if let Some(held) = same {
                held.saved = Saved::Yes;
                self.drop_below_horizon(*second, key);
            }
        }
        self.evict();
    }

    /// Ids that are to be written.
    pub(in crate::delivery) fn due_len(&self) -> usize {
        self.due.len()
    }

    /// Whether ids are to be written.
    pub(in crate::delivery) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Ids held.
    #[cfg(test)]
    pub(in crate::delivery) fn len(&self) -> usize {
        self.held
    }

    /// Below the horizon only what the store lacks is held.
    fn drop_below_horizon(&mut self, second: i64, key: &K) {
        if second <= self.horizon {
            self.forget(second, key);
        }
    }

    /// Keeps the limits.
    fn evict(&mut self) {
        while self.held > self.limits.held {
            let above = self.seconds.range(self.horizon.saturating_add(1)..).next().map(|(second, _)| *second);
            let Some(second) = above else { break };
            self.horizon = second;
            let Some(ids) = self.seconds.get_mut(&second) else { break };
            let before = ids.len();
            ids.retain(|_, held| held.saved != Saved::Yes);
            self.held -= before - ids.len();
            if ids.is_empty() {
                self.seconds.remove(&second);
            }
        }
        while self.due.len() > self.limits.due {
            let Some((second, key, _)) = self.due.values().next().copied() else { break };
            self.forget(second, &key);
        }
    }
}

#[cfg(test)]
mod tests;
