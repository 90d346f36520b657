//! The spool: pending records in arrival order and remembered ids, in one SQLite database, each commit one fsynced transaction.
//!
//! `worker` is its thread, `pages` the thread that reads beside it. Does not depend on Kafka or on answers. What holds:
//!
//! - the transaction that appends a record remembers its id: an event is either new and stored, or a duplicate;
//! - a record's place is `lane << 56 | seq`, so that each lane is one range of the tree, in arrival order;
//! - a `seq` holds the second of receipt in its upper bits (`second << 16 | counter`), and so says when an id was received
//!   without a column of its own. It is given by the delivery, and no two records have the same;
//! - remembered ids stand by event time (`ids`): inserts stay at the tree's right edge. Those of quarantined pushes, which have no
//!   event time, and nonce uses stand in buckets by receipt.

mod batch;
#[doc(hidden)]
pub mod bench;
mod buckets;
mod commit;
mod damage;
mod database;
mod error;
mod export;
mod folder;
mod forgetter;
mod full_disk;
mod handle;
mod ids;
mod known;
mod log;
mod memory;
mod pages;
mod place;
mod reader;
mod upgrade;
mod verify;
mod worker;

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::{Lane, pending::Seq};
use database::{LAYOUT, account_number, connect, read_counters};

pub(super) use batch::{Batch, size_of};
pub(super) use commit::{
    Append, Commit, Committed, Decided, Decision, Done, Moved, NonceUse, Removal, Undecided, has_dead_letter,
};
pub use error::SpoolError;
pub use export::{Spooled, each_page, take_out};
pub use folder::FolderError;
pub(super) use handle::{Opened, Read, Report as StoreReport, Status, Store};
pub(super) use known::{Id, Known, NO_EVENT_TIME};
pub use memory::Memory;
pub use place::{network_file_system, spool_folder, volatile_file_system};
pub use reader::{Reader, Report, Stored};
pub use verify::Verified;

/// Bits of a row id below the lane.
const SEQ_BITS: u32 = 56;
/// Bits of a seq below the second of receipt.
const COUNTER_BITS: u32 = 16;
/// An eighth of the default window.
const BUCKET_SECONDS: i64 = 6 * 3600;

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
    /// Remembered ids of quarantined pushes.
    pub quarantined: u64,
}

/// The open spool: one per service, owned by the writer thread.
#[derive(Debug)]
pub(super) struct Spool {
    connection: Connection,
    folder: folder::Folder,
    log: log::Log,
    counters: Counters,
    /// The numbers of `Settings::accounts`, in their order.
    accounts: Vec<i64>,
    /// How many seconds of receipt a bucket of quarantined ids and of nonce uses covers: they are forgotten a bucket at a time.
    bucket_seconds: i64,
}

impl Spool {
    /// Opens or creates the spool in `path`, and gives each account name its number. A damaged one is set aside, and what
    /// reads of its pending records is taken over into a new one.
    pub(super) fn open(path: &Path, accounts: &[String]) -> Result<Self, SpoolError> {
        Self::open_there(path, accounts).map_err(|error| match error {
            full if full.is_full() => SpoolError::NoRoom { path: path.display().to_string() },
            other => other,
        })
    }

    fn open_there(path: &Path, accounts: &[String]) -> Result<Self, SpoolError> {
        let folder = folder::Folder::open(path)?;
        let (connection, log) = match folder.known_damage().map_or_else(|| connect(&folder.database()), Err) {
            Err(damage) if damage.is_damage() => {
                damage::report(&damage, &folder.set_aside()?);
                connect(&folder.database())?
            }
            opened => opened?,
        };
        let counters = read_counters(&connection, LAYOUT)?;
        let mut spool =
            Self { connection, folder, log, counters, accounts: Vec::new(), bucket_seconds: BUCKET_SECONDS };
        // Where that fails, every batch tries it again first.
        let _ = spool.log.begin_anew(&spool.connection);
        spool.accounts =
            accounts.iter().map(|name| account_number(&spool.connection, name)).collect::<Result<_, _>>()?;
        damage::take_over(&mut spool, accounts);
        Ok(spool)
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    /// A reader beside the writer.
    pub(super) fn reader(&self) -> Result<Reader, SpoolError> {
        Reader::beside(&self.folder.database(), &self.log.gate)
    }

    /// Begins one group commit.
    pub(super) fn batch(&mut self) -> Result<Batch<'_>, SpoolError> {
        self.log.begin_anew(&self.connection)?;
        Batch::begin(&self.connection, &mut self.counters, &self.accounts, self.bucket_seconds)
    }

    /// What is known of an id without writing: reading works on a full disk too.
    pub(super) fn known(&self, id: &Id) -> Result<Option<Known>, SpoolError> {
        let seq = known::remembered(&self.connection, self.account(id.account), id.event_time, id.event_id)?;
        seq.map_or(Ok(None), |seq| known::at(&self.connection, seq))
    }

    /// Whether a signature is bound to another event; without writing.
    pub(super) fn is_bound_to_another(&self, used: &NonceUse) -> Result<bool, SpoolError> {
        let NonceUse { account, signature, event_id, received_s: _ } = *used;
        Ok(known::bound_to(&self.connection, self.account(account), &signature, event_id)? == Some(false))
    }

    /// Moves the log into the database when it has grown.
    pub(super) fn move_log_when_due(&mut self) -> Result<(), SpoolError> {
        self.log.move_when_due(&self.connection)
    }

    /// Moves the log into the database and gives its blocks back, where nobody is in the way.
    pub(super) fn truncate_log(&mut self) -> bool {
        self.log.truncate(&self.connection)
    }

    fn account(&self, index: usize) -> i64 {
        self.accounts.get(index).copied().unwrap_or(-1)
    }

    /// The newest event second that is remembered and is not after `now`, and the ids after it, each with its place; `most`
    /// at most, else the newest second of all and no ids.
    pub(super) fn newest(&self, now: i64, most: usize) -> Result<(i64, Vec<(Id, Known)>), SpoolError> {
        let newest = |upto: i64| -> Result<i64, SpoolError> {
            let ask = "SELECT max(key) FROM remembered WHERE key <= ?";
            let key = self.connection.query_row(ask, [upto], |row| row.get::<_, Option<i64>>(0))?;
            Ok(key.map_or(i64::MIN, ids::second_of))
        };
        let (_, last) = ids::keys_of(now);
        let mut ahead = self.connection.prepare("SELECT key, ids FROM remembered WHERE key > ? ORDER BY key")?;
        let mut rows = ahead.query([last])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let event_time = ids::second_of(row.get(0)?);
            let bytes =
                row.get_ref(1)?.as_blob().map_err(|_| SpoolError::Incomplete { what: "an id does not read" })?;
            for ids::Entry { id: event_id, account, seq } in ids::entries(bytes) {
                let Some(account) = self.accounts.iter().position(|known| *known == account) else { continue };
                let lane = known::lane_of(&self.connection, seq)?.unwrap_or(None);
                found.push((Id { account, event_time, event_id }, Known { lane, seq: Seq(seq) }));
            }
            if found.len() >= most {
                return Ok((newest(i64::MAX)?, Vec::new()));
            }
        }
        Ok((newest(last)?, found))
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

/// The lowest seq of a second of receipt, Unix seconds.
pub(super) fn seq_of_second(second: i64) -> u64 {
    second.max(0).cast_unsigned() << COUNTER_BITS
}

/// The second of receipt that a seq holds.
pub(super) fn second_of_seq(seq: u64) -> i64 {
    (seq >> COUNTER_BITS).cast_signed()
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
