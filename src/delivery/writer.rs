//! The writer thread: the only one that writes the spool. It commits what has gathered as one fsynced batch.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{
    AnswerAfter, Lane, Submission,
    bind::bind,
    forget::Forgetter,
    inbox::{Appends, Inbox, Work},
    lane::Shared,
    spool::{Appended, Batch, Entry, IDS_MOVED, Spool, SpoolError},
    unsaved::Unsaved,
    vitals::Vitals,
};
use crate::metrics::Metrics;

/// How long a busy writer's batch stays open for more appends, so that they share its fsync.
const OPEN_FOR: Duration = Duration::from_micros(500);
/// The same where the broker has them meanwhile and answers wait for its ack, which takes longer than this and the fsync.
const OPEN_BESIDE_KAFKA_FOR: Duration = Duration::from_millis(2);
/// How often it looks for them.
const PAUSE: Duration = Duration::from_micros(500);
/// How often the age of the oldest pending record is read.
const LOOK: Duration = Duration::from_secs(1);

const UNMOVED_IDS: &str =
    "the recent ids cannot be moved to their places; they are known all the same, and it is tried again";
const UNMOVED_LOG: &str = "the spool's log cannot be moved into its database; it grows, and is tried again";

pub(super) struct Writer {
    pub(super) spool: Spool,
    pub(super) inbox: Inbox,
    /// The lanes, by `Lane as usize`; empty when the spool is the store.
    pub(super) lanes: Vec<Arc<Shared>>,
    pub(super) accounts: Vec<(String, &'static str)>,
    pub(super) max_bytes: u64,
    pub(super) forgetter: Forgetter,
    pub(super) vitals: Arc<Vitals>,
    pub(super) metrics: Metrics,
    pub(super) unsaved: Unsaved,
    pub(super) looked_at: Instant,
}

impl Writer {
    /// Runs until it is told to stop, or nobody is left to tell it.
    pub(super) fn run(mut self) {
        let mut work = Work::default();
        self.look_around();
        while !work.stop {
            self.inbox.next(&mut work);
            self.commit(&mut work);
        }
        self.spool.tidy();
    }

    fn commit(&mut self, work: &mut Work) {
        if self.forgetter.begins() {
            let moved = self.spool.move_ids();
            self.report_unmoved(moved, UNMOVED_IDS);
        }
        let mut removals = self.removals();
        let mut transacted = self.transact(work, &mut removals, IDS_MOVED);
        let full = transacted.as_ref().is_err_and(SpoolError::is_full);
        // What a lane has already is on its way past the spool.
        if full && !work.appends.early.has_any() && self.spool.make_room() {
            transacted = self.transact(work, &mut removals, 0);
            self.spool.close_room();
        }
        match transacted {
            Ok(()) => {
                self.recovered();
                // Before the answers: who has one may look.
                self.look_around();
                self.settle(&mut work.appends);
                // After the answers, which need not wait for it.
                let moved = self.spool.move_log_when_due();
                self.report_unmoved(moved, UNMOVED_LOG);
            }
            Err(error) => {
                self.failed(&error);
                // Before a duplicate asks whether its first copy is acknowledged.
                self.restore(removals);
                self.bypass(&mut work.appends);
                self.remove_alone();
                self.look_around();
            }
        }
        while let Some((lane, item, reason)) = work.refused.pop_front() {
            if let Err((item, error)) = self.put_aside(lane, item, reason) {
                self.failed(&error);
                work.refused.push_front((lane, item, reason));
                break;
            }
            self.look_around();
        }
    }

    /// One transaction: removals, appends, moves of recent ids, some forgetting.
    fn transact(
        &mut self,
        work: &mut Work,
        removals: &mut [(Lane, Vec<(u64, u64)>)],
        ids_moved: usize,
    ) -> Result<(), SpoolError> {
        let probing = !self.vitals.healthy.load(Ordering::Relaxed);
        work.appends.begin();
        let idle = work.appends.submitted.is_empty() && removals.iter().all(|(_, acked)| acked.is_empty());
        if idle && !probing && !self.forgetter.is_due() {
            return Ok(());
        }
        let began = Instant::now();
        let mut batch = self.spool.batch()?;
        let Self { lanes, unsaved, forgetter, max_bytes, .. } = self;
        // A spool that was full stays so until the first removal.
        let full = self.vitals.full.load(Ordering::Relaxed);
        let mut appending = Appending { lanes, unsaved, forgetter, max_bytes: *max_bytes, full };
        for (lane, acked) in removals.iter_mut().filter(|(_, acked)| !acked.is_empty()) {
            batch.remove(*lane, acked)?;
            appending.full = false;
        }
        loop {
            appending.append(&mut work.appends, &mut batch)?;
            if !probing {
                work.appends.hand_over_early(lanes);
            }
            if !work.busy || !work.has_room() || began.elapsed() >= open_for(lanes, &work.appends) {
                break;
            }
            std::thread::sleep(PAUSE);
            self.inbox.more(work);
        }
        let full = appending.full;
        batch.move_some_ids(ids_moved * work.appends.outcomes.len())?;
        let forgotten_early = self.forgetter.forget(&mut batch)?;
        batch.commit()?;
        self.vitals.full.store(full, Ordering::Relaxed);
        self.metrics.dedup_forgotten_early.inc_by(forgotten_early);
        Ok(())
    }

    /// Removal without the appends that failed; what cannot be removed now is removed later.
    fn remove_alone(&mut self) {
        let mut removals = self.removals();
        // What is left in them was not removed.
        let _ = self.spool.remove(&mut removals);
        self.restore(removals);
    }

    fn removals(&self) -> Vec<(Lane, Vec<(u64, u64)>)> {
        self.lanes.iter().map(|lane| (lane.lane, lane.take_acked())).collect()
    }

    fn restore(&self, removals: Vec<(Lane, Vec<(u64, u64)>)>) {
        for (lane, (_, acked)) in self.lanes.iter().zip(removals) {
            lane.restore_acked(acked);
        }
    }

    fn report_unmoved(&self, moved: Result<(), SpoolError>, what: &str) {
        let Err(error) = moved else { return };
        self.metrics.spool_write_errors.inc();
        if error.is_damage() {
            self.spool.mark_damaged();
        }
        tracing::error!(%error, "{what}");
    }

    fn failed(&mut self, error: &SpoolError) {
        self.metrics.spool_write_errors.inc();
        if error.is_damage() {
            self.spool.mark_damaged();
        }
        if self.vitals.healthy.swap(false, Ordering::Relaxed) {
            tracing::error!(%error, "the spool cannot be written; events go to Kafka from memory until it can");
        }
    }

    /// A commit that fits by chance is no recovery: the spool's reserve must fit again.
    fn recovered(&mut self) {
        if !self.vitals.healthy.load(Ordering::Relaxed) && self.spool.is_whole() {
            self.vitals.healthy.store(true, Ordering::Relaxed);
            tracing::info!("the spool can be written again");
            self.spool.tidy();
        }
    }

    /// Gauges, after every batch.
    fn look_around(&mut self) {
        let counters = self.spool.counters();
        self.metrics.spool_records.set(counters.records.cast_signed());
        self.metrics.spool_bytes.set(counters.bytes.cast_signed());
        self.metrics.spool_parked.set(counters.parked.cast_signed());
        self.metrics.dedup_entries.set(counters.remembered.cast_signed());
        if self.looked_at.elapsed() >= LOOK {
            self.looked_at = Instant::now();
            self.vitals.oldest_ms.store(self.spool.oldest().ok().flatten().unwrap_or(0), Ordering::Relaxed);
        }
    }
}

fn open_for(lanes: &[Arc<Shared>], appends: &Appends) -> Duration {
    match lanes.first() {
        Some(lane) if lane.answer_after != AnswerAfter::Disk && appends.early.has_any() => OPEN_BESIDE_KAFKA_FOR,
        Some(_) | None => OPEN_FOR,
    }
}

/// Puts submissions into a batch.
struct Appending<'a> {
    lanes: &'a [Arc<Shared>],
    unsaved: &'a Unsaved,
    forgetter: &'a Forgetter,
    max_bytes: u64,
    full: bool,
}

impl Appending<'_> {
    /// Those that the batch has not come to yet, in order.
    fn append(&mut self, appends: &mut Appends, batch: &mut Batch<'_>) -> Result<(), SpoolError> {
        let Appends { submitted, outcomes, .. } = appends;
        for (submission, ticket) in submitted.iter_mut().skip(outcomes.len()) {
            let bucket = self.forgetter.bucket(submission.received_at_ms);
            bind(submission, ticket, batch, self.unsaved, bucket)?;
            let bound = if self.full { 0 } else { self.max_bytes };
            let Submission { lane, event_id: id, event_time: time, .. } = *submission;
            let entry = entry(submission);
            let outcome = match self.unsaved.get(submission) {
                None => batch.append(&entry, id, time, bound)?,
                // The spool failed when the first copy came: with this one it is stored after all, while it waits for Kafka.
                Some(seq) if self.is_past_the_spool(lane, seq) => {
                    batch.append_after_all(seq, &entry, id, time, bound)?
                }
                Some(seq) => Appended::Pending(seq),
            };
            // What comes after a refused record must not overtake it.
            self.full |= outcome == Appended::Full;
            outcomes.push(outcome);
        }
        Ok(())
    }

    fn is_past_the_spool(&self, lane: Lane, seq: u64) -> bool {
        self.lanes.get(lane as usize).is_some_and(|lane| lane.lock().bypassed.contains(&seq))
    }
}

fn entry(submission: &Submission) -> Entry<'_> {
    Entry {
        lane: submission.lane,
        account: submission.account,
        received_at_ms: submission.received_at_ms,
        record: &submission.record,
    }
}
