//! The ids of events that went past a failing spool: known in memory only, and a bounded number of them.

use std::collections::{HashMap, VecDeque};

use super::Submission;
use crate::event::EventId;

/// Events past a failing spool whose ids are remembered, in memory.
const UNSAVED: usize = 65_536;

/// The ids of events that are past a failing spool: remembered in memory, the oldest forgotten first.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    seqs: HashMap<(usize, EventId), u64>,
    order: VecDeque<(usize, EventId)>,
}

impl Unsaved {
    pub(super) fn get(&self, submission: &Submission) -> Option<u64> {
        if self.seqs.is_empty() {
            return None;
        }
        self.seqs.get(&(submission.account, submission.event_id)).copied()
    }

    pub(super) fn insert(&mut self, identity: (usize, EventId), seq: u64) {
        if self.order.len() >= UNSAVED
            && let Some(oldest) = self.order.pop_front()
        {
            self.seqs.remove(&oldest);
        }
        self.order.push_back(identity);
        self.seqs.insert(identity, seq);
    }
}
