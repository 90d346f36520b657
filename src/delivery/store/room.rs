//! The spool on a full disk: removal with the reserve's blocks, and room for one more try.

use super::{Spool, SpoolError, folder};
use crate::delivery::Lane;

/// A smaller write-ahead log is not worth moving on a full disk.
const WORTH_MOVING: u64 = 32 * 1024;
/// Free pages of the database that take the largest batch in any case.
const ENOUGH_FREE_PAGES: i64 = 500;
/// Records removed in one transaction on a full disk: what it writes fits in the reserve.
const REMOVE_AT_ONCE: usize = 512;

impl Spool {
    /// Removes acknowledged records, (seq, bytes) by lane, with the reserve's blocks where the disk is full. What is left in
    /// `removals` after an error was not removed.
    pub(in crate::delivery) fn remove(&mut self, removals: &mut [(Lane, Vec<(u64, u64)>)]) -> Result<(), SpoolError> {
        let removed = self.try_remove(removals, usize::MAX);
        if !removed.as_ref().is_err_and(SpoolError::is_full) {
            return removed;
        }
        self.folder.release_reserve();
        let removed = self.try_remove(removals, REMOVE_AT_ONCE);
        // A removal frees pages: the database need not grow, and the log's blocks are the reserve's again.
        self.close_room();
        removed
    }

    /// What is committed is taken out of `removals`.
    fn try_remove(&mut self, removals: &mut [(Lane, Vec<(u64, u64)>)], at_once: usize) -> Result<(), SpoolError> {
        for (lane, acked) in removals {
            while !acked.is_empty() {
                let rest = acked.len().saturating_sub(at_once);
                let mut batch = self.batch()?;
                batch.remove(*lane, acked.get_mut(rest..).unwrap_or_default())?;
                batch.commit()?;
                acked.truncate(rest);
            }
        }
        Ok(())
    }

    /// On a full disk: makes room for one more try, which `close_room` must follow. What the log holds is moved into the
    /// database, with the reserve's blocks; that gives the log's blocks back, which are at least as many. The reserve stays
    /// open for the log only where the database has free pages of its own to take the batch, so that it always comes back.
    pub(in crate::delivery) fn make_room(&mut self) -> bool {
        let gained = folder::log_bytes(&self.folder.database()) >= WORTH_MOVING;
        self.folder.release_reserve();
        if !self.truncate_log() {
            self.folder.restore_reserve();
            return false;
        }
        let free: i64 = self.connection.query_row("PRAGMA freelist_count", [], |row| row.get(0)).unwrap_or(0);
        if free >= ENOUGH_FREE_PAGES {
            return true;
        }
        self.folder.restore_reserve();
        gained
    }

    /// Whether the disk has room: the reserve is there, or can be made again.
    pub(in crate::delivery) fn is_whole(&self) -> bool {
        self.folder.restore_reserve() || !self.folder.had_reserve
    }

    /// Gives the log's blocks back and takes the reserve again.
    pub(in crate::delivery) fn close_room(&mut self) {
        self.truncate_log();
        self.folder.restore_reserve();
    }
}
