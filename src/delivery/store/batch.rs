//! One commit's transaction: removals, appends with their remembered ids, moves to the DLQ, forgetting; all or nothing.

use rusqlite::{CachedStatement, Connection, Transaction, TransactionBehavior, params};

use super::{
    Append, Counters, NonceUse, Removal, SpoolError,
    buckets::{BYTES_PER_ROW, Table, bucket},
    ids::{self, BYTES_PER_ID, Entry},
    known::{Id, Known, NO_EVENT_TIME, at, bound_to, remembered},
    row_id, second_of_seq,
};
use crate::{
    delivery::{Lane, submission::Sending},
    event::Record,
};

/// An open transaction and what its counters will be.
pub(in crate::delivery) struct Batch<'a> {
    pub(super) transaction: Transaction<'a>,
    connection: &'a Connection,
    /// The statement of every append, looked up once.
    insert: Option<CachedStatement<'a>>,
    committed: &'a mut Counters,
    pub(super) counters: Counters,
    accounts: &'a [i64],
    /// Remembered by this transaction, each with its event second; written when it is committed.
    ids: Vec<(i64, Entry)>,
    /// How many seconds of receipt a bucket covers.
    bucket_seconds: i64,
}

impl<'a> Batch<'a> {
    pub(super) fn begin(
        connection: &'a Connection,
        committed: &'a mut Counters,
        accounts: &'a [i64],
        bucket_seconds: i64,
    ) -> Result<Self, SpoolError> {
        let counters = *committed;
        // Unchecked, that it is the only one: the spool is borrowed mutably.
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        Ok(Self {
            transaction,
            connection,
            insert: None,
            committed,
            counters,
            accounts,
            ids: Vec::new(),
            bucket_seconds,
        })
    }

    /// The highest seq that was ever given, for the next start.
    pub(in crate::delivery) fn set_last_seq(&mut self, seq: u64) {
        self.counters.last_seq = seq;
    }

    /// Bytes of pending records, those of this transaction included.
    pub(in crate::delivery) fn bytes(&self) -> u64 {
        self.counters.bytes
    }

    pub(super) fn account(&self, index: usize) -> i64 {
        self.accounts.get(index).copied().unwrap_or(-1)
    }

    /// What is known of an id, with this transaction's.
    pub(in crate::delivery) fn known(&mut self, id: &Id) -> Result<Option<Known>, SpoolError> {
        let account = self.account(id.account);
        let same = |(second, entry): &&(i64, Entry)| {
            *second == id.event_time && entry.id == id.event_id && entry.account == account
        };
        let seq = match self.ids.iter().rev().find(same) {
            Some((_, entry)) => Some(entry.seq),
            None => remembered(&self.transaction, account, id.event_time, id.event_id)?,
        };
        seq.map_or(Ok(None), |seq| at(&self.transaction, seq))
    }

    /// Stores a record and remembers its id, where that is known.
    pub(in crate::delivery) fn append(&mut self, append: &Append) -> Result<(), SpoolError> {
        let Append { lane, seq, sending } = append;
        let Sending { record, account, received_at_ms, id, .. } = &**sending;
        let number = account.map_or(-1, |index| self.account(index));
        let insert = match &mut self.insert {
            Some(insert) => insert,
            none => {
                none.insert(self.connection.prepare_cached("INSERT INTO pending VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?)
            }
        };
        insert.execute(params![
            row_id(*lane, seq.0),
            number,
            received_at_ms,
            record.timestamp_ms,
            record.key.as_deref().map(str::as_bytes),
            record.headers.as_bytes(),
            record.value,
            id.map(|id| id.event_time),
            id.as_ref().map(|id| id.event_id.as_bytes().as_slice()),
        ])?;
        self.counters.records += 1;
        self.counters.bytes += size_of(record);
        self.counters.parked += u64::from(*lane == Lane::Parked);
        match id {
            Some(id) => self.remember(id, seq.0),
            None => Ok(()),
        }
    }

    /// Binds a signature to an event, unless it is bound. False when it is bound to another event.
    pub(in crate::delivery) fn bind(&mut self, used: &NonceUse) -> Result<bool, SpoolError> {
        let NonceUse { account, signature, event_id, received_s } = *used;
        let account = self.account(account);
        let bound = bound_to(&self.transaction, account, &signature, event_id)?;
        if bound.is_none() {
            let bucket = bucket(received_s, self.bucket_seconds);
            Table::Bound.insert(&self.transaction, bucket, &signature, account, event_id.as_bytes())?;
            self.counters.bound += 1;
        }
        Ok(bound != Some(false))
    }

    /// Remembers an id, or that its record is at another place now.
    pub(in crate::delivery) fn remember(&mut self, id: &Id, seq: u64) -> Result<(), SpoolError> {
        let account = self.account(id.account);
        if id.event_time == NO_EVENT_TIME {
            let (table, key) = (Table::Quarantined, id.event_id.as_bytes());
            if !table.update(&self.transaction, key, account, seq.cast_signed())? {
                let bucket = bucket(second_of_seq(seq), self.bucket_seconds);
                table.insert(&self.transaction, bucket, key, account, seq.cast_signed())?;
                self.counters.quarantined += 1;
            }
            return Ok(());
        }
        self.ids.push((id.event_time, Entry { id: id.event_id, account, seq }));
        self.counters.remembered += 1;
        Ok(())
    }

    /// Removes records. They are sorted here, so that runs of neighbours are one statement.
    pub(in crate::delivery) fn remove(&mut self, gone: &mut [Removal]) -> Result<(), SpoolError> {
        gone.sort_unstable_by_key(Removal::row_id);
        let mut delete = self.transaction.prepare_cached("DELETE FROM pending WHERE id BETWEEN ? AND ?")?;
        for run in gone.chunk_by(|left, right| left.row_id() + 1 == right.row_id()) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let removed = delete.execute([first.row_id(), last.row_id()])?;
            if removed == 0 {
                continue;
            }
            let bytes: u64 = run.iter().map(|removal| removal.bytes).sum();
            self.counters.records = self.counters.records.saturating_sub(removed as u64);
            self.counters.bytes = self.counters.bytes.saturating_sub(bytes);
            if first.lane == Lane::Parked {
                self.counters.parked = self.counters.parked.saturating_sub(removed as u64);
            }
        }
        Ok(())
    }

    /// Forgets about `limit` ids whose event time and receipt are both before `cutoff` (Unix seconds), the oldest first. Returns
    /// how many.
    pub(in crate::delivery) fn forget_ids(&mut self, cutoff: i64, limit: u64) -> Result<u64, SpoolError> {
        let forgotten = ids::forget(&self.transaction, cutoff, limit)?;
        self.counters.remembered = self.counters.remembered.saturating_sub(forgotten);
        Ok(forgotten)
    }

    /// Forgets up to `limit` rows of the buckets that end before `cutoff`, the oldest first. Returns how many.
    pub(in crate::delivery) fn forget_rows(
        &mut self,
        table: Table,
        cutoff: i64,
        limit: u64,
    ) -> Result<u64, SpoolError> {
        let forgotten = table.forget(&self.transaction, cutoff, limit)?;
        let count = match table {
            Table::Bound => &mut self.counters.bound,
            Table::Quarantined => &mut self.counters.quarantined,
        };
        *count = count.saturating_sub(forgotten);
        Ok(forgotten)
    }

    /// Forgets the oldest ids, or the oldest rows of the buckets where these take more, until the rest fits in `max_bytes`, about
    /// `limit` now. Returns how many.
    pub(in crate::delivery) fn forget_early(&mut self, max_bytes: u64, limit: u64) -> Result<u64, SpoolError> {
        let Counters { remembered, bound, quarantined, .. } = self.counters;
        let (ids, rows) = (remembered * BYTES_PER_ID, (bound + quarantined) * BYTES_PER_ROW);
        let over = (ids + rows).saturating_sub(max_bytes);
        if over == 0 {
            Ok(0)
        } else if rows > ids {
            let table = if bound > quarantined { Table::Bound } else { Table::Quarantined };
            self.forget_rows(table, i64::MAX, limit.min(over.div_ceil(BYTES_PER_ROW)))
        } else {
            self.forget_ids(i64::MAX, limit.min(over.div_ceil(BYTES_PER_ID)))
        }
    }

    /// Writes the counters and commits: fsynced when this returns.
    pub(in crate::delivery) fn commit(mut self) -> Result<(), SpoolError> {
        ids::write(&self.transaction, &mut self.ids)?;
        let Counters { last_seq, records, bytes, parked, remembered, bound, quarantined } = self.counters;
        let row = [last_seq, records, bytes, parked, remembered, bound, quarantined].map(u64::cast_signed);
        self.transaction
            .prepare_cached(
                "UPDATE counters SET last_seq = ?, records = ?, bytes = ?, parked = ?, remembered = ?, bound = ?, quarantined = ?",
            )?
            .execute(row)?;
        self.insert = None;
        self.transaction.commit()?;
        *self.committed = self.counters;
        Ok(())
    }
}

/// Bytes of a record as `spool.max_bytes` counts them.
pub(in crate::delivery) fn size_of(record: &Record) -> u64 {
    (record.key.as_deref().map_or(0, str::len) + record.headers.as_bytes().len() + record.value.len()) as u64
}
