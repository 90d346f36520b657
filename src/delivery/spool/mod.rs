//! The spool: pending records in arrival order and remembered ids, in one SQLite database, each batch one fsynced transaction.
//!
//! It refuses to know Kafka, tickets and threads. Constraints that it holds:
//!
//! - append, remember and bind are one transaction: an event is either new and stored, or a duplicate;
//! - a record's place is `lane << 56 | seq`, so that each lane is one range of the tree, in arrival order;
//! - a `seq` holds the second of receipt in its upper bits (`second << 16 | counter`), is never given twice, and so says
//!   when an id was received without a column of its own;
//! - remembered ids are clustered by event time: inserts stay at the tree's right edge.

mod batch;
mod bound;
mod export;
mod folder;
mod reader;
mod room;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};

use super::Lane;
use crate::event::EventId;

pub(super) use batch::{Appended, Batch, Entry, Position, size_of};
pub use export::{Spooled, take_out};
pub use folder::FolderError;
pub use reader::{Page, Reader, Report, Stored};

/// Bits of a row id below the lane.
const SEQ_BITS: u32 = 56;
/// Bits of a seq below the second of receipt.
const COUNTER_BITS: u32 = 16;
/// Bytes that one remembered id counts for. Measured: 37.9, over 10^6 ids at 1,000 a second; at 36 the default of 6 GiB holds
/// 48 hours of that rate.
const BYTES_PER_ID: u64 = 36;
/// Pages of the write-ahead log after which it is moved into the database: half of the reserve.
const LOG_PAGES: u32 = 1000;
/// `PRAGMA user_version` of this layout.
const LAYOUT: i64 = 2;

const SCHEMA: &str = "
CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE pending (
  id INTEGER PRIMARY KEY, account INTEGER NOT NULL, received_at INTEGER NOT NULL, timestamp INTEGER NOT NULL,
  key BLOB, headers BLOB NOT NULL, value BLOB NOT NULL);
CREATE TABLE remembered (
  event_time INTEGER NOT NULL, event_id BLOB NOT NULL, account INTEGER NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY (event_time, event_id, account)) WITHOUT ROWID;
CREATE TABLE bound (
  bucket INTEGER NOT NULL, signature BLOB NOT NULL, account INTEGER NOT NULL, event_id BLOB NOT NULL,
  PRIMARY KEY (bucket, signature, account)) WITHOUT ROWID;
CREATE TABLE counters (
  id INTEGER PRIMARY KEY CHECK (id = 0), last_seq INTEGER NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL,
  parked INTEGER NOT NULL, remembered INTEGER NOT NULL, bound INTEGER NOT NULL);
INSERT INTO counters VALUES (0, 0, 0, 0, 0, 0, 0);
";

/// Why the spool failed.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// SQLite says no: disk full, disk failing, database damaged.
    #[error("the spool's database: {0}")]
    Database(#[from] rusqlite::Error),
    /// The database is of a layout that this release does not know.
    #[error(
        "the spool was written by another release (layout {found}, this release knows {LAYOUT}): start that release again"
    )]
    Layout {
        /// What stands in the database.
        found: i64,
    },
    /// The counters are beyond what any spool counts.
    #[error("the spool's counters are damaged")]
    Counters,
    /// A pending record's bytes do not read.
    #[error("a pending record (row {row}) does not read")]
    Damaged {
        /// Its row.
        row: i64,
    },
}

impl SpoolError {
    /// Whether the disk is full.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Database(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull))
    }
}

/// What the spool holds, kept in the same transaction as what it counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// The highest seq ever given.
    pub last_seq: u64,
    /// Pending records, parked ones included.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Parked records.
    pub parked: u64,
    /// Remembered ids.
    pub remembered: u64,
    /// Signatures that are bound to an event.
    pub bound: u64,
}

/// The open spool: one per service, owned by the writer thread.
#[derive(Debug)]
pub(super) struct Spool {
    connection: Connection,
    folder: folder::Folder,
    counters: Counters,
    accounts: Vec<i64>,
}

impl Spool {
    /// Opens or creates the spool in `path`, and gives each account name its number.
    pub(super) fn open(path: &Path, accounts: &[String]) -> Result<Self, SpoolError> {
        let folder = folder::Folder::open(path)?;
        let mut connection = Connection::open(folder.database())?;
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = {LOG_PAGES};
             PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY; PRAGMA busy_timeout = 250;
             PRAGMA cache_size = -16384;"
        ))?;
        connection.set_prepared_statement_cache_capacity(32);
        create_or_check(&mut connection)?;
        let counters = read_counters(&connection)?;
        let accounts = accounts.iter().map(|name| account_number(&connection, name)).collect::<Result<_, _>>()?;
        Ok(Self { connection, folder, counters, accounts })
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    /// The numbers of `Settings::accounts`, in their order.
    pub(super) fn account_numbers(&self) -> Vec<i64> {
        self.accounts.clone()
    }

    /// The database's path, for readers beside the writer.
    pub(super) fn database(&self) -> PathBuf {
        self.folder.database()
    }

    /// A seq for a record that the spool does not take: its place in the order, all the same.
    pub(super) fn take_seq(&mut self, received_at_ms: i64) -> u64 {
        self.counters.last_seq = next_seq(self.counters.last_seq, received_at_ms);
        self.counters.last_seq
    }

    /// Begins one group commit.
    pub(super) fn batch(&mut self) -> Result<Batch<'_>, SpoolError> {
        Batch::begin(&mut self.connection, &mut self.counters, &self.accounts)
    }

    /// What is known of an id without writing: reading works on a full disk too.
    pub(super) fn known(
        &self,
        lane: Lane,
        account: usize,
        id: EventId,
        event_time: i64,
    ) -> Result<Option<Appended>, SpoolError> {
        let account = self.accounts.get(account).copied().unwrap_or(-1);
        batch::known(&self.connection, lane, account, id, event_time)
    }

    /// Moves the WAL into the database and, after a removal, takes the reserve back where the disk has room.
    pub(super) fn tidy(&self) {
        let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)");
        self.folder.restore_reserve();
    }

    /// Receipt of the oldest pending record, Unix milliseconds; parked ones do not count.
    pub(super) fn oldest(&self) -> Result<Option<i64>, SpoolError> {
        let mut oldest: Option<i64> = None;
        let mut first = self
            .connection
            .prepare_cached("SELECT received_at FROM pending WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 1")?;
        for lane in Lane::FORWARDED {
            let (low, high) = lane_range(lane);
            let received: Option<i64> = first.query_row([low, high], |row| row.get(0)).optional()?;
            oldest = [oldest, received].into_iter().flatten().min();
        }
        Ok(oldest)
    }

    /// The highest pending seq of a lane; 0 when it has none.
    pub(super) fn last_of(&self, lane: Lane) -> Result<u64, SpoolError> {
        let (low, high) = lane_range(lane);
        let last: Option<i64> =
            self.connection
                .query_row("SELECT max(id) FROM pending WHERE id BETWEEN ? AND ?", [low, high], |row| row.get(0))?;
        Ok(last.map_or(0, seq_of))
    }
}

fn create_or_check(connection: &mut Connection) -> Result<(), SpoolError> {
    let layout: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match layout {
        LAYOUT => Ok(()),
        0 => {
            let transaction = connection.transaction()?;
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "user_version", LAYOUT)?;
            transaction.commit()?;
            Ok(())
        }
        found => Err(SpoolError::Layout { found }),
    }
}

fn read_counters(connection: &Connection) -> Result<Counters, SpoolError> {
    let row = "SELECT last_seq, records, bytes, parked, remembered, bound FROM counters";
    let mut numbers = [0; 6];
    connection.query_row(row, [], |row| {
        for (index, number) in numbers.iter_mut().enumerate() {
            *number = row.get::<_, i64>(index)?.cast_unsigned();
        }
        Ok(())
    })?;
    // A seq would reach into the lane's bits, and sums would overflow.
    if numbers.iter().any(|number| number >> SEQ_BITS != 0) {
        return Err(SpoolError::Counters);
    }
    let [last_seq, records, bytes, parked, remembered, bound] = numbers;
    Ok(Counters { last_seq, records, bytes, parked, remembered, bound })
}

fn account_number(connection: &Connection, name: &str) -> Result<i64, SpoolError> {
    connection.execute(
        "INSERT OR IGNORE INTO account (id, name) VALUES ((SELECT coalesce(max(id), -1) + 1 FROM account), ?)",
        [name],
    )?;
    Ok(connection.query_row("SELECT id FROM account WHERE name = ?", [name], |row| row.get(0))?)
}

/// The second of receipt and a counter, always above `last`, whatever the clock does.
fn next_seq(last: u64, received_at_ms: i64) -> u64 {
    let of_second = (received_at_ms.max(0) / 1000).cast_unsigned() << COUNTER_BITS;
    of_second.max(last + 1)
}

/// The lowest and highest row id of a lane.
fn lane_range(lane: Lane) -> (i64, i64) {
    let low = i64::from(lane as u8) << SEQ_BITS;
    (low, low | ((1 << SEQ_BITS) - 1))
}

fn row_id(lane: Lane, seq: u64) -> i64 {
    i64::from(lane as u8) << SEQ_BITS | seq.cast_signed()
}

fn seq_of(row: i64) -> u64 {
    (row & ((1 << SEQ_BITS) - 1)).cast_unsigned()
}

#[cfg(test)]
mod tests;
