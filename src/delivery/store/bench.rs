//! The spool alone, as its worker uses it, for `benches/dedup`. It is no part of the interface; what is appended counts as
//! acknowledged in the next commit.

use std::{path::Path, sync::Arc};

use super::{Append, Id, Removal, Spool, SpoolError, forgetter::AT_ONCE, seq_of_second, size_of};
use crate::{
    delivery::{Lane, pending::Seq, submission::Sending},
    event::{EventId, Record},
};

/// A spool whose records are acknowledged at once.
#[derive(Debug)]
pub struct Measured {
    spool: Spool,
    acked: Vec<Removal>,
    last_seq: u64,
}

impl Measured {
    /// Opens or creates the spool in a folder.
    ///
    /// # Errors
    /// As a service's start.
    pub fn open(folder: &Path) -> Result<Self, SpoolError> {
        let spool = Spool::open(folder, &["shop".to_owned()])?;
        let last_seq = spool.counters().last_seq;
        Ok(Self { spool, acked: Vec::new(), last_seq })
    }

    /// Ids that are remembered.
    #[must_use]
    pub fn remembered(&self) -> u64 {
        self.spool.counters().remembered
    }

    /// One commit: the last one's records are removed, `record` is appended under each id (with its event time, Unix
    /// seconds), and ids older than `forget_before` are forgotten, as many as the worker forgets in one.
    ///
    /// # Errors
    /// As the worker's.
    pub fn commit(
        &mut self,
        record: &Record,
        ids: impl Iterator<Item = (EventId, i64)>,
        forget_before: Option<i64>,
    ) -> Result<(), SpoolError> {
        let mut batch = self.spool.batch()?;
        batch.remove(&mut self.acked)?;
        self.acked.clear();
        for (event_id, event_time) in ids {
            self.last_seq = seq_of_second(event_time).max(self.last_seq + 1);
            let (lane, seq, received_at_ms) = (Lane::Events, Seq(self.last_seq), event_time * 1000);
            let id = Some(Id { account: 0, event_time, event_id });
            let sending = Sending { record: record.clone(), account: Some(0), received_at_ms, id, signature: None };
            batch.append(&Append { lane, seq, sending: Arc::new(sending) })?;
            self.acked.push(Removal { lane, seq, bytes: size_of(record) });
        }
        if let Some(cutoff) = forget_before {
            batch.forget_ids(cutoff, AT_ONCE)?;
        }
        batch.set_last_seq(self.last_seq);
        batch.commit()?;
        self.spool.move_log_when_due()
    }

    /// As a stop.
    pub fn close(mut self) {
        self.spool.tidy();
    }
}
