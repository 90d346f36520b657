//! Which events are known: the ids of the latest event seconds, and those that are not on disk yet.
//!
//! Above the *horizon*, an event second, this index knows every id, so that what it does not hold is new. Below it the store
//! decides, in the transaction that would store the event; only the ids that the store does not have yet are held here too.
//! Does not depend on I/O, clocks, SQLite or Kafka.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

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
    seconds: BTreeMap<i64, HashMap<K, Held<P>>>,
    /// Ids that the next commits write, by their number, in the order in which they became due.
    due: BTreeMap<u64, (i64, K)>,
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

impl<K: Copy + Eq + Hash, P: Copy> Memory<K, P> {
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
        self.next += 1;
        self.due.insert(number, (second, key));
        self.evict();
    }

    /// The event was stored, and its id with it.
    pub(in crate::delivery) fn stored(&mut self, second: i64, key: &K) {
        let Some(held) = self.get_mut(second, key) else { return };
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
        due.filter_map(|(number, (second, key))| {
            let place = self.seconds.get(second)?.get(key)?.place;
            Some(Due { number: *number, second: *second, key: *key, place })
        })
        .collect()
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
            let Some((second, key)) = self.due.values().next().copied() else { break };
            self.forget(second, &key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Index = Memory<u32, char>;

    fn index(horizon: i64, held: usize) -> Index {
        Index::new(horizon, Limits { held, due: 3 })
    }

    /// Holds these ids as acknowledged, each at the event second of its number.
    fn acked(memory: &mut Index, ids: std::ops::RangeInclusive<u32>) {
        for id in ids {
            memory.insert(id.into(), id, 'a');
            memory.acked(id.into(), id);
        }
    }

    fn keys(due: &[Due<u32, char>]) -> Vec<u32> {
        due.iter().map(|due| due.key).collect()
    }

    #[test]
    fn above_the_horizon_what_is_not_held_is_new_and_below_it_the_store_decides() {
        let mut memory = index(100, 10);
        assert_eq!(memory.find(101, &1), Found::New);
        assert_eq!(memory.find(100, &1), Found::AskStore);
        memory.insert(101, 1, 'a');
        assert_eq!(memory.find(101, &1), Found::Known('a'));
        assert_eq!(memory.find(101, &2), Found::New);
    }

    #[test]
    fn the_id_of_an_event_that_is_in_memory_only_is_not_written() {
        let mut memory = index(0, 10);
        memory.insert(1, 1, 'a');
        assert!(!memory.has_due());
        memory.acked(1, 1);
        assert_eq!(keys(&memory.due(10)), [1]);
    }

    #[test]
    fn an_id_that_the_store_lacks_is_held_below_the_horizon_too_until_it_is_saved() {
        let mut memory = index(100, 10);
        memory.insert(50, 1, 'a');
        memory.acked(50, 1);
        let due = memory.due(10);
        assert_eq!(memory.find(50, &1), Found::Known('a'), "while the commit runs");
        memory.saved(&due);
        assert_eq!((memory.find(50, &1), memory.len(), memory.has_due()), (Found::AskStore, 0, false));
        memory.insert(50, 2, 'a');
        memory.stored(50, &2);
        assert_eq!((memory.find(50, &2), memory.len()), (Found::AskStore, 0));
    }

    #[test]
    fn an_id_that_moved_while_it_was_written_is_written_again() {
        let mut memory = index(0, 10);
        acked(&mut memory, 1..=1);
        let due = memory.due(10);
        memory.insert(1, 1, 'b');
        memory.saved(&due);
        assert_eq!(memory.find(1, &1), Found::Known('b'));
        memory.acked(1, 1);
        assert_eq!(memory.due(10).first().map(|due| due.place), Some('b'));
    }

    #[test]
    fn above_its_limit_the_oldest_seconds_are_left_to_the_store() {
        let mut memory = index(0, 3);
        acked(&mut memory, 1..=3);
        memory.saved(&memory.due(2));
        acked(&mut memory, 4..=4);
        assert_eq!(memory.len(), 3);
        assert_eq!(memory.find(1, &1), Found::AskStore);
        assert_eq!(memory.find(1, &9), Found::AskStore, "its second is below the horizon now");
        assert_eq!(memory.find(2, &2), Found::Known('a'));
    }

    #[test]
    fn ids_that_the_store_lacks_are_forgotten_last_and_the_oldest_first() {
        let mut memory = index(0, 1);
        acked(&mut memory, 1..=4);
        assert_eq!(memory.len(), 3);
        assert_eq!(memory.find(1, &1), Found::AskStore);
        assert_eq!(memory.find(2, &2), Found::Known('a'));
    }

    #[test]
    fn an_id_of_the_future_is_learnt_from_the_store_at_a_start() {
        let mut memory = index(100, 10);
        memory.learn(4000, 7, 'z');
        assert_eq!(memory.find(4000, &7), Found::Known('z'));
        assert!(!memory.has_due());
    }

    #[test]
    fn an_event_that_was_given_up_is_new_again() {
        let mut memory = index(0, 10);
        acked(&mut memory, 1..=1);
        memory.forget(1, &1);
        assert_eq!((memory.find(1, &1), memory.has_due(), memory.len()), (Found::New, false, 0));
    }
}
