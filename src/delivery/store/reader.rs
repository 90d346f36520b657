//! Reading a spool beside its writer: the forwarder's batches, and what `cardhook spool` shows.

use std::{
    path::Path,
    sync::{Arc, PoisonError},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};

use super::{
    Append, Counters, FolderError, Id, LAYOUT, SpoolError, database::LAYOUT_BEFORE, folder, lane_range, log::Gate,
    place::spool_folder, read_counters, row_id, seq_of,
};
use crate::{
    delivery::{Lane, pending::Seq, submission::Sending},
    event::{EventId, Headers, Record},
};

/// What [`stored`] reads.
pub(super) const COLUMNS: &str = "id, account, received_at, timestamp, key, headers, value, event_time, event_id";
/// The same of the layout before.
const COLUMNS_BEFORE: &str = "id, account, received_at, timestamp, key, headers, value, NULL, NULL";

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
    /// Event time (Unix seconds, 0: none) and id; not known of what a release before layout 5 stored.
    pub event: Option<(i64, EventId)>,
}

impl Stored {
    /// In the form of one on its way. `account`: index into `Settings::accounts`, `None` where it is not configured any more.
    pub(super) fn append(self, lane: Lane, account: Option<usize>) -> Append {
        let Self { seq, record, received_at_ms, event, .. } = self;
        let id = account.zip(event).map(|(account, (event_time, event_id))| Id { account, event_time, event_id });
        let sending = Sending { record, account, received_at_ms, id, signature: None };
        Append { lane, seq: Seq(seq), sending: Arc::new(sending) }
    }
}

/// Records of one page.
const PAGE_RECORDS: usize = 512;
/// Bytes of their values: what a commit writes of them must fit in the reserve of a full disk.
const PAGE_BYTES: usize = 2 * 1024 * 1024;

/// Pending records in order.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// The records.
    pub(super) records: Vec<Stored>,
    /// The seq up to which was looked: that of the last row, or the one that was asked for where no further row stands behind.
    pub(super) upto: u64,
    /// Places that do not read and were passed over: a record each, or as many as stood in a page of the database.
    pub(super) damaged: u64,
    /// Those of them that are rows, by their seq.
    pub(super) unreadable: Vec<u64>,
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
    pub(super) connection: Connection,
    gate: Gate,
    /// This one, or the one before: a spool that no service has opened since.
    pub(super) layout: i64,
}

impl Reader {
    /// Opens the spool in a folder, beside a running service too.
    ///
    /// # Errors
    /// When there is none, it is not this user's, or it is of another layout.
    pub fn open(folder: &Path) -> Result<Self, SpoolError> {
        let folder = &spool_folder(folder);
        let database = folder::database(folder);
        match std::fs::metadata(&database) {
            Ok(file) if file.is_file() => Self::open_file(&database),
            Err(source) if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Err(FolderError::Closed { path: database.display().to_string(), source }.into())
            }
            Ok(_) | Err(_) => Err(FolderError::NoSpool { path: folder.display().to_string() }.into()),
        }
    }

    /// Opens a spool's database itself: one that was set aside.
    ///
    /// # Errors
    /// When it is none, or of another layout.
    pub fn open_file(database: &Path) -> Result<Self, SpoolError> {
        Self::beside(database, &Gate::default())
    }

    /// Opens a spool beside its writer in the same process.
    pub(super) fn beside(database: &Path, gate: &Gate) -> Result<Self, SpoolError> {
        // SQLite deletes the log of an empty database, and that may be all that is left.
        if std::fs::metadata(database).is_ok_and(|file| file.len() == 0) {
            return Err(SpoolError::Incomplete { what: "it is empty" });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(database, flags)?;
        // First, or nothing of a database that was cut off reads: SQLite calls that a writable schema.
        connection
            .execute_batch("PRAGMA writable_schema = ON; PRAGMA busy_timeout = 2000; PRAGMA cache_size = -2048;")?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match found {
            LAYOUT | LAYOUT_BEFORE => Ok(Self { connection, gate: Gate::clone(gate), layout: found }),
            found => Err(SpoolError::Layout { found }),
        }
    }

    /// The counters as committed.
    ///
    /// # Errors
    /// When the database does not read.
    pub fn counters(&self) -> Result<Counters, SpoolError> {
        read_counters(&self.connection, self.layout)
    }

    /// A page of the pending records of a lane with `after < seq <= upto`, in order. What does not read is passed over: one
    /// damaged record must not stop those behind it.
    pub(super) fn pending(&self, lane: Lane, after: u64, upto: u64) -> Result<Page, SpoolError> {
        let _log_stays = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        let last = row_id(lane, upto.min(seq_of(lane_range(lane).1)));
        let mut page = Page { upto: after, ..Page::default() };
        let (mut after, mut bytes) = (row_id(lane, after), 0);
        let complete = loop {
            match self.read_into(&mut page, &mut bytes, &mut after, last) {
                Ok(complete) => break complete,
                Err(error) if error.is_damage() => {
                    page.damaged += 1;
                    tracing::error!(%error, after = seq_of(after), "pending records do not read and are passed over");
                    let Some(next) = self.first_readable(after, last) else { break true };
                    after = next - 1;
                }
                Err(error) => return Err(error),
            }
        };
        if complete {
            page.upto = upto;
        }
        Ok(page)
    }

    /// Reads on behind `after` until the page, which holds so many bytes, is full, or what reads of the range ends. Whether no
    /// further row stands in the range.
    fn read_into(&self, page: &mut Page, bytes: &mut usize, after: &mut i64, last: i64) -> Result<bool, SpoolError> {
        let mut statement = self.connection.prepare_cached(&self.pending_rows("ORDER BY id"))?;
        let start = *after;
        let mut rows = statement.query([start, last])?;
        while page.records.len() < PAGE_RECORDS && *bytes < PAGE_BYTES {
            let Some(row) = rows.next()? else { return Ok(true) };
            let id = row.get(0)?;
            // In a damaged tree: what was read before is not read again, and what stands behind a wrong id is.
            if id <= *after && (id <= start || page.records.iter().any(|read| read.seq == seq_of(id))) {
                page.damaged += 1;
                tracing::error!(row = id, "a pending record stands twice, passed over");
                continue;
            }
            *after = id.max(*after);
            page.upto = seq_of(id);
            match stored(row) {
                Ok(stored) => {
                    *bytes += stored.record.value.len();
                    page.records.push(stored);
                }
                // It stays, and `cardhook spool verify` shows it.
                Err(error) => {
                    page.damaged += 1;
                    page.unreadable.push(seq_of(id));
                    tracing::error!(%error, "passed over");
                }
            }
        }
        Ok(false)
    }

    fn pending_rows(&self, order: &str) -> String {
        let columns = if self.layout == LAYOUT_BEFORE { COLUMNS_BEFORE } else { COLUMNS };
        format!("SELECT {columns} FROM pending WHERE id > ? AND id <= ? {order}")
    }

    /// The lowest place behind `after` from which on a row reads, or from which on there is none. It goes on from a place that
    /// does not read in steps that double, and then back by halves: a few dozen look-ups, however many records a damaged page
    /// held.
    fn first_readable(&self, after: i64, upto: i64) -> Option<i64> {
        let reads = |place: i64| self.reads_from(place, upto);
        let (mut low, mut step) = (after, 1);
        let mut high = loop {
            let place = low.saturating_add(step).min(upto);
            if reads(place) {
                break place;
            }
            if place == upto {
                return None;
            }
            low = place;
            step *= 2;
        };
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if reads(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(high)
    }

    fn reads_from(&self, place: i64, upto: i64) -> bool {
        let first = self.connection.prepare_cached(&self.pending_rows("ORDER BY id LIMIT 1"));
        first.is_ok_and(|mut first| {
            first
                .query_row([place - 1, upto], |row| {
                    row.get_ref(6)?;
                    row.get::<_, i64>(0)
                })
                .optional()
                .is_ok_and(|id| id.is_none_or(|id| id >= place))
        })
    }

    /// The name of an account by its number in the spool.
    pub(super) fn account_name(&self, number: i64) -> Result<String, SpoolError> {
        Ok(self
            .connection
            .prepare_cached("SELECT name FROM account WHERE id = ?")?
            .query_row([number], |row| row.get(0))?)
    }

    /// What each lane holds: events, dlq, other, parked.
    ///
    /// # Errors
    /// When the database does not read.
    pub fn report(&self) -> Result<[Report; 4], SpoolError> {
        let mut lanes = [Report::default(); 4];
        let sum = "SELECT count(*), coalesce(sum(coalesce(length(key), 0) + length(headers) + length(value)), 0), min(received_at)
                   FROM pending WHERE id > ? AND id <= ?";
        for (lane, report) in Lane::ALL.into_iter().zip(lanes.iter_mut()) {
            let (low, high) = lane_range(lane);
            *report = self.connection.query_row(sum, [low, high], |row| {
                let (records, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
                Ok(Report { records: records.cast_unsigned(), bytes: bytes.cast_unsigned(), oldest_ms: row.get(2)? })
            })?;
        }
        Ok(lanes)
    }
}

pub(super) fn stored(row: &Row<'_>) -> Result<Stored, SpoolError> {
    let id: i64 = row.get(0)?;
    let damaged = || SpoolError::Damaged { row: id };
    let key = match row.get_ref(4)?.as_blob_or_null().map_err(|_| damaged())? {
        Some(bytes) => Some(String::from_utf8(bytes.to_vec()).map_err(|_| damaged())?),
        None => None,
    };
    let headers = row.get_ref(5)?.as_blob().ok().and_then(|bytes| Headers::from_bytes(bytes.to_vec()));
    let headers = headers.ok_or_else(damaged)?;
    let record = Record { key, timestamp_ms: row.get(3)?, headers, value: row.get(6)? };
    let event = match (row.get(7)?, row.get::<_, Option<[u8; 16]>>(8)?) {
        (Some(event_time), Some(bytes)) => Some((event_time, EventId::from_bytes(bytes))),
        _ => None,
    };
    Ok(Stored { seq: seq_of(id), account: row.get(1)?, received_at_ms: row.get(2)?, record, event })
}
