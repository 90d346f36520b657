//! One group commit: removals, appends with their remembered ids, moves to the DLQ, forgetting; all or nothing.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{
    BYTES_PER_ID, COUNTER_BITS, Counters, SpoolError,
    bound::BYTES_PER_BINDING,
    next_seq,
    recent::{Additions, Place, Recent, place},
    row_id,
};
use crate::{
    delivery::Lane,
    event::{EventId, Record},
};

/// One record to append.
#[derive(Debug, Clone, Copy)]
pub(in crate::delivery) struct Entry<'a> {
    pub(in crate::delivery) lane: Lane,
    pub(in crate::delivery) account: usize,
    pub(in crate::delivery) received_at_ms: i64,
    pub(in crate::delivery) record: &'a Record,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Appended {
    /// Stored under this seq, once the batch is committed.
    New(u64),
    /// Known already, and its first copy is still pending under this seq.
    Pending(u64),
    /// On its way past the spool under this seq, and stored under it all the same, once the batch is committed.
    Stored(u64),
    /// Known already, and gone to Kafka.
    Delivered,
    /// New, but the pending records have reached their bound.
    Full,
}

/// An open transaction and what its counters will be.
pub(in crate::delivery) struct Batch<'a> {
    pub(super) transaction: Transaction<'a>,
    connection: &'a Connection,
    /// The statement of every append, looked up once.
    insert: Option<CachedStatement<'a>>,
    committed: &'a mut Counters,
    pub(super) counters: Counters,
    recent: Additions<'a>,
    accounts: &'a [i64],
    /// Read when the first signature is to be bound.
    pub(super) live_buckets: Option<Vec<i64>>,
}

impl<'a> Batch<'a> {
    pub(super) fn begin(
        connection: &'a Connection,
        committed: &'a mut Counters,
        recent: &'a mut Recent,
        accounts: &'a [i64],
    ) -> Result<Self, SpoolError> {
        let counters = *committed;
        // Unchecked, that it is the only one: the spool is borrowed mutably.
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let recent = Additions::to(recent);
        Ok(Self { transaction, connection, insert: None, committed, counters, recent, accounts, live_buckets: None })
    }

    /// Remembers an id and stores its record, unless the id is known or the bound is reached.
    pub(in crate::delivery) fn append(
        &mut self,
        entry: &Entry<'_>,
        id: EventId,
        event_time: i64,
        max_bytes: u64,
    ) -> Result<Appended, SpoolError> {
        self.append_under(None, entry, id, event_time, max_bytes)
    }

    /// The same for a record that is on its way past the spool under `seq`.
    pub(in crate::delivery) fn append_after_all(
        &mut self,
        seq: u64,
        entry: &Entry<'_>,
        id: EventId,
        event_time: i64,
        max_bytes: u64,
    ) -> Result<Appended, SpoolError> {
        self.append_under(Some(seq), entry, id, event_time, max_bytes)
    }

    fn append_under(
        &mut self,
        seq: Option<u64>,
        entry: &Entry<'_>,
        id: EventId,
        event_time: i64,
        max_bytes: u64,
    ) -> Result<Appended, SpoolError> {
        let place = place(event_time, id, self.account(entry.account));
        if let Some(first) = known(&self.transaction, self.recent.so_far(), entry.lane, &place)? {
            return Ok(first);
        }
        if self.counters.bytes + size_of(entry.record) > max_bytes {
            return Ok(Appended::Full);
        }
        let next = next_seq(self.counters.last_seq, entry.received_at_ms);
        self.counters.last_seq = next;
        self.recent.add(place, seq.unwrap_or(next), next);
        self.counters.remembered += 1;
        self.insert(seq.unwrap_or(next), entry)?;
        Ok(seq.map_or(Appended::New(next), Appended::Stored))
    }

    pub(super) fn account(&self, index: usize) -> i64 {
        self.accounts.get(index).copied().unwrap_or(-1)
    }

    pub(super) fn insert(&mut self, seq: u64, entry: &Entry<'_>) -> Result<(), SpoolError> {
        let record = entry.record;
        let account = self.account(entry.account);
        let insert = match &mut self.insert {
            Some(insert) => insert,
            none => none.insert(self.connection.prepare_cached("INSERT INTO pending VALUES (?, ?, ?, ?, ?, ?, ?)")?),
        };
        insert.execute(params![
            row_id(entry.lane, seq),
            account,
            entry.received_at_ms,
            record.timestamp_ms,
            record.key.as_deref().map(str::as_bytes),
            record.headers.as_bytes(),
            record.value,
        ])?;
        self.counters.records += 1;
        self.counters.bytes += size_of(record);
        Ok(())
    }

    /// Removes acknowledged records. `acked` holds (seq, bytes) and is sorted here, so that runs of neighbours are one statement.
    pub(in crate::delivery) fn remove(&mut self, lane: Lane, acked: &mut [(u64, u64)]) -> Result<(), SpoolError> {
        acked.sort_unstable();
        let mut delete = self.transaction.prepare_cached("DELETE FROM pending WHERE id BETWEEN ? AND ?")?;
        for run in acked.chunk_by(|(left, _), (right, _)| left + 1 == *right) {
            let (Some((first, _)), Some((last, _))) = (run.first(), run.last()) else { continue };
            let removed = delete.execute([row_id(lane, *first), row_id(lane, *last)])?;
            let bytes: u64 = run.iter().map(|(_, bytes)| bytes).sum();
            self.counters.records = self.counters.records.saturating_sub(removed as u64);
            self.counters.bytes = self.counters.bytes.saturating_sub(bytes);
            if lane == Lane::Parked {
                self.counters.parked = self.counters.parked.saturating_sub(removed as u64);
            }
        }
        Ok(())
    }

    /// Stores a record without an identity to remember: a DLQ record whose first form was remembered. Returns its seq.
    pub(in crate::delivery) fn store(&mut self, entry: &Entry<'_>) -> Result<u64, SpoolError> {
        let seq = next_seq(self.counters.last_seq, entry.received_at_ms);
        self.counters.last_seq = seq;
        self.insert(seq, entry)?;
        if entry.lane == Lane::Parked {
            self.counters.parked += 1;
        }
        Ok(seq)
    }

    /// Sets a record of the DLQ lane aside: it is kept, shown, and not sent again.
    pub(in crate::delivery) fn park(&mut self, seq: u64) -> Result<(), SpoolError> {
        let ids = [row_id(Lane::Parked, seq), row_id(Lane::Dlq, seq)];
        let parked = self.transaction.prepare_cached("UPDATE pending SET id = ? WHERE id = ?")?.execute(ids)?;
        self.counters.parked += parked as u64;
        Ok(())
    }

    /// Forgets up to `limit` ids after `position`, recent ones aside, whose event time and receipt are both before `cutoff` (Unix seconds).
    /// Returns where to go on, or `None` when the cutoff was reached.
    pub(in crate::delivery) fn forget(
        &mut self,
        position: &Position,
        cutoff: i64,
        limit: usize,
    ) -> Result<Option<Position>, SpoolError> {
        Ok(self.forget_after(position, cutoff, cutoff.saturating_mul(1 << COUNTER_BITS), limit)?.0)
    }

    /// Forgets the oldest ids, or the oldest bindings where these take more, until the rest fits in `max_bytes`, at most
    /// `limit` now. Returns how many.
    pub(in crate::delivery) fn forget_early(&mut self, max_bytes: u64, limit: usize) -> Result<u64, SpoolError> {
        let (ids, bindings) = (self.counters.remembered * BYTES_PER_ID, self.counters.bound * BYTES_PER_BINDING);
        let over = (ids + bindings).saturating_sub(max_bytes);
        if over == 0 {
            return Ok(0);
        }
        let each = if bindings > ids { BYTES_PER_BINDING } else { BYTES_PER_ID };
        let limit = limit.min(usize::try_from(over.div_ceil(each)).unwrap_or(usize::MAX));
        if bindings > ids {
            return self.forget_bindings(i64::MAX, limit);
        }
        Ok(self.forget_after(&Position::default(), i64::MAX, i64::MAX, limit)?.1)
    }

    /// Looks at up to `limit` ids after `position` with an event time before `before`, and forgets those with a seq below
    /// `seq`. Returns where to go on, and how many were forgotten.
    fn forget_after(
        &mut self,
        position: &Position,
        before: i64,
        seq: i64,
        limit: usize,
    ) -> Result<(Option<Position>, u64), SpoolError> {
        let last = i64::try_from(limit).unwrap_or(i64::MAX).saturating_sub(1);
        let Position { event_time, event_id, account } = position;
        let next = self
            .transaction
            .prepare_cached(
                "SELECT event_time, event_id, account FROM remembered
                 WHERE (event_time, event_id, account) > (?, ?, ?) AND event_time < ?
                 ORDER BY event_time, event_id, account LIMIT 1 OFFSET ?",
            )?
            .query_row(params![event_time, event_id, account, before, last], |row| {
                Ok(Position { event_time: row.get(0)?, event_id: row.get(1)?, account: row.get(2)? })
            })
            .optional()?;
        // One range of the tree: the appends of this batch wait for it, and a statement per id takes several times as long.
        let end = next.clone().unwrap_or(Position { event_time: before, ..Position::default() });
        self.recent.forget(end.event_time);
        let forgotten = self
            .transaction
            .prepare_cached(
                "DELETE FROM remembered
                 WHERE (event_time, event_id, account) > (?, ?, ?) AND (event_time, event_id, account) <= (?, ?, ?) AND seq < ?",
            )?
            .execute(params![event_time, event_id, account, end.event_time, end.event_id, end.account, seq])?
            as u64;
        self.counters.remembered = self.counters.remembered.saturating_sub(forgotten);
        Ok((next, forgotten))
    }

    /// Moves up to `limit` recent ids to their places, when they are many.
    pub(in crate::delivery) fn move_some_ids(&mut self, limit: usize) -> Result<(), SpoolError> {
        self.recent.move_some(&self.transaction, limit, self.committed.last_seq)
    }

    /// Writes the counters and commits: fsynced when this returns.
    pub(in crate::delivery) fn commit(mut self) -> Result<(), SpoolError> {
        let Counters { last_seq, records, bytes, parked, remembered, bound } = self.counters;
        let row = [last_seq, records, bytes, parked, remembered, bound].map(u64::cast_signed);
        self.transaction
            .prepare_cached(
                "UPDATE counters SET last_seq = ?, records = ?, bytes = ?, parked = ?, remembered = ?, bound = ?",
            )?
            .execute(row)?;
        self.recent.write(&self.transaction)?;
        self.transaction.commit()?;
        self.recent.keep();
        *self.committed = self.counters;
        Ok(())
    }
}

/// What the spool knows of an id, if anything.
pub(super) fn known(
    connection: &Connection,
    recent: &Recent,
    lane: Lane,
    place: &Place,
) -> Result<Option<Appended>, SpoolError> {
    let Some(seq) = recent.seq_of(place, connection)? else { return Ok(None) };
    let pending = connection.prepare_cached("SELECT 1 FROM pending WHERE id = ?")?.exists([row_id(lane, seq)])?;
    Ok(Some(if pending { Appended::Pending(seq) } else { Appended::Delivered }))
}

/// A place among the remembered ids, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::delivery) struct Position {
    event_time: i64,
    event_id: Vec<u8>,
    account: i64,
}

impl Default for Position {
    /// Before the first one.
    fn default() -> Self {
        Self { event_time: i64::MIN, event_id: Vec::new(), account: i64::MIN }
    }
}

/// Bytes of a record as `spool.max_bytes` counts them.
pub(in crate::delivery) fn size_of(record: &Record) -> u64 {
    (record.key.as_deref().map_or(0, str::len) + record.headers.as_bytes().len() + record.value.len()) as u64
}
