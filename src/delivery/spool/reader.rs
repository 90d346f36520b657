//! Reading a spool beside its writer: the forwarder's batches, and what `cardhook spool` shows.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row};

use super::{Counters, FolderError, SpoolError, folder, lane_range, read_counters, row_id, seq_of};
use crate::{
    delivery::Lane,
    event::{Headers, Record},
};

/// One pending record as it stands in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its place in its lane.
    pub seq: u64,
    /// The account's number in the spool.
    pub account: i64,
    /// Receipt, Unix milliseconds.
    pub received_at_ms: i64,
    /// What goes to Kafka.
    pub record: Record,
}

/// Pending records in order.
#[derive(Debug, Default)]
pub struct Page {
    /// The records.
    pub records: Vec<Stored>,
    /// The seq of the last row read, 0 when there was none; a row that does not read is passed over.
    pub last: u64,
    /// No further row stands behind them.
    pub complete: bool,
}

/// What a lane holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Records.
    pub records: u64,
    /// Bytes of their keys, headers and values.
    pub bytes: u64,
    /// Receipt of the oldest, Unix milliseconds.
    pub oldest_ms: Option<i64>,
}

/// A read-only view of a spool; short transactions, so that the writer's WAL can be checkpointed.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

impl Reader {
    /// Opens the spool in a folder, beside a running service too.
    ///
    /// # Errors
    /// When there is none, or it is of another layout.
    pub fn open(folder: &Path) -> Result<Self, SpoolError> {
        let database = folder::database(folder);
        if database.is_file() {
            Self::open_database(&database)
        } else {
            Err(FolderError::NoSpool { path: folder.display().to_string() }.into())
        }
    }

    pub(in crate::delivery) fn open_database(database: &Path) -> Result<Self, SpoolError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(database, flags)?;
        connection.execute_batch("PRAGMA busy_timeout = 2000; PRAGMA cache_size = -2048;")?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found == super::LAYOUT { Ok(Self { connection }) } else { Err(SpoolError::Layout { found }) }
    }

    /// The counters as committed.
    ///
    /// # Errors
    /// When the database does not read.
    pub fn counters(&self) -> Result<Counters, SpoolError> {
        read_counters(&self.connection)
    }

    /// Up to `limit` pending records of a lane with `after < seq <= upto`, in order, stopping when their values have reached `max_bytes`.
    ///
    /// # Errors
    /// When the database or a record does not read.
    pub fn pending(
        &self,
        lane: Lane,
        after: u64,
        upto: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Page, SpoolError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, account, received_at, timestamp, key, headers, value FROM pending WHERE id > ? AND id <= ? ORDER BY id",
        )?;
        let high = lane_range(lane).1;
        let upto = i64::try_from(upto).ok().filter(|upto| *upto <= seq_of(high).cast_signed());
        let upto = upto.map_or(high, |upto| row_id(lane, upto.cast_unsigned()));
        let start = row_id(lane, after);
        let mut highest = start;
        let mut rows = statement.query([start, upto])?;
        let mut page = Page::default();
        let mut bytes = 0;
        while bytes < max_bytes && page.records.len() < limit {
            let Some(row) = rows.next()? else {
                page.complete = true;
                break;
            };
            let id = row.get(0)?;
            // In a damaged tree: what was read before is not read again, and what stands behind a wrong id is.
            if id <= highest && (id <= start || page.records.iter().any(|read| read.seq == seq_of(id))) {
                tracing::error!(row = id, "a pending record stands twice, passed over");
                continue;
            }
            highest = highest.max(id);
            page.last = seq_of(id);
            match stored(row) {
                Ok(stored) => {
                    bytes += stored.record.value.len();
                    page.records.push(stored);
                }
                // One damaged record must not stop those behind it; it stays, and `cardhook spool verify` shows it.
                Err(error) => tracing::error!(%error, "passed over"),
            }
        }
        Ok(page)
    }

    /// What each lane holds: events, dlq, other, parked.
    ///
    /// # Errors
    /// When the database does not read.
    pub fn report(&self) -> Result<[Report; 4], SpoolError> {
        let mut lanes = [Report::default(); 4];
        let sum = "SELECT count(*), coalesce(sum(coalesce(length(key), 0) + length(headers) + length(value)), 0), min(received_at)
                   FROM pending WHERE id BETWEEN ? AND ?";
        for (lane, report) in Lane::ALL.into_iter().zip(lanes.iter_mut()) {
            let (low, high) = lane_range(lane);
            *report = self.connection.query_row(sum, [low, high], |row| {
                let (records, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
                Ok(Report { records: records.cast_unsigned(), bytes: bytes.cast_unsigned(), oldest_ms: row.get(2)? })
            })?;
        }
        Ok(lanes)
    }

    /// SQLite's own check of the database, then every pending record read. Returns what is wrong, a line each.
    ///
    /// # Errors
    /// When the database cannot be read at all.
    pub fn verify(&self) -> Result<Vec<String>, SpoolError> {
        let mut check = self.connection.prepare("PRAGMA integrity_check(100)")?;
        let lines = check.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        let mut wrong: Vec<String> = lines.into_iter().filter(|line| line != "ok").collect();
        let mut rows = self
            .connection
            .prepare("SELECT id, account, received_at, timestamp, key, headers, value FROM pending ORDER BY id")?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            if let Err(error) = stored(row) {
                wrong.push(error.to_string());
            }
        }
        Ok(wrong)
    }
}

fn stored(row: &Row<'_>) -> Result<Stored, SpoolError> {
    let id: i64 = row.get(0)?;
    let damaged = || SpoolError::Damaged { row: id };
    let key = match row.get_ref(4)?.as_blob_or_null().map_err(|_| damaged())? {
        Some(bytes) => Some(String::from_utf8(bytes.to_vec()).map_err(|_| damaged())?),
        None => None,
    };
    let headers = row.get_ref(5)?.as_blob().ok().and_then(|bytes| Headers::from_bytes(bytes.to_vec()));
    let headers = headers.ok_or_else(damaged)?;
    let record = Record { key, timestamp_ms: row.get(3)?, headers, value: row.get(6)? };
    Ok(Stored { seq: seq_of(id), account: row.get(1)?, received_at_ms: row.get(2)?, record })
}
