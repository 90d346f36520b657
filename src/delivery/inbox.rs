//! What waits for the writer, and how much of it one commit takes.

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
    spool::{Appended, size_of},
    state::Item,
    ticket::Ticket,
    vitals::Vitals,
};

/// Appends committed together at most.
const BATCH: usize = 1024;
/// Their bytes: what a batch writes must fit in the reserve of a full disk.
const BATCH_BYTES: u64 = 2 * 1024 * 1024;
/// Longest sleep: bounds how late a removal, the oldest record's age and a recovered disk are noticed.
const IDLE: Duration = Duration::from_millis(500);
/// How long a removal waits for appends to share their transaction with: alone it would cost an fsync of its own.
const REMOVE_WITHIN: Duration = Duration::from_millis(20);
/// A batch of so many appends is followed by another, which stays open for a while.
const BUSY: usize = 16;

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

/// The writer's end of the queue.
pub(super) struct Inbox {
    pub(super) commands: Receiver<Command>,
    pub(super) vitals: Arc<Vitals>,
}

/// What one commit is made of.
#[derive(Default)]
pub(super) struct Work {
    pub(super) appends: Appends,
    /// The batch before was large: more appends are to be expected.
    pub(super) busy: bool,
    /// Appends.
    taken: usize,
    bytes: u64,
    pub(super) refused: VecDeque<(Lane, Box<Item>, &'static str)>,
    pub(super) stop: bool,
    /// Something is to be removed since the batch began.
    nudged: bool,
}

/// A batch's appends.
#[derive(Default)]
pub(super) struct Appends {
    pub(super) submitted: Vec<(Submission, Arc<Ticket>)>,
    /// What becomes of each once the batch is committed.
    pub(super) outcomes: Vec<Appended>,
    pub(super) early: Early,
    /// So many of the submissions have been through that.
    pub(super) handed: usize,
}

impl Appends {
    /// For a transaction that has come to none of them.
    pub(super) fn begin(&mut self) {
        self.outcomes.clear();
        (self.early, self.handed) = (Early::default(), 0);
    }

    /// Takes them, each with the seq under which its lane has it already.
    pub(super) fn take_rolled_back(&mut self) -> Vec<(Submission, Arc<Ticket>, Option<u64>)> {
        let Self { submitted, mut outcomes, early, handed } = std::mem::take(self);
        outcomes.truncate(handed);
        let outcomes = outcomes.into_iter().map(Some).chain(std::iter::repeat(None));
        let with_seq = submitted.into_iter().zip(outcomes).map(|((submission, ticket), outcome)| match outcome {
            Some(Appended::New(seq)) if early.has(submission.lane) => (submission, ticket, Some(seq)),
            _ => (submission, ticket, None),
        });
        with_seq.collect()
    }
}

/// Whether a lane, by `Lane as usize`, gets its new records before their commit; decided with the first of them.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Early(pub(super) [Option<bool>; 3]);

impl Early {
    pub(super) fn has(self, lane: Lane) -> bool {
        self.0.get(lane as usize) == Some(&Some(true))
    }

    pub(super) fn has_any(self) -> bool {
        self.0.contains(&Some(true))
    }
}

impl Work {
    /// For the next commit.
    fn begin(&mut self) {
        self.busy = self.taken >= BUSY;
        (self.taken, self.bytes, self.nudged) = (0, 0, false);
    }

    pub(super) fn has_room(&self) -> bool {
        self.taken < BATCH && self.bytes < BATCH_BYTES && !self.stop
    }
}

impl Inbox {
    /// Waits for a batch's first command. Removals wait a little longer, for appends.
    fn first(&self, mut nudged: bool) -> Option<Command> {
        let mut until = Instant::now() + if nudged { REMOVE_WITHIN } else { IDLE };
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

    /// Waits for the next batch, and takes what it begins with.
    pub(super) fn next(&self, work: &mut Work) {
        let first = self.first(work.nudged);
        work.begin();
        self.take(first, work);
    }

    /// Takes what came meanwhile.
    pub(super) fn more(&self, work: &mut Work) {
        self.take(None, work);
    }

    /// Takes what waits, behind `first`, as far as it fits in one batch.
    fn take(&self, first: Option<Command>, work: &mut Work) {
        let bytes_before = work.bytes;
        let mut next = first.or_else(|| self.commands.try_recv().ok());
        while let Some(command) = next {
            match command {
                Command::Append(submission, ticket) => {
                    work.taken += 1;
                    work.bytes += size_of(&submission.record);
                    work.appends.submitted.push((submission, ticket));
                }
                Command::Nudge => work.nudged = true,
                Command::Refused(lane, item, reason) => work.refused.push_back((lane, item, reason)),
                Command::Stop => work.stop = true,
            }
            next = if work.has_room() { self.commands.try_recv().ok() } else { None };
        }
        self.vitals.queued_bytes.fetch_sub(work.bytes - bytes_before, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::event::{EventId, Record};

    fn submission(lane: Lane) -> Submission {
        Submission {
            lane,
            account: 0,
            event_id: EventId::of_quarantined("shop", b"of the test"),
            event_time: 0,
            received_at_ms: 0,
            record: Record::default(),
            binding: None,
        }
    }

    #[test]
    fn of_what_is_rolled_back_a_lane_has_what_was_handed_over_early_and_no_more() {
        let lanes = [Lane::Events, Lane::Dlq, Lane::Events, Lane::Events, Lane::Events];
        let mut appends = Appends {
            submitted: lanes.map(|lane| (submission(lane), Ticket::new())).into(),
            outcomes: vec![Appended::New(1), Appended::New(2), Appended::Pending(1), Appended::New(3)],
            early: Early([Some(true), Some(false), None]),
            handed: 3,
        };
        let seqs: Vec<_> = appends.take_rolled_back().into_iter().map(|(_, _, seq)| seq).collect();
        assert_eq!(seqs, [Some(1), None, None, None, None]);
    }

    #[test]
    fn a_removal_that_is_asked_for_within_a_batch_does_not_wait_for_the_next_append() {
        let (commands, queue) = sync_channel(8);
        let inbox = Inbox { commands: queue, vitals: Arc::default() };
        let mut work = Work::default();
        commands.send(Command::Append(submission(Lane::Events), Ticket::new())).unwrap();
        commands.send(Command::Nudge).unwrap();
        inbox.next(&mut work);
        let began = Instant::now();
        inbox.next(&mut work);
        assert!(began.elapsed() < IDLE / 2, "{:?}", began.elapsed());
        inbox.next(&mut work);
        assert!(began.elapsed() >= IDLE, "once only");
    }
}
