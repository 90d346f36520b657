//! What is remembered by receipt: nonce uses, and the ids of quarantined pushes, which have no event time.
//!
//! Both come in no order: in one tree of a whole window's rows each insert would touch another cold page. They stand in buckets
//! by receipt, so that inserts stay within the newest one and the oldest is forgotten as a whole. A bucket is named by the
//! second in which it ends: that says when it is old, whatever the window was when it was begun.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Batch, Spool, SpoolError};
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

impl Batch<'_> {
    /// Binds a signature to an event, unless it is bound. False when it is bound to another event.
    pub(in crate::delivery) fn bind(
        &mut self,
        account: usize,
        signature: &[u8; 20],
        id: EventId,
        received_s: i64,
    ) -> Result<bool, SpoolError> {
        let (account, bucket) = (self.account(account), self.bucket(received_s));
        let live = match &mut self.live_nonces {
            Some(live) => live,
            unread => unread.insert(buckets(&self.transaction, Table::Bound)?),
        };
        if let Some(same) = bound_to(&self.transaction, live, account, signature, id)? {
            return Ok(same);
        }
        self.transaction.prepare_cached("INSERT INTO bound VALUES (?, ?, ?, ?)")?.execute(params![
            bucket,
            signature,
            account,
            id.as_bytes()
        ])?;
        if !live.contains(&bucket) {
            live.push(bucket);
        }
        self.counters.bound += 1;
        Ok(true)
    }

    /// Remembers the id of a quarantined push, or that its record is at another place now.
    pub(super) fn remember_quarantined(&mut self, account: i64, id: EventId, seq: u64) -> Result<(), SpoolError> {
        let bucket = self.bucket(super::second_of_seq(seq));
        let live = match &mut self.live_quarantined {
            Some(live) => live,
            unread => unread.insert(buckets(&self.transaction, Table::Quarantined)?),
        };
        let update = "UPDATE quarantined SET seq = ? WHERE bucket = ? AND event_id = ? AND account = ?";
        let mut update = self.transaction.prepare_cached(update)?;
        for bucket in live.iter().rev() {
            if update.execute(params![seq.cast_signed(), bucket, id.as_bytes(), account])? > 0 {
                return Ok(());
            }
        }
        self.transaction.prepare_cached("INSERT INTO quarantined VALUES (?, ?, ?, ?)")?.execute(params![
            bucket,
            id.as_bytes(),
            account,
            seq.cast_signed()
        ])?;
        if !live.contains(&bucket) {
            live.push(bucket);
        }
        self.counters.quarantined += 1;
        Ok(())
    }

    /// The bucket of what is received in a second: the second in which the bucket ends.
    fn bucket(&self, received_s: i64) -> i64 {
        received_s.div_euclid(self.bucket_seconds).saturating_add(1).saturating_mul(self.bucket_seconds)
    }

    /// Forgets up to `limit` rows of buckets that ended before `cutoff` (Unix seconds), the oldest first. Returns how many.
    pub(in crate::delivery) fn forget_buckets(
        &mut self,
        table: Table,
        cutoff: i64,
        limit: usize,
    ) -> Result<u64, SpoolError> {
        let (name, key) = (table.name(), table.key());
        let delete = format!(
            "DELETE FROM {name} WHERE (bucket, {key}, account) IN
             (SELECT bucket, {key}, account FROM {name} WHERE bucket < ? ORDER BY bucket LIMIT ?)"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let forgotten = self.transaction.prepare_cached(&delete)?.execute([cutoff, limit])? as u64;
        let count = match table {
            Table::Bound => &mut self.counters.bound,
            Table::Quarantined => &mut self.counters.quarantined,
        };
        *count = count.saturating_sub(forgotten);
        Ok(forgotten)
    }
}

impl Spool {
    /// Whether a signature is bound to another event; without writing: reading works on a full disk too.
    pub(in crate::delivery) fn is_bound_to_another(
        &self,
        account: usize,
        signature: &[u8; 20],
        id: EventId,
    ) -> Result<bool, SpoolError> {
        let live = buckets(&self.connection, Table::Bound)?;
        Ok(bound_to(&self.connection, &live, self.account(account), signature, id)? == Some(false))
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
