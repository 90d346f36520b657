//! The write-ahead log: when it is moved into the database, and what is not believed after a failed fsync.
//!
//! After a failed fsync the kernel may drop the pages that it could not write and call them clean; the next fsync succeeds
//! without them (what PostgreSQL learned in 2018). For each fsync of SQLite (`walFrames`, `walCheckpoint`) that means:
//!
//! - **A commit's fails.** Its frames are not counted, and the next commit writes its own in their place. What was answered
//!   before stands in frames that were synced before. Nothing to do.
//! - **A process comes after such a one.** It reads those frames from the kernel's memory as a commit and would append behind
//!   them, behind a hole on the disk. So a log that is found at the start is moved into the database, by writes and an
//!   fsync of this process, and begun anew before the first append.
//! - **A checkpoint's fails.** What it moved is not counted as moved: the next one writes all of it again, from the log.
//! - **But a checkpoint that a reader stops half-way** counts what it moved without an fsync, and no later one writes that
//!   again: if the later one's fsync fails, it is in the log only. So the readers of this process wait for a checkpoint; and
//!   if it happens all the same, because another process reads, the log is kept as it is until the next start.

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use rusqlite::{Connection, ErrorCode, config::DbConfig};

use super::SpoolError;

/// Frames of the log after which it is moved into the database: half of the reserve.
const LOG_FRAMES: i64 = 500;

/// Held by a reader of this process while it reads, and by the writer while it moves the log.
pub(super) type Gate = Arc<RwLock<()>>;

/// What is known of the log.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) gate: Gate,
    /// How many frames it had when it was last to be moved.
    tried_at: i64,
    /// A process before this one wrote it.
    found: bool,
    /// The last checkpoint was stopped half-way.
    halfway: bool,
    /// An fsync failed after that.
    kept: bool,
}

/// How far a checkpoint goes.
#[derive(Debug, Clone, Copy)]
enum Checkpoint {
    /// The log's content; its blocks are used again.
    Move,
    /// And its blocks are given back.
    Truncate,
}

impl Log {
    /// Takes the checkpoints over from SQLite, which keeps their errors to itself and makes one more when it closes.
    pub(super) fn of(connection: &Connection, database: &Path) -> Result<Self, SpoolError> {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.execute_batch("PRAGMA wal_autocheckpoint = 0")?;
        let found = super::folder::log_bytes(database) > 0;
        // A process that has the database open while the service starts again keeps the last run's count of what was moved,
        // and whether that run's fsync failed is not known any more.
        if found {
            let (log, moved) = frames(connection)?;
            if 0 < moved && moved < log {
                return Err(SpoolError::LogInUse);
            }
        }
        Ok(Self { gate: Gate::default(), tried_at: 0, found, halfway: false, kept: false })
    }

    /// Makes sure that nothing is appended to a log that another process wrote.
    pub(super) fn begin_anew(&mut self, connection: &Connection) -> Result<(), SpoolError> {
        if self.found && !self.checkpoint(connection, Checkpoint::Truncate)? {
            return Err(SpoolError::LogInUse);
        }
        self.found = false;
        Ok(())
    }

    /// Moves the log into the database when it has grown.
    pub(super) fn move_when_due(&mut self, connection: &Connection) -> Result<(), SpoolError> {
        let (frames, _) = frames(connection)?;
        if frames < self.tried_at {
            self.tried_at = 0;
        }
        if frames - self.tried_at < LOG_FRAMES {
            return Ok(());
        }
        self.tried_at = frames;
        self.checkpoint(connection, Checkpoint::Move).map(|_| ())
    }

    /// Moves the log into the database and gives its blocks back, where nobody is in the way.
    pub(super) fn truncate(&mut self, connection: &Connection) -> bool {
        let truncated = self.checkpoint(connection, Checkpoint::Truncate).is_ok_and(|whole| whole);
        self.found &= !truncated;
        truncated
    }

    /// Whether all of it was done.
    fn checkpoint(&mut self, connection: &Connection, how: Checkpoint) -> Result<bool, SpoolError> {
        if self.kept {
            return Ok(false);
        }
        let gate = Arc::clone(&self.gate);
        let _nobody_reads = gate.write().unwrap_or_else(PoisonError::into_inner);
        let pragma = match how {
            Checkpoint::Move => "PRAGMA wal_checkpoint(PASSIVE)",
            Checkpoint::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
        };
        let done = connection.query_row(pragma, [], |row| {
            let (busy, log, moved): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((busy == 0, log == moved))
        });
        match done {
            Ok((unhindered, whole)) => {
                self.halfway = !whole;
                Ok(unhindered && whole)
            }
            Err(error) => {
                self.kept = self.halfway && error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure);
                if self.kept {
                    tracing::error!(
                        "the spool's log is kept as it is and grows until the next start: moving it failed after another process had stopped it half-way"
                    );
                }
                Err(error.into())
            }
        }
    }
}

/// How many frames the log has, and how many of them are moved.
fn frames(connection: &Connection) -> Result<(i64, i64), SpoolError> {
    let mut ask = connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?;
    Ok(ask.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))?)
}

#[cfg(test)]
mod tests;
