//! What is remembered by receipt: nonce uses, and the ids of quarantined pushes, which have no event time.
//!
//! Both come in no order: in one tree of a whole window's rows each insert would touch another cold page. They stand in buckets
//! by receipt, so that inserts stay within the newest one and the oldest is forgotten as a whole. A bucket is named by the
//! second in which it ends: that says when it is old, whatever the window was when it was begun.

use rusqlite::{Connection, OptionalExtension, params};

use super::{SpoolError, second_of_seq};
use crate::event::EventId;

/// Bytes that one row takes in pages that inserts in no order have left two thirds full.
pub(super) const BYTES_PER_ROW: u64 = 70;

/// A table of buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Table {
    /// Which event a signature of timestamp and nonce came with first.
    Bound,
    /// Ids of quarantined pushes.
    Quarantined,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Quarantined => "quarantined",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Bound => "signature",
            Self::Quarantined => "event_id",
        }
    }
}

/// One of the tables in one transaction.
pub(super) struct Buckets {
    table: Table,
    /// How long a bucket is.
    seconds: i64,
    /// Those that hold something, once they were read.
    live: Option<Vec<i64>>,
}

/// What became of a signature that was to be bound to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Now,
    Before,
    /// To another event.
    ToAnother,
}

impl Buckets {
    pub(super) fn of(table: Table, seconds: i64) -> Self {
        Self { table, seconds, live: None }
    }

    /// Those that hold something, the oldest first.
    pub(super) fn live(&mut self, connection: &Connection) -> Result<&mut Vec<i64>, SpoolError> {
        match &mut self.live {
            Some(live) => Ok(live),
            unread => Ok(unread.insert(buckets(connection, self.table)?)),
        }
    }

    /// Binds a signature to an event, unless it is bound.
    pub(super) fn bind(
        &mut self,
        connection: &Connection,
        account: i64,
        signature: &[u8; 20],
        id: EventId,
        received_s: i64,
    ) -> Result<Bound, SpoolError> {
        let bucket = self.bucket(received_s);
        let live = self.live(connection)?;
        match bound_to(connection, live, account, signature, id)? {
            Some(true) => return Ok(Bound::Before),
            Some(false) => return Ok(Bound::ToAnother),
            None => {}
        }
        let mut insert = connection.prepare_cached("INSERT INTO bound VALUES (?, ?, ?, ?)")?;
        insert.execute(params![bucket, signature, account, id.as_bytes()])?;
        if !live.contains(&bucket) {
            live.push(bucket);
        }
        Ok(Bound::Now)
    }

    /// Remembers the id of a quarantined push, or that its record is at another place now. Whether the id is new.
    pub(super) fn remember(
        &mut self,
        connection: &Connection,
        account: i64,
        id: EventId,
        seq: u64,
    ) -> Result<bool, SpoolError> {
        let bucket = self.bucket(second_of_seq(seq));
        let live = self.live(connection)?;
        let update = "UPDATE quarantined SET seq = ? WHERE bucket = ? AND event_id = ? AND account = ?";
        let mut update = connection.prepare_cached(update)?;
        for bucket in live.iter().rev() {
            if update.execute(params![seq.cast_signed(), bucket, id.as_bytes(), account])? > 0 {
                return Ok(false);
            }
        }
        let mut insert = connection.prepare_cached("INSERT INTO quarantined VALUES (?, ?, ?, ?)")?;
        insert.execute(params![bucket, id.as_bytes(), account, seq.cast_signed()])?;
        if !live.contains(&bucket) {
            live.push(bucket);
        }
        Ok(true)
    }

    /// The end of the bucket that a second of receipt belongs to.
    fn bucket(&self, received_s: i64) -> i64 {
        received_s.div_euclid(self.seconds).saturating_add(1).saturating_mul(self.seconds)
    }

    /// Forgets up to `limit` rows of buckets that end before `cutoff`, the oldest bucket first. Returns how many.
    pub(super) fn forget(&self, connection: &Connection, cutoff: i64, limit: usize) -> Result<u64, SpoolError> {
        let (name, key) = (self.table.name(), self.table.key());
        let delete = format!(
            "DELETE FROM {name} WHERE (bucket, {key}, account) IN
             (SELECT bucket, {key}, account FROM {name} WHERE bucket < ? ORDER BY bucket LIMIT ?)"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Ok(connection.prepare_cached(&delete)?.execute([cutoff, limit])? as u64)
    }
}

/// The buckets that there are: each one found by a step over all rows of the one before.
pub(super) fn buckets(connection: &Connection, table: Table) -> Result<Vec<i64>, SpoolError> {
    let next = format!("SELECT min(bucket) FROM {} WHERE bucket > ?", table.name());
    let mut next = connection.prepare_cached(&next)?;
    let (mut buckets, mut last) = (Vec::new(), i64::MIN);
    while let Some(bucket) = next.query_row([last], |row| row.get::<_, Option<i64>>(0))? {
        buckets.push(bucket);
        last = bucket;
    }
    Ok(buckets)
}

/// Whether a signature is bound to this event; `None` when it is bound to none.
pub(super) fn bound_to(
    connection: &Connection,
    buckets: &[i64],
    account: i64,
    signature: &[u8; 20],
    id: EventId,
) -> Result<Option<bool>, SpoolError> {
    let mut ask = connection
        .prepare_cached("SELECT event_id = ? FROM bound WHERE bucket = ? AND signature = ? AND account = ?")?;
    // The newest first: a re-delivery comes soon.
    for bucket in buckets.iter().rev() {
        let found = ask.query_row(params![id.as_bytes(), bucket, signature, account], |row| row.get(0)).optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The seq under which a quarantined push is remembered.
pub(super) fn quarantined_seq(
    connection: &Connection,
    buckets: &[i64],
    account: i64,
    id: EventId,
) -> Result<Option<u64>, SpoolError> {
    let ask = "SELECT seq FROM quarantined WHERE bucket = ? AND event_id = ? AND account = ?";
    let mut ask = connection.prepare_cached(ask)?;
    for bucket in buckets.iter().rev() {
        let found = ask.query_row(params![bucket, id.as_bytes(), account], |row| row.get::<_, i64>(0)).optional()?;
        if let Some(seq) = found {
            return Ok(Some(seq.cast_unsigned()));
        }
    }
    Ok(None)
}
