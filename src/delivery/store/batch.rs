//! One commit's transaction: removals, appends with their remembered ids, moves to the DLQ, forgetting; all or nothing.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{
    COUNTER_BITS, Counters, SpoolError,
    buckets::{BYTES_PER_ROW, Table, buckets, quarantined_seq},
    ids::{self, BYTES_PER_ID, Entry, Key},
    reader::{COLUMNS, stored},
    row_id,
};
use crate::{
    delivery::Lane,
    event::{EventId, Record},
};

/// The event time of what has none: a quarantined push.
pub(in crate::delivery) const NO_EVENT_TIME: i64 = 0;

/// Names an event.
#[expect(clippy::struct_field_names, reason = "an id has many parts, and this one is called the event's id")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::delivery) struct Id {
    /// Index into `Settings::accounts`.
    pub(in crate::delivery) account: usize,
    /// Unix seconds; 0 for a quarantined push.
    pub(in crate::delivery) event_time: i64,
    pub(in crate::delivery) event_id: EventId,
}

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

/// Where a remembered event's record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) struct Known {
    /// The lane in which it is pending; `None`: it is in Kafka.
    pub(in crate::delivery) lane: Option<Lane>,
    pub(in crate::delivery) seq: u64,
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
    pub(super) bucket_seconds: i64,
    /// Remembered by this transaction, each with its event second; written when it is committed.
    ids: Vec<(i64, Entry)>,
    /// Read when they are first needed.
    pub(super) live_nonces: Option<Vec<i64>>,
    pub(super) live_quarantined: Option<Vec<i64>>,
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
            bucket_seconds,
            ids: Vec::new(),
            live_nonces: None,
            live_quarantined: None,
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
        known(&self.transaction, account, id, &mut self.live_quarantined)
    }

    /// Stores a record and remembers its id.
    pub(in crate::delivery) fn append(&mut self, row: &Row<'_>) -> Result<(), SpoolError> {
        self.insert(row)?;
        if let Some(id) = row.id {
            self.remember(&id, row.seq)?;
        }
        Ok(())
    }

    /// Remembers an id, or that its record is at another place now.
    pub(in crate::delivery) fn remember(&mut self, id: &Id, seq: u64) -> Result<(), SpoolError> {
        let account = self.account(id.account);
        if id.event_time == NO_EVENT_TIME {
            return self.remember_quarantined(account, id.event_id, seq);
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

    /// Removes records. `gone` holds (seq, bytes) and is sorted here, so that runs of neighbours are one statement.
    pub(in crate::delivery) fn remove(&mut self, lane: Lane, gone: &mut [(u64, u64)]) -> Result<(), SpoolError> {
        gone.sort_unstable();
        let mut delete = self.transaction.prepare_cached("DELETE FROM pending WHERE id BETWEEN ? AND ?")?;
        for run in gone.chunk_by(|(left, _), (right, _)| left + 1 == *right) {
            let (Some((first, _)), Some((last, _))) = (run.first(), run.last()) else { continue };
            let removed = delete.execute([row_id(lane, *first), row_id(lane, *last)])?;
            if removed == 0 {
                continue;
            }
            let bytes: u64 = run.iter().map(|(_, bytes)| bytes).sum();
            self.counters.records = self.counters.records.saturating_sub(removed as u64);
            self.counters.bytes = self.counters.bytes.saturating_sub(bytes);
            if lane == Lane::Parked {
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

    /// Looks at rows behind `after` with an event time before `before`, until they hold `limit` ids, and forgets those with seqs
    /// below `seq`. Returns where to go on, and how many ids were forgotten.
    fn forget_after(
        &mut self,
        after: Key,
        before: i64,
        seq: i64,
        limit: usize,
    ) -> Result<(Option<Key>, u64), SpoolError> {
        let (end, _) = ids::keys_of(before);
        let (mut looked_at, mut forgotten, mut last) = (0, 0, None);
        let rows = "SELECT key, seq, length(ids) FROM remembered WHERE key > ? AND key < ? ORDER BY key";
        let mut rows = self.transaction.prepare_cached(rows)?;
        let mut rows = rows.query([after, end])?;
        while looked_at < limit as u64 {
            last = match rows.next()? {
                None => break,
                Some(row) => {
                    let ids = ids::count(row.get(2)?);
                    looked_at += ids;
                    if row.get::<_, i64>(1)? < seq {
                        forgotten += ids;
                    }
                    Some(row.get(0)?)
                }
            };
        }
        let next = last.filter(|_| looked_at >= limit as u64);
        if let Some(last) = last {
            // One range of the tree: the appends of this batch wait for it.
            let delete = "DELETE FROM remembered WHERE key > ? AND key <= ? AND seq < ?";
            self.transaction.prepare_cached(delete)?.execute([after, last, seq])?;
        }
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

/// What the spool knows of an id, if anything. One whose pending record does not read is not known: its re-delivery is the
/// only copy that there is.
pub(super) fn known(
    connection: &Connection,
    account: i64,
    id: &Id,
    live: &mut Option<Vec<i64>>,
) -> Result<Option<Known>, SpoolError> {
    let mut seq = None;
    if id.event_time == NO_EVENT_TIME {
        let live = match live {
            Some(live) => live,
            unread => unread.insert(buckets(connection, Table::Quarantined)?),
        };
        seq = quarantined_seq(connection, live, account, id.event_id)?;
    }
    if seq.is_none() {
        seq = ids::find(connection, account, id.event_time, id.event_id)?;
    }
    seq.map_or(Ok(None), |seq| at(connection, seq))
}

fn at(connection: &Connection, seq: u64) -> Result<Option<Known>, SpoolError> {
    Ok(lane_of(connection, seq)?.map(|lane| Known { lane, seq }))
}

/// The lane in which a seq is pending, if any; `None` when its record is there and does not read.
#[expect(clippy::option_option, reason = "whether it reads, and where it is")]
pub(super) fn lane_of(connection: &Connection, seq: u64) -> Result<Option<Option<Lane>>, SpoolError> {
    let mut row = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM pending WHERE id = ?"))?;
    for lane in Lane::ALL {
        let found = row.query_row([row_id(lane, seq)], |row| Ok(stored(row).is_ok())).optional()?;
        if let Some(reads) = found {
            return Ok(reads.then_some(Some(lane)));
        }
    }
    Ok(Some(None))
}

/// Bytes of a record as `spool.max_bytes` counts them.
pub(in crate::delivery) fn size_of(record: &Record) -> u64 {
    (record.key.as_deref().map_or(0, str::len) + record.headers.as_bytes().len() + record.value.len()) as u64
}
