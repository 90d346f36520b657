//! Remembered ids: which events were accepted, by event second.
//!
//! The ids of one second stand together, some dozens in a row, in the order in which they were accepted. So a commit writes at the
//! tree's right edge: in the order of the ids, which is no order in time, it would write nearly every page of the second. A look
//! reads the second's rows, the newest first: an id whose record has moved stands twice, and its later place counts.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{COUNTER_BITS, SpoolError};
use crate::event::EventId;

/// Bits of a row's key below its event second: its number within the second. The rest holds every second that is read from a
/// push (up to the year 9999).
const NUMBER_BITS: u32 = 23;
const LAST_SECOND: i64 = (1 << 40) - 1;
/// Id, number of the account, seq; numbers are little-endian.
const ENTRY_BYTES: usize = 16 + 4 + 8;
/// What a row takes: six such rows fill a page of the database.
const ROW_BYTES: usize = 48 * ENTRY_BYTES;

/// Bytes that one remembered id counts for. Measured: 33.5, at 1,000 a second (`benches/dedup`).
pub(super) const BYTES_PER_ID: u64 = 34;

/// The table; `seq` is the highest one of the row's ids, and says when the last of them was received.
pub(super) const TABLE: &str =
    "CREATE TABLE remembered (key INTEGER PRIMARY KEY, seq INTEGER NOT NULL, ids BLOB NOT NULL);";

/// A row's key: the event second and a number.
pub(super) type Key = i64;

/// One remembered id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: EventId,
    /// The account's number in the spool.
    pub(super) account: i64,
    /// The place of its record.
    pub(super) seq: u64,
}

impl Entry {
    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let (id, rest) = bytes.split_at_mut(16);
        let (account, seq) = rest.split_at_mut(4);
        id.copy_from_slice(self.id.as_bytes());
        // Accounts are numbered from 0; -1 is one that is not configured.
        account.copy_from_slice(&i32::try_from(self.account).unwrap_or(-1).to_le_bytes());
        seq.copy_from_slice(&self.seq.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk()?;
        let (account, rest) = rest.split_first_chunk()?;
        let seq = u64::from_le_bytes(rest.try_into().ok()?);
        Some(Self { id: EventId::from_bytes(*id), account: i32::from_le_bytes(*account).into(), seq })
    }
}

/// The first and the last key of an event second.
pub(super) fn keys_of(second: i64) -> (Key, Key) {
    let first = second.clamp(0, LAST_SECOND) << NUMBER_BITS;
    (first, first | ((1 << NUMBER_BITS) - 1))
}

pub(super) fn second_of(key: Key) -> i64 {
    key >> NUMBER_BITS
}

/// Those of one row.
pub(super) fn entries(row: &[u8]) -> impl DoubleEndedIterator<Item = Entry> {
    row.chunks_exact(ENTRY_BYTES).filter_map(Entry::decode)
}

/// How many a row of so many bytes has.
fn count(bytes: i64) -> u64 {
    bytes.max(0).cast_unsigned() / ENTRY_BYTES as u64
}

/// The seq under which an event is remembered.
pub(super) fn find(
    connection: &Connection,
    account: i64,
    event_time: i64,
    id: EventId,
) -> Result<Option<u64>, SpoolError> {
    let (first, last) = keys_of(event_time);
    let rows = "SELECT ids FROM remembered WHERE key BETWEEN ? AND ? ORDER BY key DESC";
    let mut rows = connection.prepare_cached(rows)?;
    let mut rows = rows.query([first, last])?;
    while let Some(row) = rows.next()? {
        let ids = row.get_ref(0)?.as_blob().map_err(|_| SpoolError::Incomplete { what: "an id does not read" })?;
        if let Some(entry) = entries(ids).rev().find(|entry| entry.id == id && entry.account == account) {
            return Ok(Some(entry.seq));
        }
    }
    Ok(None)
}

/// Writes ids with their event seconds.
pub(super) fn write(connection: &Connection, ids: &mut [(i64, Entry)]) -> Result<(), SpoolError> {
    // Stable: of two places of one id the later one stays behind.
    ids.sort_by_key(|(second, _)| *second);
    let last_row = "SELECT key, seq, ids FROM remembered WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 1";
    let mut last_row = connection.prepare_cached(last_row)?;
    let mut put = connection.prepare_cached("INSERT OR REPLACE INTO remembered VALUES (?, ?, ?)")?;
    for of_second in ids.chunk_by(|(left, _), (right, _)| left == right) {
        let Some((second, _)) = of_second.first() else { continue };
        let (first, last) = keys_of(*second);
        let found = last_row.query_row([first, last], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
        let (mut key, mut seq, mut row): (Key, i64, Vec<u8>) = found.unwrap_or((first, 0, Vec::new()));
        for (_, entry) in of_second {
            if row.len() >= ROW_BYTES {
                put.execute(params![key, seq, row])?;
                (key, seq) = ((key + 1).min(last), 0);
                row.clear();
            }
            row.extend_from_slice(&entry.encode());
            seq = seq.max(entry.seq.cast_signed());
        }
        put.execute(params![key, seq, row])?;
    }
    Ok(())
}

/// Forgets the oldest ids whose event time and receipt are both before `cutoff` (Unix seconds), a whole row at a time, until
/// `limit` are forgotten. Returns how many.
pub(super) fn forget(connection: &Connection, cutoff: i64, limit: u64) -> Result<u64, SpoolError> {
    let ((end, _), seq) = (keys_of(cutoff), cutoff.saturating_mul(1 << COUNTER_BITS));
    let rows = "SELECT key, length(ids) FROM remembered WHERE key < ? AND seq < ? ORDER BY key";
    let mut rows = connection.prepare_cached(rows)?;
    let mut rows = rows.query([end, seq])?;
    let (mut forgotten, mut last) = (0, None);
    while forgotten < limit
        && let Some(row) = rows.next()?
    {
        last = Some(row.get::<_, Key>(0)?);
        forgotten += count(row.get(1)?);
    }
    if let Some(last) = last {
        // One range of the tree: the appends of this batch wait for it.
        let delete = "DELETE FROM remembered WHERE key <= ? AND seq < ?";
        connection.prepare_cached(delete)?.execute([last, seq])?;
    }
    Ok(forgotten)
}
