//! The spool alone, as its writer uses it, for `benches/dedup`. It is no part of the interface and refuses to know lanes,
//! tickets and Kafka: what it appends counts as acknowledged in the next commit.

use std::path::Path;

use super::{
    Lane,
    forget::AT_ONCE,
    spool::{Appended, Entry, IDS_MOVED, Position, Spool, SpoolError, size_of},
};
use crate::event::{EventId, Record};

/// A spool whose forwarder keeps up.
#[derive(Debug)]
pub struct Measured {
    spool: Spool,
    acked: Vec<(u64, u64)>,
}

impl Measured {
    /// Opens or creates the spool in a folder.
    ///
    /// # Errors
    /// As a service's start.
    pub fn open(folder: &Path) -> Result<Self, SpoolError> {
        Ok(Self { spool: Spool::open(folder, &["shop".to_owned()])?, acked: Vec::new() })
    }

    /// Ids that are remembered.
    #[must_use]
    pub fn remembered(&self) -> u64 {
        self.spool.counters().remembered
    }

    /// One group commit: the last one's records are removed, `record` is appended under each id (with its event time, Unix
    /// seconds), and ids older than `forget_before` are forgotten, as many as the writer forgets in one.
    ///
    /// # Errors
    /// As the writer's.
    pub fn commit(
        &mut self,
        record: &Record,
        ids: impl Iterator<Item = (EventId, i64)>,
        forget_before: Option<i64>,
    ) -> Result<(), SpoolError> {
        let mut batch = self.spool.batch()?;
        batch.remove(Lane::Events, &mut self.acked)?;
        self.acked.clear();
        for (id, event_time) in ids {
            let entry = Entry { lane: Lane::Events, account: 0, received_at_ms: event_time * 1000, record };
            if let Appended::New(seq) = batch.append(&entry, id, event_time, u64::MAX)? {
                self.acked.push((seq, size_of(record)));
            }
        }
        if let Some(cutoff) = forget_before {
            batch.forget(&Position::default(), cutoff, AT_ONCE)?;
        }
        batch.move_some_ids(IDS_MOVED * self.acked.len())?;
        batch.commit()?;
        self.spool.move_log_when_due()
    }

    /// As a stop.
    pub fn close(mut self) {
        self.spool.tidy();
    }
}
