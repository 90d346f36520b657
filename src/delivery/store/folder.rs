//! The spool's folder: permissions, the lock that keeps a second service out, what was set aside, the reserve.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::fs::FallocateFlags;

use super::{
    SpoolError,
    place::{is_ours, network_file_system, spool_folder},
};
use crate::clock;

/// Freed when the disk is full, so that a removal has room for its WAL frames.
const RESERVE_BYTES: u64 = 8 * 1024 * 1024;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be made, opened or written.
    #[error("{path}: {source} (spool.path must be a folder that this user may write, and a spool in it this user's)")]
    Io {
        /// What could not be used.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{path} is in use by another cardhook: stop that one, or give this one a spool.path of its own")]
    InUse {
        /// The folder.
        path: String,
    },
    /// Nothing to look into.
    #[error("there is no spool in {path}: name the spool.path of a service that has run")]
    NoSpool {
        /// The folder.
        path: String,
    },
    /// A service's spool is its user's alone.
    #[error("{path}: {source}: run this command as the service's user")]
    Closed {
        /// The database.
        path: String,
        /// Why it does not open.
        source: io::Error,
    },
    /// WAL does not work there.
    #[error(
        "{path} is on {kind}, a network file system, where SQLite's write-ahead log does not work: use a local disk"
    )]
    NetworkFileSystem {
        /// The folder.
        path: String,
        /// Its file system.
        kind: &'static str,
    },
}

/// The folder while this process has it. The lock is given back when it is dropped, and by the kernel at a kill.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// False where the file system cannot make one, or was too full at the start.
    pub(super) had_reserve: bool,
    _lock: File,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |at: &Path| {
            let path = at.display().to_string();
            move |source| FolderError::Io { path, source }
        };
        let path = &spool_folder(path);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))?;
        if let Some(kind) = network_file_system(path) {
            return Err(FolderError::NetworkFileSystem { path: path.display().to_string(), kind });
        }
        // The mode of somebody else's folder is his; the files in it are ours alone all the same.
        if is_ours(path).map_err(failed(path))? {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed(path))?;
        }
        let lock_path = path.join("lock");
        let lock = private_file(&lock_path).map_err(failed(&lock_path))?;
        lock.try_lock().map_err(|_| FolderError::InUse { path: path.display().to_string() })?;
        let mut folder = Self { path: path.to_owned(), had_reserve: false, _lock: lock };
        // SQLite gives its -wal and -shm files the permissions of the database.
        let database = folder.database();
        folder.finish_setting_aside().map_err(failed(&database))?;
        private_file(&database).map_err(failed(&database))?;
        folder.had_reserve = folder.restore_reserve();
        if !folder.had_reserve {
            let path = folder.path.display();
            tracing::warn!(%path, "no room for the spool's reserve of 8 MiB: should this disk fill up, nothing can be removed until it has room again");
        }
        Ok(folder)
    }

    pub(super) fn database(&self) -> PathBuf {
        database(&self.path)
    }

    /// Damage that need not be looked for: a run before this one met it, or the database is gone and its log is not (SQLite
    /// would delete that).
    pub(super) fn known_damage(&self) -> Option<SpoolError> {
        let database = self.database();
        if self.damage_mark().exists() {
            return Some(SpoolError::Incomplete { what: "the last run met damage" });
        }
        let empty = fs::metadata(&database).is_ok_and(|file| file.len() == 0);
        (empty && log_bytes(&database) > 0)
            .then_some(SpoolError::Incomplete { what: "it is empty, and its log is not" })
    }

    /// Says to the next start that the database is damaged. Where that cannot be written, it has to find the damage itself.
    pub(super) fn mark_damaged(&self) {
        let _ = private_file(&self.damage_mark());
    }

    fn damage_mark(&self) -> PathBuf {
        self.path.join("damaged")
    }

    /// Gives the database and its log a new name, and makes room for a new one. Returns the name.
    pub(super) fn set_aside(&self) -> Result<PathBuf, FolderError> {
        let database = self.database();
        let now = jiff::Timestamp::from_millisecond(clock::unix_millis()).unwrap_or_default();
        let name = format!("spool.db.corrupt-{}", now.strftime("%Y%m%dT%H%M%SZ"));
        let names = std::iter::once(name.clone()).chain((2..).map(|number: u32| format!("{name}-{number}")));
        let mut places = names.map(|name| self.path.join(name));
        // Nobody else makes files here: the folder is locked.
        let free = |place: &PathBuf| ["", "-wal", "-shm"].iter().all(|part| !beside(place, part).exists());
        let aside = places.find(free).unwrap_or_else(|| self.path.join(name));
        let moved = || {
            fs::write(self.take_over_note(), aside.as_os_str().as_encoded_bytes())?;
            File::open(self.take_over_note())?.sync_all()?;
            // The database first: a start that finds it gone goes on with the rest.
            move_parts(&database, &aside, &["", "-wal", "-shm"])?;
            private_file(&database)?;
            File::open(&self.path)?.sync_all()?;
            match fs::remove_file(self.damage_mark()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            }
        };
        moved().map_err(|source| FolderError::Io { path: aside.display().to_string(), source })?;
        Ok(aside)
    }

    /// A start that was killed while it set a database aside has moved that, and not its log.
    fn finish_setting_aside(&self) -> io::Result<()> {
        let database = self.database();
        match self.to_take_over() {
            Some(aside) if !database.exists() && aside.exists() => move_parts(&database, &aside, &["-wal", "-shm"]),
            Some(_) | None => Ok(()),
        }
    }

    /// The database that was set aside and whose records are not all taken over yet.
    pub(super) fn to_take_over(&self) -> Option<PathBuf> {
        let aside = fs::read(self.take_over_note()).ok()?;
        Some(OsStr::from_bytes(&aside).into())
    }

    pub(super) fn took_over(&self) {
        let _ = fs::remove_file(self.take_over_note());
    }

    /// Read again by the next start where this one does not come to the end.
    fn take_over_note(&self) -> PathBuf {
        self.path.join("take-over")
    }

    fn reserve(&self) -> PathBuf {
        self.path.join("reserve")
    }

    /// Gives the reserve's blocks back to the disk, where it is there.
    pub(super) fn release_reserve(&self) {
        let _ = fs::remove_file(self.reserve());
    }

    /// Makes the reserve where there is none and the disk has room. Whether it is there.
    pub(super) fn restore_reserve(&self) -> bool {
        let path = self.reserve();
        if path.exists() {
            return true;
        }
        let Ok(file) = private_file(&path) else { return false };
        let made = rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES).is_ok();
        if !made {
            let _ = fs::remove_file(&path);
        }
        made
    }
}

/// The database file within a spool's folder.
pub(super) fn database(folder: &Path) -> PathBuf {
    folder.join("spool.db")
}

/// Bytes of a database's write-ahead log.
pub(super) fn log_bytes(database: &Path) -> u64 {
    fs::metadata(beside(database, "-wal")).map_or(0, |log| log.len())
}

/// Those that are there.
fn move_parts(database: &Path, to: &Path, parts: &[&str]) -> io::Result<()> {
    for part in parts {
        match fs::rename(beside(database, part), beside(to, part)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn beside(database: &Path, part: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(part);
    name.into()
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)
}
