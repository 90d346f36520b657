//! Which records of a lane are on disk only: all of them stand between `loaded` and `evicted`, and are read again in order.
//!
//! Does not depend on I/O, clocks, SQLite or Kafka.

use super::{record::Seq, step::Step};

/// See the module.
#[derive(Debug)]
pub(super) struct Window {
    /// What the disk holds up to here is in memory too, or is acknowledged.
    loaded: Seq,
    /// The last record that was left on disk. Beyond `loaded`: the lane is behind, and what is stored is left on disk too.
    evicted: Seq,
    /// A page is being read, up to here.
    reading: Option<Seq>,
    /// Nothing is read any more: the service stops.
    closed: bool,
}

impl Window {
    /// Records up to `last_stored` are on disk.
    pub(super) fn new(last_stored: Seq) -> Self {
        Self { loaded: Seq(0), evicted: last_stored, reading: None, closed: false }
    }

    /// While the disk holds records that memory does not: only what stands up to here may leave.
    pub(super) fn behind(&self) -> Option<Seq> {
        (self.evicted > self.loaded).then_some(self.loaded)
    }

    /// A record that is not in memory may be on disk.
    pub(super) fn has(&self, seq: Seq) -> bool {
        self.loaded < seq && seq <= self.evicted
    }

    /// The page that is being read may have this record.
    pub(super) fn reads(&self, seq: Seq) -> bool {
        self.reading.is_some_and(|upto| seq <= upto)
    }

    /// The next page to read, if there is one and none is being read.
    pub(super) fn read(&mut self) -> Option<Step> {
        let after = self.behind().filter(|_| self.reading.is_none() && !self.closed)?;
        self.reading = Some(self.evicted);
        Some(Step::Read { after, upto: self.evicted })
    }

    /// Everything up to here was read.
    pub(super) fn read_up_to(&mut self, upto: Seq) {
        self.reading = None;
        self.loaded = self.loaded.max(upto);
    }

    /// The store does not read: tried again with the next step.
    pub(super) fn not_read(&mut self) {
        self.reading = None;
    }

    /// A record is left on disk, and nothing behind it is in memory alone.
    pub(super) fn leave(&mut self, seq: Seq) {
        let before = Seq(seq.0 - 1);
        self.loaded = if self.evicted > self.loaded { self.loaded.min(before) } else { before };
        self.evicted = self.evicted.max(seq);
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }
}
