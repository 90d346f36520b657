//! The store's handle: starts its threads, hands commits and reads over, closes it.

use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver, SyncSender},
    },
    time::{Duration, Instant},
};

use super::{
    Counters, Id, Known, Spool,
    commit::{Append, Commit, Decided, Done},
    forgetter::Forgetter,
    pages::{self, Pages},
    worker::Worker,
};
use crate::{
    clock,
    delivery::{Lane, StartError, pending::Seq, retention::Retention, submission::Settings, watch},
    metrics::Metrics,
};

/// Ids of pushes dated in the future that a start reads.
const IDS_AHEAD: usize = 100_000;

/// How the store is.
#[derive(Debug, Clone, Copy)]
pub(in crate::delivery) struct Status {
    /// The last transaction was committed.
    pub(in crate::delivery) works: bool,
    /// The pending records have reached `spool.max_bytes`, and none was removed since.
    pub(in crate::delivery) full: bool,
    /// Receipt of the oldest pending record, Unix milliseconds; 0: none.
    pub(in crate::delivery) oldest_ms: i64,
}

/// What the store's threads report.
#[derive(Debug)]
pub(in crate::delivery) enum Report {
    /// One transaction is committed and fsynced.
    Committed { done: Done, status: Status },
    /// Nothing of it was committed but the removals; those that are left in it were not done either. It has no undecided records
    /// any more, `decided` has them.
    Failed { commit: Commit, decided: Vec<Decided>, status: Status },
    /// Records that were read; or nothing, where the database does not read.
    Page { lane: Lane, page: Option<Read> },
}

/// A page of pending records.
#[derive(Debug)]
pub(in crate::delivery) struct Read {
    pub(in crate::delivery) records: Vec<Append>,
    /// Records that do not read.
    pub(in crate::delivery) unreadable: Vec<Seq>,
    /// The last seq that was looked at.
    pub(in crate::delivery) upto: Seq,
}

/// What a start found.
#[derive(Debug)]
pub(in crate::delivery) struct Opened {
    pub(in crate::delivery) counters: Counters,
    pub(in crate::delivery) status: Status,
    /// The highest pending seq of each lane, 0 when it has none.
    pub(in crate::delivery) last_pending: [Seq; 4],
    /// The newest remembered event second that is not ahead of the clock.
    pub(in crate::delivery) newest: i64,
    /// The remembered ids of later ones.
    pub(in crate::delivery) ahead: Vec<(Id, Known)>,
}

/// Where reports go.
pub(in crate::delivery) type Reports = Arc<dyn Fn(Report) + Send + Sync>;

/// The store's handle. One commit is under way at a time.
#[derive(Debug)]
pub(in crate::delivery) struct Store {
    commits: SyncSender<Commit>,
    pages: Pages,
    /// When the thread that writes has ended.
    ended: Receiver<()>,
}

impl Store {
    /// Opens the spool and starts its threads. Nothing is reported before the first commit or read.
    pub(in crate::delivery) fn start(
        settings: &Settings,
        metrics: Metrics,
        reports: Reports,
    ) -> Result<(Self, Opened), StartError> {
        let accounts: Vec<_> = settings.accounts.iter().map(|(name, _)| name.clone()).collect();
        let mut spool = Spool::open(&settings.path, &accounts)?;
        let (now, wall_ms) = (Instant::now(), clock::unix_millis());
        let retention = Retention::new(settings.dedup_window, now, wall_ms);
        spool.bucket_seconds = retention.bucket_seconds();
        let counters = spool.counters();
        let (newest, ahead) = spool.newest(wall_ms / 1000, IDS_AHEAD)?;
        let mut last_pending = [Seq(0); 4];
        for (lane, last) in Lane::ALL.into_iter().zip(&mut last_pending) {
            *last = Seq(spool.last_of(lane)?);
        }
        let oldest_ms = spool.oldest()?.unwrap_or(0);
        let status = Status { works: true, full: counters.bytes >= settings.max_bytes, oldest_ms };
        let pages = pages::start(spool.reader()?, spool.accounts.clone(), Arc::clone(&reports))?;
        let forgetter = Forgetter::new(retention, settings.dedup_max_bytes);
        let worker = Worker::new(spool, settings.max_bytes, forgetter, metrics, status, reports);
        let (commits, queue) = mpsc::sync_channel(1);
        let (end, ended) = mpsc::sync_channel(1);
        watch::spawn("store", move || {
            worker.run(&queue);
            // Nobody waits any longer when the limit is over.
            let _ = end.send(());
        })?;
        Ok((Self { commits, pages, ended }, Opened { counters, status, last_pending, newest, ahead }))
    }

    /// Hands a commit over. An empty one looks whether a failing disk works again, and forgets what is to be forgotten.
    pub(in crate::delivery) fn hand_over(&self, commit: Commit) {
        // Never full: one commit at a time. Without the thread the process has ended.
        let _ = self.commits.try_send(commit);
    }

    /// Reads records of a lane with `after < seq <= upto`; reported as [`Report::Page`].
    pub(in crate::delivery) fn read(&self, lane: Lane, after: Seq, upto: Seq) {
        self.pages.read(lane, after, upto);
    }

    /// Moves the log into the database and closes it; not longer than `limit`, whatever the disk does.
    pub(in crate::delivery) fn close(self, limit: Duration) {
        let Self { commits, pages, ended } = self;
        drop(commits);
        if ended.recv_timeout(limit).is_ok() {
            pages.stop();
        } else {
            tracing::warn!("the disk does not answer; the spool is left as it is");
        }
    }
}
