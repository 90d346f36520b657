//! The thread that reads pending records beside the store's own: a disk that hangs in a write does not stop it.

use std::{
    sync::mpsc::{self, SyncSender},
    thread::JoinHandle,
};

use super::{
    Reader,
    handle::{Read, Report, Reports},
    reader::{Page, Stored},
};
use crate::delivery::{Lane, pending::Seq, watch};

/// Each lane reads one page at a time.
const READS: usize = 4;

struct Asked {
    lane: Lane,
    after: Seq,
    upto: Seq,
}

/// The thread's handle.
#[derive(Debug)]
pub(super) struct Pages {
    reads: SyncSender<Asked>,
    thread: JoinHandle<()>,
}

pub(super) fn start(reader: Reader, accounts: Vec<i64>, reports: Reports) -> std::io::Result<Pages> {
    let (reads, queue) = mpsc::sync_channel(READS);
    let thread = watch::spawn("store-read", move || {
        while let Ok(Asked { lane, after, upto }) = queue.recv() {
            let page = reader.pending(lane, after.0, upto.0);
            if let Err(error) = &page {
                tracing::error!(%error, "the spool does not read; trying again");
            }
            reports(Report::Page { lane, page: page.ok().map(|page| read(page, lane, &accounts)) });
        }
    })?;
    Ok(Pages { reads, thread })
}

/// Records in the form of those on their way.
fn read(page: Page, lane: Lane, accounts: &[i64]) -> Read {
    let append = |stored: Stored| {
        let account = accounts.iter().position(|number| *number == stored.account);
        stored.append(lane, account)
    };
    let Page { records, upto, damaged: _, unreadable } = page;
    let unreadable = unreadable.into_iter().map(Seq).collect();
    Read { records: records.into_iter().map(append).collect(), unreadable, upto: Seq(upto) }
}

impl Pages {
    pub(super) fn read(&self, lane: Lane, after: Seq, upto: Seq) {
        let _ = self.reads.try_send(Asked { lane, after, upto });
    }

    pub(super) fn stop(self) {
        drop(self.reads);
        let _ = self.thread.join();
    }
}
