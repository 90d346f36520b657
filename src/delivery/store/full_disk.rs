//! The spool on a full disk: removal with the reserve's blocks, and room for one more try.

use super::{Removal, Spool, SpoolError, folder};

/// A smaller write-ahead log is not worth moving on a full disk.
const WORTH_MOVING: u64 = 32 * 1024;
/// Free pages of the database that take the largest batch in any case.
const ENOUGH_FREE_PAGES: i64 = 500;
/// Records removed in one transaction on a full disk: what it writes fits in the reserve.
const REMOVE_AT_ONCE: usize = 512;

/// Removes acknowledged records, with the reserve's blocks where the disk is full. What is left in `removals` after an error
/// was not removed.
pub(super) fn remove(spool: &mut Spool, removals: &mut Vec<Removal>) -> Result<(), SpoolError> {
    let removed = try_remove(spool, removals, usize::MAX);
    if !removed.as_ref().is_err_and(SpoolError::is_full) {
        return removed;
    }
    spool.folder.release_reserve();
    let removed = try_remove(spool, removals, REMOVE_AT_ONCE);
    // A removal frees pages: the database need not grow, and the log's blocks are the reserve's again.
    spool.tidy();
    removed
}

/// What is committed is taken out of `removals`.
fn try_remove(spool: &mut Spool, removals: &mut Vec<Removal>, at_once: usize) -> Result<(), SpoolError> {
    while !removals.is_empty() {
        let rest = removals.len().saturating_sub(at_once);
        let mut batch = spool.batch()?;
        batch.remove(removals.get_mut(rest..).unwrap_or_default())?;
        batch.commit()?;
        removals.truncate(rest);
    }
    Ok(())
}

/// On a full disk: makes room for one more try, which [`Spool::tidy`] must follow. What the log holds is moved into the
/// database, with the reserve's blocks; that gives the log's blocks back, which are at least as many. The reserve stays
/// open for the log only where the database has free pages of its own to take the batch, so that it always comes back.
pub(super) fn make_room(spool: &mut Spool) -> bool {
    let gained = folder::log_bytes(&spool.folder.database()) >= WORTH_MOVING;
    spool.folder.release_reserve();
    if !spool.truncate_log() {
        spool.folder.restore_reserve();
        return false;
    }
    let free: i64 = spool.connection.query_row("PRAGMA freelist_count", [], |row| row.get(0)).unwrap_or(0);
    if free >= ENOUGH_FREE_PAGES {
        return true;
    }
    spool.folder.restore_reserve();
    gained
}

/// Whether the disk has room: the reserve is there, or can be made again.
pub(super) fn is_whole(spool: &Spool) -> bool {
    spool.folder.restore_reserve() || !spool.folder.had_reserve
}
