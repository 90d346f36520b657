//! The thread that reads pending records beside the store's own: a disk that hangs in a write does not stop it.

use std::{
    sync::mpsc::{self, SyncSender},
    thread::JoinHandle,
};

use super::{Reader, SpoolError, worker};
use crate::delivery::{Lane, watch};

/// Records read at once.
const RECORDS: usize = 512;
/// Bytes of their values.
const BYTES: usize = 4 * 1024 * 1024;
/// Each lane reads one page at a time.
const READS: usize = 4;

struct Read {
    lane: Lane,
    after: u64,
    upto: u64,
}

/// The thread's handle.
#[derive(Debug)]
pub(super) struct Pages {
    reads: SyncSender<Option<Read>>,
    thread: JoinHandle<()>,
}

pub(super) fn start(reader: Reader, accounts: Vec<i64>, reports: worker::Reports) -> std::io::Result<Pages> {
    let (reads, queue) = mpsc::sync_channel::<Option<Read>>(READS + 1);
    let thread = watch::spawn("store-read", move || {
        while let Ok(Some(Read { lane, after, upto })) = queue.recv() {
            let page = reader.pending(lane, after, upto, RECORDS, BYTES);
            let page = page.map_err(|error| report(&error)).ok().map(|page| {
                let upto = if page.complete { upto } else { page.last.max(after) };
                let (appends, unreadable) = worker::sending(page, lane, &accounts);
                (appends, unreadable, upto)
            });
            reports(worker::Report::Page { lane, page });
        }
    })?;
    Ok(Pages { reads, thread })
}

fn report(error: &SpoolError) {
    tracing::error!(%error, "the spool does not read; trying again");
}

impl Pages {
    pub(super) fn read(&self, lane: Lane, after: u64, upto: u64) {
        let _ = self.reads.try_send(Some(Read { lane, after, upto }));
    }

    pub(super) fn stop(self) {
        if self.reads.try_send(None).is_ok() {
            let _ = self.thread.join();
        }
    }
}
