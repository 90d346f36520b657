//! Pushes that failed verification, kept for `unverified.window` in case the fault is ours: a wrong token, half a rotation.
//!
//! They stand in `spool.path/unverified/`, in numbered segment files to which only the running service appends. Frames with
//! a checksum in files, and not a database: an append is one `write`, a torn end is found by its checksum, the oldest is
//! forgotten by removing a file, and another process reads beside the writer without locks. `cardhook replay --unverified`
//! is that other process: it notes what it has published in a file beside each segment, which goes with it.
//!
//! ```text
//! 00000000000000000007.kept   frames, in the order of receipt
//! 00000000000000000007.done   where the frames begin that were published since
//! ```
//!
//! Best effort, bounded in bytes, in time and in rate; never in the way of an answer. Does not depend on how a push is
//! verified, on HTTP or on Kafka.

mod frame;
mod keeper;
mod reader;
mod ring;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use keeper::{Keeper, Sender};
pub use reader::{Kept, Place, Reader, count};

/// What bounds the kept pushes (`[unverified]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Of all segment files together, bytes.
    pub max_bytes: u64,
    /// After receipt, milliseconds.
    pub window_ms: i64,
}

/// Where they stand, within the spool's folder.
fn folder(spool: &Path) -> PathBuf {
    spool.join("unverified")
}

/// The number of a segment by the name of its file.
fn number(name: &str, extension: &str) -> Option<u64> {
    name.strip_suffix(extension)?.strip_suffix('.')?.parse().ok()
}

fn segment(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.kept"))
}

fn done(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.done"))
}

/// The numbers of the files with an extension, in order. None where the folder is not there.
fn numbers(folder: &Path, extension: &str) -> std::io::Result<Vec<u64>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        numbers.extend(entry?.file_name().to_str().and_then(|name| number(name, extension)));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
