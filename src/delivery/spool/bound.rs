//! Which event a signature of timestamp and nonce came with first, for pushes that nothing else authenticates.
//!
//! Signatures come in no order: in one tree of a whole window's rows each insert would touch another cold page. They stand
//! in buckets by receipt, so that inserts stay within the newest one and the oldest is forgotten as a whole. A bucket is
//! named by the second in which it ends: that says when it is old, whatever the window was when it was begun.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Batch, Spool, SpoolError};
use crate::event::EventId;

/// Bytes that one row takes in pages that inserts in no order have left two thirds full.
pub(super) const BYTES_PER_BINDING: u64 = 70;

impl Batch<'_> {
    /// Binds a signature to an event, unless it is bound. False when it is bound to another event.
    pub(in crate::delivery) fn bind(
        &mut self,
        account: usize,
        signature: &[u8; 20],
        id: EventId,
        bucket: i64,
    ) -> Result<bool, SpoolError> {
        let account = self.account(account);
        let live = match &mut self.live_buckets {
            Some(live) => live,
            unread => unread.insert(buckets(&self.transaction)?),
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

    /// Forgets up to `limit` bindings of buckets that ended before `cutoff` (Unix seconds), the oldest first. Returns how many.
    pub(in crate::delivery) fn forget_bindings(&mut self, cutoff: i64, limit: usize) -> Result<u64, SpoolError> {
        let delete = "DELETE FROM bound WHERE (bucket, signature, account) IN
                      (SELECT bucket, signature, account FROM bound WHERE bucket < ? ORDER BY bucket LIMIT ?)";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let forgotten = self.transaction.prepare_cached(delete)?.execute([cutoff, limit])? as u64;
        self.counters.bound = self.counters.bound.saturating_sub(forgotten);
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
        let account = self.accounts.get(account).copied().unwrap_or(-1);
        let live = buckets(&self.connection)?;
        Ok(bound_to(&self.connection, &live, account, signature, id)? == Some(false))
    }
}

/// The buckets that there are: each one found by a step over all rows of the one before.
pub(super) fn buckets(connection: &Connection) -> Result<Vec<i64>, SpoolError> {
    let mut next = connection.prepare_cached("SELECT min(bucket) FROM bound WHERE bucket > ?")?;
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
