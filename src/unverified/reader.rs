//! Reading kept pushes beside the service that keeps them, and noting which were published.
//!
//! Does not depend on the writer's state: a segment that is removed meanwhile is passed over, the frame that is being
//! written is not seen yet.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{done, folder, frame, numbers, segment};

/// Where a kept push stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    segment: u64,
    offset: u64,
}

/// A kept push. Debug shows its size only: it is personal, and nobody has vouched for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it stands.
    pub place: Place,
    /// Receipt, Unix milliseconds.
    pub received_at_ms: i64,
    /// The name of the account whose path it was sent to.
    pub account: String,
    /// As received, without `?`.
    pub query: String,
    /// As received.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("place", &self.place).field("body_bytes", &self.body.len()).finish_non_exhaustive()
    }
}

/// Goes through what is kept, in the order of receipt; one at a time for a folder.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    /// Segments that are still to be read.
    ahead: VecDeque<u64>,
    /// Read, and not given out.
    read: VecDeque<Kept>,
    /// Older ones are passed over.
    from_ms: i64,
    _lock: Option<File>,
}

impl Reader {
    /// Opens the folder of a spool. Pushes received before `from_ms` are passed over. Nothing kept: nothing to read.
    ///
    /// # Errors
    /// When the folder cannot be read, or another reader has it.
    pub fn open(spool: &Path, from_ms: i64) -> io::Result<Self> {
        let folder = folder(spool);
        let lock = match OpenOptions::new().create(true).append(true).mode(0o600).open(folder.join("replay.lock")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            lock => Some(lock?),
        };
        if let Some(lock) = &lock {
            lock.try_lock()
                .map_err(|_| io::Error::new(io::ErrorKind::ResourceBusy, "another replay reads the kept pushes"))?;
        }
        let ahead = numbers(&folder, "kept")?.into();
        Ok(Self { folder, ahead, read: VecDeque::new(), from_ms, _lock: lock })
    }

    /// The next one that was not published.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn next_kept(&mut self) -> io::Result<Option<Kept>> {
        while self.read.is_empty() {
            let Some(number) = self.ahead.pop_front() else { return Ok(None) };
            self.read = self.segment(number)?;
        }
        Ok(self.read.pop_front())
    }

    fn segment(&self, number: u64) -> io::Result<VecDeque<Kept>> {
        let bytes = if_there(std::fs::read(segment(&self.folder, number)))?;
        let published: BTreeSet<u64> = frame::marks(&if_there(std::fs::read(done(&self.folder, number)))?).collect();
        let (mut kept, mut at) = (VecDeque::new(), 0);
        while let Some((push, length)) = bytes.get(at..).and_then(frame::first) {
            let place = Place { segment: number, offset: at as u64 };
            if push.received_at_ms >= self.from_ms && !published.contains(&place.offset) {
                kept.push_back(Kept {
                    place,
                    received_at_ms: push.received_at_ms,
                    account: push.account.to_owned(),
                    query: push.query.to_owned(),
                    body: push.body.to_vec(),
                });
            }
            at += length;
        }
        Ok(kept)
    }

    /// Notes that these were published: no reader is given them again. They are on the disk when it returns.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn published(&self, places: impl IntoIterator<Item = Place>) -> io::Result<()> {
        let mut marks: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        for Place { segment, offset } in places {
            marks.entry(segment).or_default().extend_from_slice(&frame::mark(offset));
        }
        for (number, marks) in marks {
            let path = done(&self.folder, number);
            let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
            // A run that was killed may have left a torn one: those behind it stand at multiples of their length again.
            let torn = usize::try_from(file.metadata()?.len() % 16).unwrap_or_default();
            if torn > 0 {
                file.write_all([0; 16].get(torn..).unwrap_or_default())?;
            }
            file.write_all(&marks)?;
            file.sync_data()?;
        }
        Ok(())
    }
}

/// How many pushes are kept and were not published, by account. Reads them all.
///
/// # Errors
/// When they cannot be read.
pub fn count(spool: &Path, from_ms: i64) -> io::Result<BTreeMap<String, u64>> {
    let folder = folder(spool);
    let ahead = numbers(&folder, "kept")?.into();
    let mut reader = Reader { folder, ahead, read: VecDeque::new(), from_ms, _lock: None };
    let mut counts = BTreeMap::new();
    while let Some(kept) = reader.next_kept()? {
        *counts.entry(kept.account).or_default() += 1;
    }
    Ok(counts)
}

/// Nothing, where there is no file.
fn if_there(read: io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}
