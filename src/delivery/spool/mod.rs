//! The spool: pending records in arrival order and remembered ids, in one SQLite database, each batch one fsynced transaction.
//!
//! It refuses to know Kafka, tickets and threads. Constraints that it holds:
//!
//! - append, remember and bind are one transaction: an event is either new and stored, or a duplicate;
//! - a record's place is `lane << 56 | seq`, so that each lane is one range of the tree, in arrival order;
//! - a `seq` holds the second of receipt in its upper bits (`second << 16 | counter`), is never given twice, and so says
//!   when an id was received without a column of its own;
//! - remembered ids are clustered by event time, but for the last ones, which stand in arrival order: inserts stay at the
//!   trees' right edges.

mod batch;
mod bound;
mod damage;
mod database;
mod export;
mod folder;
mod log;
mod place;
mod reader;
mod recent;
mod room;
mod verify;

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::Lane;
use crate::event::EventId;
use database::{LAYOUT, account_number, connect, read_counters};

pub(super) use batch::{Appended, Batch, Entry, Position, size_of};
pub use export::{Spooled, take_out};
pub use folder::FolderError;
pub use place::{spool_folder, volatile_file_system};
pub use reader::{Page, Reader, Report, Stored};
pub(super) use recent::IDS_MOVED;
pub use verify::Verified;

/// Bits of a row id below the lane.
const SEQ_BITS: u32 = 56;
/// Bits of a seq below the second of receipt.
const COUNTER_BITS: u32 = 16;
/// Bytes that one remembered id counts for. Measured: 39.1, at 1,000 a second (`benches/dedup`); at 36 the default of 6 GiB holds
/// 48 hours of that.
const BYTES_PER_ID: u64 = 36;

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
    /// The counters are missing, or beyond what any spool counts.
    #[error("the spool's counters are damaged")]
    Counters,
    /// The database is whole as such, and not what a spool is.
    #[error("the spool's database: {what}")]
    Incomplete {
        /// What is missing.
        what: &'static str,
    },
    /// The log of the last run cannot be begun anew.
    #[error("another process reads the spool, and until it ends nothing can be appended to what the last run left")]
    LogInUse,
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
    log: log::Log,
    counters: Counters,
    recent: recent::Recent,
    accounts: Vec<i64>,
}

impl Spool {
    /// Opens or creates the spool in `path`, and gives each account name its number. A damaged one is set aside, and what
    /// reads of its pending records is taken over into a new one.
    pub(super) fn open(path: &Path, accounts: &[String]) -> Result<Self, SpoolError> {
        let folder = folder::Folder::open(path)?;
        let opened = match folder.known_damage().map_or_else(|| connect(&folder.database()), Err) {
            Err(damage) if damage.is_damage() => {
                damage::report(&damage, &folder.set_aside()?);
                connect(&folder.database())?
            }
            opened => opened?,
        };
        let mut spool = Self::opened(folder, opened, accounts)?;
        spool.take_over(accounts);
        Ok(spool)
    }

    fn opened(
        folder: folder::Folder,
        (connection, log, recent): (Connection, log::Log, recent::Recent),
        accounts: &[String],
    ) -> Result<Self, SpoolError> {
        let counters = read_counters(&connection)?;
        let mut spool = Self { connection, folder, log, counters, recent, accounts: Vec::new() };
        // Where that fails, every batch tries it again first.
        let _ = spool.begin_log_anew();
        spool.accounts =
            accounts.iter().map(|name| account_number(&spool.connection, name)).collect::<Result<_, _>>()?;
        Ok(spool)
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    /// The numbers of `Settings::accounts`, in their order.
    pub(super) fn account_numbers(&self) -> Vec<i64> {
        self.accounts.clone()
    }

    /// A reader beside the writer.
    pub(super) fn reader(&self) -> Result<Reader, SpoolError> {
        Reader::beside(&self.folder.database(), &self.log.gate)
    }

    /// Says to the next start that the database is damaged, wherever that was met.
    pub(super) fn mark_damaged(&self) {
        self.folder.mark_damaged();
    }

    /// A seq for a record that the spool does not take: its place in the order, all the same.
    pub(super) fn take_seq(&mut self, received_at_ms: i64) -> u64 {
        self.counters.last_seq = next_seq(self.counters.last_seq, received_at_ms);
        self.counters.last_seq
    }

    /// Gives up to `seq` to no other record: one that was rolled back is on its way under it.
    pub(super) fn skip(&mut self, seq: u64) {
        self.counters.last_seq = self.counters.last_seq.max(seq);
    }

    /// Begins one group commit.
    pub(super) fn batch(&mut self) -> Result<Batch<'_>, SpoolError> {
        self.begin_log_anew()?;
        Batch::begin(&self.connection, &mut self.counters, &mut self.recent, &self.accounts)
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
        batch::known(&self.connection, &self.recent, lane, &recent::place(event_time, id, account))
    }

    /// Moves the WAL into the database and, after a removal, takes the reserve back where the disk has room.
    pub(super) fn tidy(&mut self) {
        self.truncate_log();
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
