//! What is remembered by receipt: nonce uses, and the ids of quarantined pushes, which have no event time.
//!
//! Both come in no order: in one tree of a whole window's rows each insert would touch another cold page. They stand in buckets
//! by receipt, so that inserts stay within the newest one and the oldest is forgotten as a whole. A bucket is named by the
//! second in which it ends: that says when it is old, whatever the window was when it was begun.

use rusqlite::{Connection, OptionalExtension, ToSql, params, types::FromSql};

use super::SpoolError;

/// Bytes that one row takes in pages that inserts in no order have left two thirds full.
pub(super) const BYTES_PER_ROW: u64 = 70;

/// A table of buckets: a bucket, a key and an account have a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Table {
    /// Which event (an id) a signature of timestamp and nonce came with first.
    Bound,
    /// Under which seq a quarantined push (an id) is remembered.
    Quarantined,
}

impl Table {
    /// The names of the table, its key and its value.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Bound => ("bound", "signature", "event_id"),
            Self::Quarantined => ("quarantined", "event_id", "seq"),
        }
    }

    /// The row of a key and an account, whatever its bucket: the buckets that there are, each found by a step over all rows of the
    /// one before, then one look into each.
    fn row(self) -> String {
        let (table, key, _) = self.names();
        format!(
            "{key} = ? AND account = ? AND bucket IN (
               WITH RECURSIVE buckets(last) AS (
                 SELECT min(bucket) FROM {table}
                 UNION ALL SELECT (SELECT min(bucket) FROM {table} WHERE bucket > last) FROM buckets WHERE last NOT NULL)
               SELECT last FROM buckets)"
        )
    }

    pub(super) fn find<T: FromSql>(
        self,
        connection: &Connection,
        key: &[u8],
        account: i64,
    ) -> Result<Option<T>, SpoolError> {
        let (table, _, value) = self.names();
        let ask = format!("SELECT {value} FROM {table} WHERE {}", self.row());
        Ok(connection.prepare_cached(&ask)?.query_row(params![key, account], |row| row.get(0)).optional()?)
    }

    /// Whether there was one.
    pub(super) fn update(
        self,
        connection: &Connection,
        key: &[u8],
        account: i64,
        to: impl ToSql,
    ) -> Result<bool, SpoolError> {
        let (table, _, value) = self.names();
        let update = format!("UPDATE {table} SET {value} = ? WHERE {}", self.row());
        Ok(connection.prepare_cached(&update)?.execute(params![to, key, account])? > 0)
    }

    pub(super) fn insert(
        self,
        connection: &Connection,
        bucket: i64,
        key: &[u8],
        account: i64,
        value: impl ToSql,
    ) -> Result<(), SpoolError> {
        let insert = format!("INSERT INTO {} VALUES (?, ?, ?, ?)", self.names().0);
        connection.prepare_cached(&insert)?.execute(params![bucket, key, account, value])?;
        Ok(())
    }

    /// Forgets up to `limit` rows of buckets that end before `cutoff`, the oldest bucket first. Returns how many.
    pub(super) fn forget(self, connection: &Connection, cutoff: i64, limit: u64) -> Result<u64, SpoolError> {
        let (table, key, _) = self.names();
        let delete = format!(
            "DELETE FROM {table} WHERE (bucket, {key}, account) IN
             (SELECT bucket, {key}, account FROM {table} WHERE bucket < ? ORDER BY bucket LIMIT ?)"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Ok(connection.prepare_cached(&delete)?.execute([cutoff, limit])? as u64)
    }
}

/// The end of the bucket that a second of receipt belongs to, where each covers so many seconds.
pub(super) fn bucket(received_s: i64, seconds: i64) -> i64 {
    received_s.div_euclid(seconds).saturating_add(1).saturating_mul(seconds)
}
