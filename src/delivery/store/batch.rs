//! One commit's transaction: removals, appends with their remembered ids, moves to the DLQ, forgetting; all or nothing.

use rusqlite::{CachedStatement, Connection, Transaction, TransactionBehavior, params};

use super::{
    COUNTER_BITS, Counters, Removal, SpoolError,
    buckets::{BYTES_PER_ROW, Bound, Buckets, Table},
    ids::{self, BYTES_PER_ID, Entry, Key},
    known::{Id, Known, NO_EVENT_TIME, at, known},
    row_id,
};
use crate::{
    delivery::Lane,
    event::{EventId, Record},
};

/// One record to append.
#[derive(Debug, Clone, Copy)]
pub(in crate::delivery) struct Row<'a> {
    pub(in crate::delivery) lane: Lane,
    pub(in crate::delivery) seq: u64,
    /// Index into `Settings::accounts`; `None`: an account that is not configured any more.
    pub(in crate::delivery) account: Option<usize>,
    pub(in crate::delivery) received_at_ms: i64,
    pub(in crate::delivery) record: &'a Record,
    /// Not known of what a release before layout 5 stored.
    pub(in crate::delivery) id: Option<Id>,
}

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
    nonces: Buckets,
    quarantined: Buckets,
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
            nonces: Buckets::of(Table::Bound, bucket_seconds),
            quarantined: Buckets::of(Table::Quarantined, bucket_seconds),
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
        if let Some((_, entry)) = self.ids.iter().rev().find(same) {
            return at(&self.transaction, entry.seq);
        }
        known(&self.transaction, account, id, &mut self.quarantined)
    }

    /// Stores a record and remembers its id.
    pub(in crate::delivery) fn append(&mut self, row: &Row<'_>) -> Result<(), SpoolError> {
        self.insert(row)?;
        if let Some(id) = row.id {
            self.remember(&id, row.seq)?;
        }
        Ok(())
    }

    /// Binds a signature to an event, unless it is bound. False when it is bound to another event.
    pub(in crate::delivery) fn bind(
        &mut self,
        account: usize,
        signature: &[u8; 20],
        id: EventId,
        received_s: i64,
    ) -> Result<bool, SpoolError> {
        let account = self.account(account);
        let bound = self.nonces.bind(&self.transaction, account, signature, id, received_s)?;
        self.counters.bound += u64::from(bound == Bound::Now);
        Ok(bound != Bound::ToAnother)
    }

    /// Remembers an id, or that its record is at another place now.
    pub(in crate::delivery) fn remember(&mut self, id: &Id, seq: u64) -> Result<(), SpoolError> {
        let account = self.account(id.account);
        if id.event_time == NO_EVENT_TIME {
            let new = self.quarantined.remember(&self.transaction, account, id.event_id, seq)?;
            self.counters.quarantined += u64::from(new);
            return Ok(());
        }
        self.ids.push((id.event_time, Entry { id: id.event_id, account, seq }));
        self.counters.remembered += 1;
        Ok(())
    }

    pub(super) fn insert(&mut self, row: &Row<'_>) -> Result<(), SpoolError> {
        let record = row.record;
        let account = row.account.map_or(-1, |index| self.account(index));
        let insert = match &mut self.insert {
            Some(insert) => insert,
            none => {
                none.insert(self.connection.prepare_cached("INSERT INTO pending VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?)
            }
        };
        insert.execute(params![
            row_id(row.lane, row.seq),
            account,
            row.received_at_ms,
            record.timestamp_ms,
            record.key.as_deref().map(str::as_bytes),
            record.headers.as_bytes(),
            record.value,
            row.id.map(|id| id.event_time),
            row.id.as_ref().map(|id| id.event_id.as_bytes().as_slice()),
        ])?;
        self.counters.records += 1;
        self.counters.bytes += size_of(record);
        self.counters.parked += u64::from(row.lane == Lane::Parked);
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

    /// Looks at rows of ids behind `after`, of about `limit` ids, and forgets those whose event time and receipt are both before
    /// `cutoff` (Unix seconds). Returns where to go on, or `None` when the cutoff was reached.
    pub(in crate::delivery) fn forget(
        &mut self,
        after: Key,
        cutoff: i64,
        limit: usize,
    ) -> Result<Option<Key>, SpoolError> {
        Ok(self.forget_after(after, cutoff, cutoff.saturating_mul(1 << COUNTER_BITS), limit)?.0)
    }

    /// Forgets the oldest ids, or the oldest rows of the buckets where these take more, until the rest fits in `max_bytes`, about
    /// `limit` now. Returns how many.
    pub(in crate::delivery) fn forget_early(&mut self, max_bytes: u64, limit: usize) -> Result<u64, SpoolError> {
        let Counters { remembered, bound, quarantined, .. } = self.counters;
        let (ids, rows) = (remembered * BYTES_PER_ID, (bound + quarantined) * BYTES_PER_ROW);
        let over = (ids + rows).saturating_sub(max_bytes);
        if over == 0 {
            return Ok(0);
        }
        let each = if rows > ids { BYTES_PER_ROW } else { BYTES_PER_ID };
        let limit = limit.min(usize::try_from(over.div_ceil(each)).unwrap_or(usize::MAX));
        if rows > ids {
            let table = if bound > quarantined { Table::Bound } else { Table::Quarantined };
            return self.forget_buckets(table, i64::MAX, limit);
        }
        Ok(self.forget_after(Key::MIN, i64::MAX, i64::MAX, limit)?.1)
    }

    /// Forgets up to `limit` rows of the buckets that end before `cutoff`, the oldest first. Returns how many.
    pub(in crate::delivery) fn forget_buckets(
        &mut self,
        table: Table,
        cutoff: i64,
        limit: usize,
    ) -> Result<u64, SpoolError> {
        let (buckets, count) = match table {
            Table::Bound => (&self.nonces, &mut self.counters.bound),
            Table::Quarantined => (&self.quarantined, &mut self.counters.quarantined),
        };
        let forgotten = buckets.forget(&self.transaction, cutoff, limit)?;
        *count = count.saturating_sub(forgotten);
        Ok(forgotten)
    }

    fn forget_after(
        &mut self,
        after: Key,
        before: i64,
        seq: i64,
        limit: usize,
    ) -> Result<(Option<Key>, u64), SpoolError> {
        let (next, forgotten) = ids::forget(&self.transaction, after, before, seq, limit)?;
        self.counters.remembered = self.counters.remembered.saturating_sub(forgotten);
        Ok((next, forgotten))
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
