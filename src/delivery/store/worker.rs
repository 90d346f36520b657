//! The store's thread: the only one that writes the spool. It is handed one commit at a time, and reports what became of it.

use std::{
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use super::{
    Spool, SpoolError,
    commit::{Append, Commit, Committed, Decided, Decision, Done, Moved, Removal, Undecided, has_dead_letter},
    forgetter::Forgetter,
    full_disk,
    handle::{Report, Reports, Status},
    size_of,
};
use crate::metrics::Metrics;

/// How often the age of the oldest pending record is read.
const LOOK: Duration = Duration::from_secs(1);

/// The thread's state: it owns the spool.
pub(super) struct Worker {
    spool: Spool,
    max_bytes: u64,
    forgetter: Forgetter,
    metrics: Metrics,
    status: Status,
    looked_at: Instant,
    reports: Reports,
}

impl Worker {
    pub(super) fn new(
        spool: Spool,
        max_bytes: u64,
        forgetter: Forgetter,
        metrics: Metrics,
        status: Status,
        reports: Reports,
    ) -> Self {
        let mut worker = Self { spool, max_bytes, forgetter, metrics, status, looked_at: Instant::now(), reports };
        worker.look_around();
        worker
    }

    /// Until there is no handle any more; then the log is moved into the database, and that is closed.
    pub(super) fn run(mut self, commits: &Receiver<Commit>) {
        while let Ok(commit) = commits.recv() {
            self.commit(commit);
        }
        self.spool.tidy();
    }

    fn commit(&mut self, mut commit: Commit) {
        if commit.is_empty() && self.status.works && !self.forgetter.is_due() {
            self.look_around();
            return (self.reports)(Transacted::default().report(commit, self.status));
        }
        let mut transacted = self.transact(&commit);
        if transacted.as_ref().is_err_and(SpoolError::is_full) && full_disk::make_room(&mut self.spool) {
            transacted = self.transact(&commit);
            self.spool.tidy();
        }
        match transacted {
            Ok(transacted) => {
                self.status.full = transacted.spool_full;
                self.metrics.dedup_forgotten_early.inc_by(transacted.forgotten_early);
                self.recovered();
                // Before the answers: who has one may look.
                self.look_around();
                (self.reports)(transacted.report(commit, self.status));
                // After the report: the answers need not wait for it.
                if let Err(error) = self.spool.move_log_when_due() {
                    self.count(&error);
                    tracing::error!(%error, "the spool's log cannot be moved into its database; it grows, and is tried again");
                }
            }
            Err(error) => {
                self.failed(&error);
                let undecided = std::mem::take(&mut commit.undecided);
                let decided = undecided.into_iter().map(|undecided| self.decide_by_reading(undecided)).collect();
                // Removal without the appends that failed; what cannot be removed now is left in the commit.
                let _ = full_disk::remove(&mut self.spool, &mut commit.remove);
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
        batch.remove(&mut commit.remove.clone())?;
        for Moved { from, to } in &commit.moved {
            if let Some(from) = from {
                batch.remove(&mut [*from])?;
            }
            batch.append(to)?;
        }
        let max_bytes = self.max_bytes;
        // What comes after a refused record must not overtake it.
        let mut is_full = |bytes: u64, append: &Append| {
            done.spool_full = done.spool_full || bytes + size_of(&append.sending.record) > max_bytes;
            done.spool_full
        };
        for append in &commit.append {
            if is_full(batch.bytes(), append) {
                break;
            }
            batch.append(append)?;
            done.stored += 1;
        }
        for undecided in &commit.undecided {
            let append = &undecided.append;
            let reused = match &undecided.nonce {
                Some(used) => !batch.bind(used)?,
                None => false,
            };
            let known = append.sending.id.map_or(Ok(None), |id| batch.known(&id))?;
            done.decisions.push(match undecided.decided(reused, known) {
                Some(decision) => decision,
                None if is_full(batch.bytes(), append) => Decision::NotStored,
                None => {
                    batch.append(append)?;
                    Decision::Stored(Committed::of(append))
                }
            });
        }
        for (id, seq) in &commit.ids {
            batch.remember(id, seq.0)?;
        }
        for used in &commit.nonces {
            batch.bind(used)?;
        }
        let full = commit.append.get(done.stored..).unwrap_or_default();
        let stored = commit.replaced.iter().filter(|(_, seq)| !has_dead_letter(full, *seq));
        let mut replaced: Vec<Removal> = stored.map(|(removal, _)| *removal).collect();
        batch.remove(&mut replaced)?;
        done.forgotten_early = self.forgetter.forget(&mut batch)?;
        batch.commit()?;
        Ok(done)
    }

    /// Reading works on a full disk too. A spool that does not even read knows nothing.
    fn decide_by_reading(&self, undecided: Undecided) -> Decided {
        let reused = undecided.nonce.is_some_and(|used| self.spool.is_bound_to_another(&used).unwrap_or(false));
        let known = undecided.append.sending.id.and_then(|id| self.spool.known(&id).ok().flatten());
        let decision = undecided.decided(reused, known).unwrap_or(Decision::NotStored);
        Decided { undecided, decision }
    }

    fn count(&self, error: &SpoolError) {
        self.metrics.spool_write_errors.inc();
        if error.is_damage() {
            self.spool.folder.mark_damaged();
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
        if !self.status.works && full_disk::is_whole(&self.spool) {
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
        let waits = counters.records > counters.parked;
        if self.looked_at.elapsed() >= LOOK || waits != (self.status.oldest_ms != 0) {
            self.looked_at = Instant::now();
            self.status.oldest_ms = self.spool.oldest().ok().flatten().unwrap_or(0);
        }
    }
}

/// What a transaction did.
#[derive(Default)]
struct Transacted {
    decisions: Vec<Decision>,
    /// So many of the appends were stored; for those behind them there was no room.
    stored: usize,
    spool_full: bool,
    forgotten_early: u64,
}

impl Transacted {
    /// To be called after the transaction is committed.
    fn report(self, commit: Commit, status: Status) -> Report {
        let Commit { mut append, moved, undecided, nonces, mut replaced, .. } = commit;
        let full = append.split_off(self.stored);
        replaced.retain(|(_, seq)| has_dead_letter(&full, *seq));
        let proven = |append: Append| {
            let committed = Committed::of(&append);
            (append, committed)
        };
        let decided = undecided.into_iter().zip(self.decisions);
        let done = Done {
            stored: append.into_iter().map(proven).collect(),
            full,
            moved: moved.into_iter().map(|moved| proven(moved.to)).collect(),
            decided: decided.map(|(undecided, decision)| Decided { undecided, decision }).collect(),
            nonces,
            kept: replaced,
        };
        Report::Committed { done, status }
    }
}
