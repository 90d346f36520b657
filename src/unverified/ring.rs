//! The segment files as their one writer has them: appends, forgets the oldest beyond the bounds, remembers each body.
//!
//! Does not depend on threads; the time is an argument. Segments are begun by size and by time, each an eighth of the
//! bounds, so that forgetting the oldest one costs little.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::{
    Bounds, done, folder,
    frame::{self, BodyId, Push},
    numbers, segment,
};

/// Parts of a bound that one segment takes.
const PARTS: u64 = 8;

/// One kept push: about 50 bytes of memory, the copy in `bodies` included.
struct Entry {
    received_at_ms: i64,
    segment: u64,
    offset: u64,
    body: BodyId,
    published: bool,
}

struct Segment {
    number: u64,
    bytes: u64,
    /// Receipt of its first push.
    began_ms: i64,
    /// Of its `.done` file, as last read.
    marked_bytes: u64,
}

/// See the module.
pub(super) struct Ring {
    folder: PathBuf,
    bounds: Bounds,
    segments: VecDeque<Segment>,
    entries: VecDeque<Entry>,
    bodies: HashSet<BodyId>,
    /// The last segment, while it takes further frames. What an earlier run left takes none: its end may be torn.
    current: Option<File>,
    dirty: bool,
}

impl Ring {
    /// Reads what earlier runs left, as far as it reads. Makes no folder yet.
    pub(super) fn open(spool: &Path, bounds: Bounds) -> io::Result<Self> {
        let mut ring = Self {
            folder: folder(spool),
            bounds,
            segments: VecDeque::new(),
            entries: VecDeque::new(),
            bodies: HashSet::new(),
            current: None,
            dirty: false,
        };
        for number in numbers(&ring.folder, "kept")? {
            let bytes = fs::read(segment(&ring.folder, number))?;
            let mut at = 0;
            let mut began_ms = None;
            while let Some((push, length)) = bytes.get(at..).and_then(frame::first) {
                began_ms = began_ms.or(Some(push.received_at_ms));
                ring.remember(&push, number, at as u64);
                at += length;
            }
            ring.segments.push_back(Segment {
                number,
                bytes: bytes.len() as u64,
                began_ms: began_ms.unwrap_or_default(),
                marked_bytes: 0,
            });
        }
        Ok(ring)
    }

    fn remember(&mut self, push: &Push<'_>, segment: u64, offset: u64) {
        let (received_at_ms, body) = (push.received_at_ms, push.body_id());
        if self.bodies.insert(body) {
            self.entries.push_back(Entry { received_at_ms, segment, offset, body, published: false });
        }
    }

    /// How many pushes are kept and were not published.
    pub(super) fn kept(&self) -> usize {
        self.entries.iter().filter(|entry| !entry.published).count()
    }

    /// Appends a frame, unless its body is kept already. Whether it was.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn append(&mut self, frame: &[u8]) -> io::Result<bool> {
        let Some((push, length)) = frame::first(frame) else { return Ok(false) };
        let length = length as u64;
        if self.bodies.contains(&push.body_id()) || length > self.bounds.max_bytes {
            return Ok(false);
        }
        self.forget(push.received_at_ms);
        while self.bytes() + length > self.bounds.max_bytes && self.forget_oldest() {}
        let now_ms = push.received_at_ms;
        let part = (self.bounds.max_bytes / PARTS, self.bounds.window_ms / i64::try_from(PARTS).unwrap_or(1));
        let full = |last: &Segment| last.bytes + length > part.0 || now_ms.saturating_sub(last.began_ms) > part.1;
        if self.current.is_none() || self.segments.back().is_none_or(full) {
            self.begin(now_ms)?;
        }
        let (Some(file), Some(last)) = (&mut self.current, self.segments.back_mut()) else { return Ok(false) };
        let (number, offset) = (last.number, last.bytes);
        last.bytes += length;
        self.dirty = true;
        if let Err(error) = file.write_all(frame) {
            // A full disk lets a file be cut. Else its end may be torn: what comes next goes to another segment.
            if file.set_len(offset).is_ok() {
                last.bytes = offset;
            } else {
                self.current = None;
            }
            return Err(error);
        }
        self.remember(&push, number, offset);
        Ok(true)
    }

    fn begin(&mut self, now_ms: i64) -> io::Result<()> {
        self.sync();
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let number = self.segments.back().map_or(0, |last| last.number + 1);
        let path = segment(&self.folder, number);
        self.current = Some(OpenOptions::new().create_new(true).append(true).mode(0o600).open(path)?);
        self.segments.push_back(Segment { number, bytes: 0, began_ms: now_ms, marked_bytes: 0 });
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes + segment.marked_bytes).sum()
    }

    /// Forgets what is older than the window.
    pub(super) fn forget(&mut self, now_ms: i64) {
        let from = now_ms.saturating_sub(self.bounds.window_ms);
        while let Some(old) = self.entries.pop_front_if(|entry| entry.received_at_ms < from) {
            self.bodies.remove(&old.body);
        }
        let oldest = self.entries.front().map(|entry| entry.segment);
        while self.segments.front().is_some_and(|first| oldest.is_none_or(|oldest| first.number < oldest)) {
            self.forget_oldest();
        }
    }

    /// Removes the oldest segment and all that stands in it. False when there is none.
    fn forget_oldest(&mut self) -> bool {
        let Some(oldest) = self.segments.pop_front() else { return false };
        if self.segments.is_empty() {
            self.current = None;
        }
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.segment <= oldest.number) {
            self.bodies.remove(&entry.body);
        }
        // What cannot be removed now is found by the next start.
        let _ = fs::remove_file(segment(&self.folder, oldest.number));
        let _ = fs::remove_file(done(&self.folder, oldest.number));
        true
    }

    /// Reads what a replay has noted since, and removes notes whose segment is gone.
    pub(super) fn look_for_marks(&mut self) -> io::Result<()> {
        for number in numbers(&self.folder, "done")? {
            let path = done(&self.folder, number);
            let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == number) else {
                fs::remove_file(path)?;
                continue;
            };
            let bytes = fs::metadata(&path)?.len();
            if bytes != segment.marked_bytes {
                segment.marked_bytes = bytes;
                let published: BTreeSet<u64> = frame::marks(&fs::read(path)?).collect();
                for entry in self.entries.iter_mut().filter(|entry| entry.segment == number) {
                    entry.published |= published.contains(&entry.offset);
                }
            }
        }
        Ok(())
    }

    /// Makes what was appended outlive a power failure. A kill costs nothing of it.
    pub(super) fn sync(&mut self) {
        if let (true, Some(file)) = (std::mem::take(&mut self.dirty), &self.current) {
            // Best effort: the next append meets a failing disk too.
            let _ = file.sync_data();
        }
    }
}
