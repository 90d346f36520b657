//! The writer thread: the only one that writes the spool. It commits what has gathered as one fsynced batch.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use super::{
    Lane, Submission,
    bind::bind,
    forget::Forgetter,
    lane::Shared,
    spool::{Appended, Entry, IDS_MOVED, Spool, SpoolError, size_of},
    state::Item,
    ticket::Ticket,
    unsaved::Unsaved,
    vitals::Vitals,
};
use crate::metrics::Metrics;

/// Commands committed together at most.
const BATCH: usize = 1024;
/// Their bytes: what a batch writes must fit in the reserve of a full disk.
const BATCH_BYTES: u64 = 2 * 1024 * 1024;
/// Longest sleep: bounds how late a removal, the oldest record's age and a recovered disk are noticed.
const IDLE: Duration = Duration::from_millis(500);
/// How long a removal waits for appends to share their transaction with: alone it would cost an fsync of its own.
const REMOVE_WITHIN: Duration = Duration::from_millis(20);
/// A batch of so many appends is followed by another: that one gathers for a while, so that more share its fsync.
const BUSY: usize = 16;
/// How long it gathers.
const GATHER: Duration = Duration::from_micros(500);
/// How often the age of the oldest pending record is read.
const LOOK: Duration = Duration::from_secs(1);

const UNMOVED_IDS: &str =
    "the recent ids cannot be moved to their places; they are known all the same, and it is tried again";
const UNMOVED_LOG: &str = "the spool's log cannot be moved into its database; it grows, and is tried again";

/// What the writer is asked.
pub(super) enum Command {
    /// Append a record; the ticket says what became of it.
    Append(Submission, Arc<Ticket>),
    /// Acknowledged records are to be removed.
    Nudge,
    /// The broker refused a record for good.
    Refused(Lane, Box<Item>, &'static str),
    /// Remove what is to be removed, close the spool and return.
    Stop,
}

pub(super) struct Writer {
    pub(super) spool: Spool,
    pub(super) commands: Receiver<Command>,
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

/// A batch's appends.
#[derive(Default)]
pub(super) struct Appends {
    pub(super) submitted: Vec<(Submission, Arc<Ticket>)>,
    /// What becomes of each once the batch is committed.
    pub(super) outcomes: Vec<Appended>,
    /// The lanes, by `Lane as usize`, that have their new records already.
    pub(super) early: [bool; 3],
}

impl Writer {
    /// Runs until it is told to stop, or nobody is left to tell it.
    pub(super) fn run(mut self) {
        let mut appends = Appends::default();
        let mut refused = VecDeque::new();
        let mut busy = false;
        self.look_around();
        loop {
            let (mut stop, mut bytes) = (false, 0);
            let mut command = self.first_command();
            if busy {
                std::thread::sleep(GATHER);
            }
            while let Some(taken) = command.take() {
                match taken {
                    Command::Append(submission, ticket) => {
                        bytes += size_of(&submission.record);
                        appends.submitted.push((submission, ticket));
                    }
                    Command::Nudge => {}
                    Command::Refused(lane, item, reason) => refused.push_back((lane, item, reason)),
                    Command::Stop => stop = true,
                }
                if appends.submitted.len() < BATCH && bytes < BATCH_BYTES && !stop {
                    command = self.commands.try_recv().ok();
                }
            }
            self.vitals.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            busy = appends.submitted.len() >= BUSY;
            self.commit(&mut appends, &mut refused);
            if stop {
                self.spool.tidy();
                return;
            }
        }
    }

    /// Waits for a batch's first command. Removals wait a little longer, for appends.
    fn first_command(&self) -> Option<Command> {
        let (mut until, mut nudged) = (Instant::now() + IDLE, false);
        loop {
            match self.commands.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Command::Nudge) => {
                    if !std::mem::replace(&mut nudged, true) {
                        until = Instant::now() + REMOVE_WITHIN;
                    }
                }
                Ok(command) => return Some(command),
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => return Some(Command::Stop),
            }
        }
    }

    fn commit(&mut self, appends: &mut Appends, refused: &mut VecDeque<(Lane, Box<Item>, &'static str)>) {
        if self.forgetter.begins() {
            let moved = self.spool.move_ids();
            self.report_unmoved(moved, UNMOVED_IDS);
        }
        let mut removals: Vec<_> = self.lanes.iter().map(|lane| (lane.lane, lane.take_acked())).collect();
        let mut transacted = self.transact(appends, &mut removals, IDS_MOVED * appends.submitted.len());
        let again = !appends.early.contains(&true);
        if again && transacted.as_ref().is_err_and(SpoolError::is_full) && self.spool.make_room() {
            transacted = self.transact(appends, &mut removals, 0);
            self.spool.close_room();
        }
        match transacted {
            Ok(()) => {
                self.recovered();
                // Before the answers: who has one may look.
                self.look_around();
                self.settle(appends);
                // After the answers, which need not wait for it.
                let moved = self.spool.move_log_when_due();
                self.report_unmoved(moved, UNMOVED_LOG);
            }
            Err(error) => {
                self.failed(&error);
                self.bypass(appends);
                self.remove_alone(removals);
                self.look_around();
            }
        }
        while let Some((lane, item, reason)) = refused.pop_front() {
            if let Err((item, error)) = self.put_aside(lane, item, reason) {
                self.failed(&error);
                refused.push_front((lane, item, reason));
                break;
            }
            self.look_around();
        }
    }

    /// One transaction: removals, appends, moves of recent ids, some forgetting.
    fn transact(
        &mut self,
        appends: &mut Appends,
        removals: &mut [(Lane, Vec<(u64, u64)>)],
        ids_moved: usize,
    ) -> Result<(), SpoolError> {
        let probing = !self.vitals.healthy.load(Ordering::Relaxed);
        let Appends { submitted, outcomes, early } = appends;
        outcomes.clear();
        *early = [false; 3];
        let idle = submitted.is_empty() && removals.iter().all(|(_, acked)| acked.is_empty());
        if idle && !probing && !self.forgetter.is_due() {
            return Ok(());
        }
        let mut batch = self.spool.batch()?;
        // A spool that was full stays so until the first removal.
        let mut full = self.vitals.full.load(Ordering::Relaxed);
        for (lane, acked) in removals.iter_mut().filter(|(_, acked)| !acked.is_empty()) {
            batch.remove(*lane, acked)?;
            full = false;
        }
        for (submission, ticket) in submitted {
            let bucket = self.forgetter.bucket(submission.received_at_ms);
            bind(submission, ticket, &mut batch, &self.unsaved, bucket)?;
            let bound = if full { 0 } else { self.max_bytes };
            let outcome = match self.unsaved.get(submission) {
                Some(seq) => Appended::Pending(seq),
                None => batch.append(&entry(submission), submission.event_id, submission.event_time, bound)?,
            };
            // What comes after a refused record must not overtake it.
            full |= outcome == Appended::Full;
            outcomes.push(outcome);
        }
        batch.move_some_ids(ids_moved)?;
        let forgotten_early = self.forgetter.forget(&mut batch)?;
        if !probing {
            appends.hand_over_early(&self.lanes);
        }
        batch.commit()?;
        self.vitals.full.store(full, Ordering::Relaxed);
        self.metrics.dedup_forgotten_early.inc_by(forgotten_early);
        Ok(())
    }

    /// Removal without the appends that failed; what cannot be removed now is removed later.
    fn remove_alone(&mut self, mut removals: Vec<(Lane, Vec<(u64, u64)>)>) {
        if self.spool.remove(&mut removals).is_err() {
            for (lane, (_, acked)) in self.lanes.iter().zip(removals) {
                lane.restore_acked(acked);
            }
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

fn entry(submission: &Submission) -> Entry<'_> {
    Entry {
        lane: submission.lane,
        account: submission.account,
        received_at_ms: submission.received_at_ms,
        record: &submission.record,
    }
}
