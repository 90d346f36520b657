//! Reading a spool out, page by page, and taking out what was written out.

use std::{io, path::Path};

use super::{Reader, Removal, Spool, SpoolError, Stored, full_disk, size_of};
use crate::delivery::{Lane, pending::Seq};

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
pub enum Spooled {
    /// The spool does not read, or is in use.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The output does not take it.
    #[error("cannot write out: {0}")]
    Output(#[from] io::Error),
}

/// Every pending record of a lane, in order, a page at a time. Returns how many places did not read.
///
/// # Errors
/// When the spool does not read, or `write` fails.
pub fn each_page<E: From<SpoolError>>(
    reader: &Reader,
    lane: Lane,
    mut write: impl FnMut(&[Stored]) -> Result<(), E>,
) -> Result<u64, E> {
    let (mut after, mut damaged) = (0, 0);
    loop {
        let page = reader.pending(lane, after, u64::MAX)?;
        write(&page.records)?;
        damaged += page.damaged;
        if page.upto == u64::MAX {
            return Ok(damaged);
        }
        after = page.upto;
    }
}

/// Writes the lanes out and removes each page once it was written. The ids stay remembered. Returns how many places did not
/// read, and so stay.
///
/// # Errors
/// When the spool is in use or does not read, or `write` fails: what was not written out stays.
pub fn take_out(
    folder: &Path,
    lanes: &[Lane],
    mut write: impl FnMut(&[Stored]) -> Result<(), Spooled>,
) -> Result<u64, Spooled> {
    // A folder without a spool is an error here, not a reason to make one.
    let reader = Reader::open(folder)?;
    let mut spool = Spool::open(folder, &[])?;
    let mut damaged = 0;
    for lane in lanes {
        damaged += each_page(&reader, *lane, |page| {
            write(page)?;
            let removal =
                |stored: &Stored| Removal { lane: *lane, seq: Seq(stored.seq), bytes: size_of(&stored.record) };
            Ok::<_, Spooled>(full_disk::remove(&mut spool, &mut page.iter().map(removal).collect())?)
        })?;
    }
    spool.tidy();
    Ok(damaged)
}
