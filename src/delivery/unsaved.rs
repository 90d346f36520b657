//! What is known of events that went past a failing spool: in memory only, and of a bounded number of them.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

use super::Submission;
use crate::event::EventId;

/// Events past a failing spool that are remembered, in memory.
const UNSAVED: usize = 65_536;

/// Ids and bindings of events that are past a failing spool, the oldest forgotten first.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    seqs: Recent<(usize, EventId), u64>,
    bound: Recent<(usize, [u8; 20]), EventId>,
}

impl Unsaved {
    pub(super) fn get(&self, submission: &Submission) -> Option<u64> {
        self.seqs.get(&(submission.account, submission.event_id))
    }

    /// It is stored after all.
    pub(super) fn forget(&mut self, submission: &Submission) {
        self.seqs.remove(&(submission.account, submission.event_id));
    }

    /// The event that this signature came with.
    pub(super) fn bound(&self, account: usize, signature: &[u8; 20]) -> Option<EventId> {
        self.bound.get(&(account, *signature))
    }

    pub(super) fn insert(&mut self, account: usize, event_id: EventId, signature: Option<[u8; 20]>, seq: u64) {
        self.seqs.insert((account, event_id), seq);
        if let Some(signature) = signature {
            self.bound.insert((account, signature), event_id);
        }
    }
}

/// A map that holds the youngest entries only.
#[derive(Debug)]
struct Recent<K, V> {
    entries: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Copy + Eq + Hash, V: Copy> Recent<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        if self.entries.is_empty() {
            return None;
        }
        self.entries.get(key).copied()
    }

    fn remove(&mut self, key: &K) {
        if self.entries.remove(key).is_some() {
            self.order.retain(|other| other != key);
        }
    }

    fn insert(&mut self, key: K, value: V) {
        if self.entries.insert(key, value).is_some() {
            return;
        }
        if self.order.len() >= UNSAVED
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
        self.order.push_back(key);
    }
}
