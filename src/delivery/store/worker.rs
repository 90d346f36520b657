//! The store's thread: the only one that writes the spool. It is handed one commit at a time, and reports what became of it.

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    Counters, Id, Known, Row, Spool, SpoolError,
    buckets::Table,
    ids::Key,
    pages::{self, Pages},
    reader::Page,
    size_of,
};
use crate::{
    clock,
    delivery::{Lane, retention::Retention, submission::Sending, watch},
    event::EventId,
    metrics::Metrics,
};

/// Rows looked at in one commit for forgetting: bounds how much longer a commit takes for it.
const FORGET_AT_ONCE: usize = 1000;
/// How often the age of the oldest pending record is read.
const LOOK: Duration = Duration::from_secs(1);
/// Ids of pushes dated in the future that a start reads.
const IDS_AHEAD: usize = 100_000;

const UNMOVED_LOG: &str = "the spool's log cannot be moved into its database; it grows, and is tried again";

/// A record to be stored.
#[derive(Debug, Clone)]
pub(in crate::delivery) struct Append {
    pub(in crate::delivery) lane: Lane,
    pub(in crate::delivery) seq: u64,
    pub(in crate::delivery) sending: Arc<Sending>,
}

/// A signature, and the event that it came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) struct NonceUse {
    pub(in crate::delivery) account: usize,
    pub(in crate::delivery) signature: [u8; 20],
    pub(in crate::delivery) event_id: EventId,
    /// Receipt, Unix seconds.
    pub(in crate::delivery) received_s: i64,
}

/// A record of which the store has to say whether its event is new, and which it takes if so.
#[derive(Debug, Clone)]
pub(in crate::delivery) struct Undecided {
    pub(in crate::delivery) append: Append,
    /// Used by another event, it decides.
    pub(in crate::delivery) nonce: Option<NonceUse>,
    /// The event is known already: only its nonce is in question.
    pub(in crate::delivery) nonce_only: bool,
}

/// A record that was refused goes to another lane.
#[derive(Debug, Clone)]
pub(in crate::delivery) struct Moved {
    /// Where it is on disk, if it is.
    pub(in crate::delivery) from: Option<Removal>,
    pub(in crate::delivery) to: Append,
}

/// A stored record that is not needed any more.
#[derive(Debug, Clone, Copy)]
pub(in crate::delivery) struct Removal {
    pub(in crate::delivery) lane: Lane,
    pub(in crate::delivery) seq: u64,
    pub(in crate::delivery) bytes: u64,
}

/// What one transaction does.
#[derive(Debug, Default)]
pub(in crate::delivery) struct Commit {
    /// The last seq that was given.
    pub(in crate::delivery) last_seq: u64,
    pub(in crate::delivery) remove: Vec<Removal>,
    pub(in crate::delivery) moved: Vec<Moved>,
    pub(in crate::delivery) append: Vec<Append>,
    pub(in crate::delivery) undecided: Vec<Undecided>,
    /// Ids of acknowledged events, each with its record's seq.
    pub(in crate::delivery) ids: Vec<(Id, u64)>,
    pub(in crate::delivery) nonces: Vec<NonceUse>,
    /// Refused records, each with the seq of the record in its place, which this commit or one before stores: never removed
    /// without it.
    pub(in crate::delivery) replaced: Vec<(Removal, u64)>,
}

impl Commit {
    pub(in crate::delivery) fn is_empty(&self) -> bool {
        let Self { last_seq: _, remove, moved, append, undecided, ids, nonces, replaced } = self;
        remove.is_empty()
            && moved.is_empty()
            && append.is_empty()
            && undecided.is_empty()
            && ids.is_empty()
            && nonces.is_empty()
            && replaced.is_empty()
    }
}

/// What the store says of an undecided record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Decision {
    /// Its event is new, and its record stored.
    Stored,
    /// Its event is new, and its record not stored.
    NotStored,
    /// It is a duplicate of this.
    Duplicate(Known),
    /// Its nonce is its own; the rest was known.
    NonceFits,
    /// Its nonce came with another event.
    NonceReused,
}

/// An undecided record and what was decided.
#[derive(Debug)]
pub(in crate::delivery) struct Decided {
    pub(in crate::delivery) undecided: Undecided,
    pub(in crate::delivery) decision: Decision,
}

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
    /// Committed and fsynced; `commit` has no undecided records any more, `decided` has them.
    Committed {
        commit: Commit,
        decided: Vec<Decided>,
        /// Those of `commit.append` that were not stored: `spool.max_bytes` is reached.
        full: Vec<(Lane, u64)>,
        status: Status,
    },
    /// Nothing of it was committed but the removals; those that are left in it were not done either.
    Failed { commit: Commit, decided: Vec<Decided>, status: Status },
    /// Records that were read, and the last seq that was looked at; or nothing, where the database does not read.
    Page { lane: Lane, page: Option<(Vec<Append>, Vec<u64>, u64)> },
}

/// What a start found.
#[derive(Debug)]
pub(in crate::delivery) struct Opened {
    pub(in crate::delivery) counters: Counters,
    pub(in crate::delivery) status: Status,
    /// The highest pending seq of each lane, 0 when it has none.
    pub(in crate::delivery) last_pending: [u64; 4],
    /// The newest remembered event second that is not ahead of the clock.
    pub(in crate::delivery) newest: i64,
    /// The remembered ids of later ones.
    pub(in crate::delivery) ahead: Vec<(Id, Known)>,
}

/// Where reports go.
pub(in crate::delivery) type Reports = Arc<dyn Fn(Report) + Send + Sync>;

enum Job {
    Commit(Commit),
    Close(SyncSender<()>),
}

/// The store's handle. One commit is under way at a time.
#[derive(Debug)]
pub(in crate::delivery) struct Store {
    jobs: SyncSender<Job>,
    pages: Pages,
    worker: JoinHandle<()>,
}

/// How to start a store.
#[derive(Debug)]
pub(in crate::delivery) struct Rules<'a> {
    pub(in crate::delivery) path: &'a Path,
    pub(in crate::delivery) accounts: &'a [String],
    /// `spool.max_bytes`
    pub(in crate::delivery) max_bytes: u64,
    pub(in crate::delivery) dedup_window: Duration,
    pub(in crate::delivery) dedup_max_bytes: u64,
}

impl Store {
    /// Opens the spool and starts its threads. Nothing is reported before the first commit or read.
    pub(in crate::delivery) fn start(
        rules: &Rules<'_>,
        metrics: Metrics,
        reports: Reports,
    ) -> Result<(Self, Opened), StartError> {
        let mut spool = Spool::open(rules.path, rules.accounts)?;
        let (now, wall_ms) = (Instant::now(), clock::unix_millis());
        let retention = Retention::new(rules.dedup_window, now, wall_ms);
        spool.set_bucket_seconds(retention.bucket_seconds());
        let counters = spool.counters();
        let (newest, ahead) = spool.newest(wall_ms / 1000, IDS_AHEAD)?;
        let mut last_pending = [0; 4];
        for (lane, last) in Lane::ALL.into_iter().zip(&mut last_pending) {
            *last = spool.last_of(lane)?;
        }
        let oldest_ms = spool.oldest()?.unwrap_or(0);
        let status = Status { works: true, full: counters.bytes >= rules.max_bytes, oldest_ms };
        let pages = pages::start(spool.reader()?, spool.account_numbers(), Arc::clone(&reports))?;
        let mut worker = Worker {
            spool,
            max_bytes: rules.max_bytes,
            forgetter: Forgetter::new(retention, rules.dedup_max_bytes),
            metrics,
            status,
            looked_at: now,
            reports,
        };
        worker.look_around();
        let (jobs, queue) = mpsc::sync_channel(2);
        let worker = watch::spawn("store", move || worker.run(&queue))?;
        Ok((Self { jobs, pages, worker }, Opened { counters, status, last_pending, newest, ahead }))
    }

    /// Hands a commit over. An empty one looks whether a failing disk works again, and forgets what is to be forgotten.
    pub(in crate::delivery) fn hand_over(&self, commit: Commit) {
        // Never full: one commit at a time. Without the thread the process has ended.
        let _ = self.jobs.try_send(Job::Commit(commit));
    }

    /// Reads records of a lane with `after < seq <= upto`; reported as [`Report::Page`].
    pub(in crate::delivery) fn read(&self, lane: Lane, after: u64, upto: u64) {
        self.pages.read(lane, after, upto);
    }

    /// Moves the log into the database and closes it; not longer than `limit`, whatever the disk does.
    pub(in crate::delivery) fn close(self, limit: Duration) {
        let (closed, wait) = mpsc::sync_channel(1);
        if self.jobs.try_send(Job::Close(closed)).is_ok() && wait.recv_timeout(limit).is_ok() {
            let _ = self.worker.join();
            self.pages.stop();
        } else {
            tracing::warn!("the disk does not answer; the spool is left as it is");
        }
    }
}

/// Why a store does not start.
#[derive(Debug, thiserror::Error)]
pub(in crate::delivery) enum StartError {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Thread(#[from] std::io::Error),
}

struct Worker {
    spool: Spool,
    max_bytes: u64,
    forgetter: Forgetter,
    metrics: Metrics,
    status: Status,
    looked_at: Instant,
    reports: Reports,
}

impl Worker {
    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(LOOK) {
                Ok(Job::Commit(commit)) => self.commit(commit),
                Ok(Job::Close(closed)) => {
                    self.spool.tidy();
                    drop(self);
                    let _ = closed.send(());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.spool.tidy(),
            }
        }
    }

    fn commit(&mut self, mut commit: Commit) {
        if commit.is_empty() && self.status.works && !self.forgetter.is_due() {
            self.look_around();
            let status = self.status;
            return (self.reports)(Report::Committed { commit, decided: Vec::new(), full: Vec::new(), status });
        }
        let mut transacted = self.transact(&commit);
        if transacted.as_ref().is_err_and(SpoolError::is_full) && self.spool.make_room() {
            transacted = self.transact(&commit);
            self.spool.close_room();
        }
        match transacted {
            Ok(Transacted { decisions, full, spool_full, forgotten_early }) => {
                self.status.full = spool_full;
                self.metrics.dedup_forgotten_early.inc_by(forgotten_early);
                self.recovered();
                // Before the answers: who has one may look.
                self.look_around();
                let undecided = std::mem::take(&mut commit.undecided);
                let decided = undecided.into_iter().zip(decisions);
                let decided = decided.map(|(undecided, decision)| Decided { undecided, decision }).collect();
                (self.reports)(Report::Committed { commit, decided, full, status: self.status });
                // After the report: the answers need not wait for it.
                if let Err(error) = self.spool.move_log_when_due() {
                    self.count(&error);
                    tracing::error!(%error, "{UNMOVED_LOG}");
                }
            }
            Err(error) => {
                self.failed(&error);
                let undecided = std::mem::take(&mut commit.undecided);
                let decided = undecided.into_iter().map(|undecided| self.decide_by_reading(undecided)).collect();
                self.remove_alone(&mut commit);
                self.look_around();
                (self.reports)(Report::Failed { commit, decided, status: self.status });
            }
        }
    }

    fn transact(&mut self, commit: &Commit) -> Result<Transacted, SpoolError> {
        let mut done = Transacted { spool_full: self.status.full, ..Transacted::default() };
        let mut batch = self.spool.batch()?;
        batch.set_last_seq(commit.last_seq);
        // A spool that was full stays so until the first removal.
        done.spool_full &= commit.remove.is_empty();
        for (lane, mut gone) in by_lane(&commit.remove) {
            batch.remove(lane, &mut gone)?;
        }
        for Moved { from, to } in &commit.moved {
            if let Some(from) = from {
                batch.remove(from.lane, &mut [(from.seq, from.bytes)])?;
            }
            batch.append(&to.row())?;
        }
        let max_bytes = self.max_bytes;
        // What comes after a refused record must not overtake it.
        let mut is_full = |bytes: u64, append: &Append| {
            done.spool_full = done.spool_full || bytes + size_of(&append.sending.record) > max_bytes;
            done.spool_full
        };
        for append in &commit.append {
            if is_full(batch.bytes(), append) {
                done.full.push((append.lane, append.seq));
            } else {
                batch.append(&append.row())?;
            }
        }
        for Undecided { append, nonce, nonce_only } in &commit.undecided {
            let fits = match nonce {
                Some(used) => batch.bind(used.account, &used.signature, used.event_id, used.received_s)?,
                None => true,
            };
            let id = append.sending.id;
            let known = match id {
                Some(id) if fits && !nonce_only => batch.known(&id)?,
                Some(_) | None => None,
            };
            done.decisions.push(match known {
                _ if !fits => Decision::NonceReused,
                _ if *nonce_only => Decision::NonceFits,
                Some(known) => Decision::Duplicate(known),
                None if is_full(batch.bytes(), append) => Decision::NotStored,
                None => {
                    batch.append(&append.row())?;
                    Decision::Stored
                }
            });
        }
        for (id, seq) in &commit.ids {
            batch.remember(id, *seq)?;
        }
        for used in &commit.nonces {
            batch.bind(used.account, &used.signature, used.event_id, used.received_s)?;
        }
        for (lane, mut gone) in by_lane(&commit.replaced.iter().map(|(removal, _)| *removal).collect::<Vec<_>>()) {
            batch.remove(lane, &mut gone)?;
        }
        done.forgotten_early = self.forgetter.forget(&mut batch)?;
        batch.commit()?;
        Ok(done)
    }

    /// Reading works on a full disk too. A spool that does not even read knows nothing.
    fn decide_by_reading(&self, undecided: Undecided) -> Decided {
        let Undecided { append, nonce, nonce_only } = &undecided;
        let reused = nonce.is_some_and(|used| {
            self.spool.is_bound_to_another(used.account, &used.signature, used.event_id).unwrap_or(false)
        });
        let known = append.sending.id.and_then(|id| self.spool.known(&id).ok().flatten());
        let decision = match known {
            _ if reused => Decision::NonceReused,
            _ if *nonce_only => Decision::NonceFits,
            Some(known) => Decision::Duplicate(known),
            None => Decision::NotStored,
        };
        Decided { undecided, decision }
    }

    /// Removal without the appends that failed; what cannot be removed now is left in the commit.
    fn remove_alone(&mut self, commit: &mut Commit) {
        let mut removals = by_lane(&commit.remove);
        // What is left in them was not removed.
        let _ = self.spool.remove(&mut removals);
        let left = removals
            .into_iter()
            .flat_map(|(lane, gone)| gone.into_iter().map(move |(seq, bytes)| Removal { lane, seq, bytes }));
        commit.remove = left.collect();
    }

    fn count(&self, error: &SpoolError) {
        self.metrics.spool_write_errors.inc();
        if error.is_damage() {
            self.spool.mark_damaged();
        }
    }

    fn failed(&mut self, error: &SpoolError) {
        self.count(error);
        if std::mem::replace(&mut self.status.works, false) {
            tracing::error!(%error, "the spool cannot be written; events go to Kafka from memory until it can");
        }
    }

    /// A commit that fits by chance is no recovery: the spool's reserve must fit again.
    fn recovered(&mut self) {
        if !self.status.works && self.spool.is_whole() {
            self.status.works = true;
            tracing::info!("the spool can be written again");
            self.spool.tidy();
        }
    }

    /// Gauges, after every commit.
    fn look_around(&mut self) {
        let counters = self.spool.counters();
        self.metrics.spool_records.set(counters.records.cast_signed());
        self.metrics.spool_bytes.set(counters.bytes.cast_signed());
        self.metrics.spool_parked.set(counters.parked.cast_signed());
        self.metrics.dedup_entries.set((counters.remembered + counters.quarantined).cast_signed());
        if self.looked_at.elapsed() >= LOOK {
            self.looked_at = Instant::now();
            self.status.oldest_ms = self.spool.oldest().ok().flatten().unwrap_or(0);
        }
    }
}

#[derive(Default)]
struct Transacted {
    decisions: Vec<Decision>,
    full: Vec<(Lane, u64)>,
    spool_full: bool,
    forgotten_early: u64,
}

impl Append {
    fn row(&self) -> Row<'_> {
        let Sending { record, account, received_at_ms, id, .. } = &*self.sending;
        Row { lane: self.lane, seq: self.seq, account: *account, received_at_ms: *received_at_ms, record, id: *id }
    }
}

/// (seq, bytes) by lane.
fn by_lane(removals: &[Removal]) -> Vec<(Lane, Vec<(u64, u64)>)> {
    let of = |lane| removals.iter().filter(move |gone| gone.lane == lane).map(|gone| (gone.seq, gone.bytes)).collect();
    let lanes = Lane::ALL.into_iter().map(|lane| (lane, of(lane)));
    lanes.filter(|(_, gone): &(Lane, Vec<_>)| !gone.is_empty()).collect()
}

/// Forgets ids older than the window, and the oldest ones above the bound, a few in each commit.
#[derive(Debug)]
struct Forgetter {
    retention: Retention,
    max_bytes: u64,
    pass: Option<Pass>,
}

#[derive(Debug)]
struct Pass {
    cutoff: i64,
    /// Where it goes on among the ids; `None`: it is through.
    position: Option<Key>,
    /// Tables of buckets that it has not come to the end of.
    buckets: Vec<Table>,
}

impl Forgetter {
    fn new(retention: Retention, max_bytes: u64) -> Self {
        Self { retention, max_bytes, pass: None }
    }

    /// Whether the next commit should forget even when it has nothing else to do.
    fn is_due(&self) -> bool {
        self.pass.is_some() || self.retention.is_due(Instant::now())
    }

    /// Forgets a little. Returns how many were forgotten before their window was over. What a transaction that fails should
    /// have forgotten is forgotten by the next pass.
    fn forget(&mut self, batch: &mut super::Batch<'_>) -> Result<u64, SpoolError> {
        let early = batch.forget_early(self.max_bytes, FORGET_AT_ONCE)?;
        let now = Instant::now();
        if self.pass.is_none() && self.retention.is_due(now) {
            let buckets = vec![Table::Bound, Table::Quarantined];
            let cutoff = self.retention.begin(now, clock::unix_millis());
            self.pass = cutoff.map(|cutoff| Pass { cutoff, position: Some(Key::MIN), buckets });
        }
        let Some(mut pass) = self.pass.take() else { return Ok(early) };
        if let Some(table) = pass.buckets.last().copied()
            && batch.forget_buckets(table, pass.cutoff, FORGET_AT_ONCE)? < FORGET_AT_ONCE as u64
        {
            pass.buckets.pop();
        }
        if let Some(position) = pass.position.take() {
            pass.position = batch.forget(position, pass.cutoff, FORGET_AT_ONCE)?;
        }
        self.pass = Some(pass).filter(|pass| pass.position.is_some() || !pass.buckets.is_empty());
        Ok(early)
    }
}

/// Pages in the form of records on their way.
pub(super) fn sending(page: Page, lane: Lane, accounts: &[i64]) -> (Vec<Append>, Vec<u64>) {
    let appends = page.records.into_iter().map(|stored| {
        let account = accounts.iter().position(|number| *number == stored.account);
        let id = account.zip(stored.event);
        let id = id.map(|(account, (event_time, event_id))| Id { account, event_time, event_id });
        let (record, received_at_ms) = (stored.record, stored.received_at_ms);
        let sending = Sending { record, account, received_at_ms, id, signature: None };
        Append { lane, seq: stored.seq, sending: Arc::new(sending) }
    });
    (appends.collect(), page.unreadable)
}
