//! What others may ask of the writer without a command, and without waiting for it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    /// The last transaction was committed.
    pub(super) healthy: AtomicBool,
    /// The pending records have reached their bound, and none was removed since.
    pub(super) full: AtomicBool,
    /// Bytes of the records that wait for the writer.
    pub(super) queued_bytes: AtomicU64,
    /// Receipt of the oldest pending record, Unix milliseconds; 0: none.
    pub(super) oldest_ms: AtomicI64,
}

impl Vitals {
    /// As after a start: the spool was just opened for writing.
    pub(super) fn new(oldest_ms: Option<i64>, full: bool) -> Self {
        Self { healthy: true.into(), full: full.into(), oldest_ms: oldest_ms.unwrap_or(0).into(), ..Self::default() }
    }
}
