//! Why the spool failed, and what that means: a full disk, damage, or another fault.

use rusqlite::ErrorCode;

use super::{FolderError, database::LAYOUT};

/// Why the spool failed.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A full disk takes no new spool.
    #[error("{path}: the disk is full: free some space there, 8 MiB at least")]
    NoRoom {
        /// The folder.
        path: String,
    },
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
    /// Another process reads the last run's log, so that it cannot be emptied.
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
        matches!(self, Self::Database(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull))
    }

    /// Whether the database's content is at fault, and not the disk, a lock, a permission or another release's layout.
    pub(in crate::delivery) fn is_damage(&self) -> bool {
        match self {
            Self::Database(error) => {
                matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
            }
            Self::Incomplete { .. } | Self::Counters => true,
            Self::Folder(_) | Self::NoRoom { .. } | Self::Layout { .. } | Self::Damaged { .. } | Self::LogInUse => {
                false
            }
        }
    }
}
