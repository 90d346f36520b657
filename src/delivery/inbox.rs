//! What waits for the coordinator: submissions of the HTTP workers, and reports of the producers and of the store.
//!
//! One lock, held to push or to swap. Submissions are bounded; reports are, by what is in flight.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::oneshot;

use super::{
    broker,
    pending::Verdict,
    store::{StoreReport, size_of},
    submission::{Overloaded, Safe, Submission},
};

/// Submissions that wait at most; beyond, the answer is 503.
const SUBMISSIONS: usize = 8192;
/// Their bytes.
const BYTES: u64 = 32 * 1024 * 1024;

/// Who waits for an answer, and what it will say.
#[derive(Debug)]
pub(super) struct Reply {
    to: oneshot::Sender<Result<Safe, Overloaded>>,
    /// The event was known already.
    pub(super) duplicate: bool,
    /// Its signature came with another event.
    pub(super) nonce_reused: bool,
}

impl Reply {
    pub(super) fn new(to: oneshot::Sender<Result<Safe, Overloaded>>) -> Self {
        Self { to, duplicate: false, nonce_reused: false }
    }

    /// Says what the table says. `has_kafka`: false where the spool is the store.
    pub(super) fn answer(self, verdict: Verdict, has_kafka: bool) {
        let Self { to, duplicate, nonce_reused } = self;
        let answer = match verdict {
            Verdict::Safe(by) => Ok(Safe { by_kafka: has_kafka && by.is_kafka(), duplicate, nonce_reused }),
            Verdict::Refuse => Err(Overloaded::NoDurablePlace),
            Verdict::Wait => return,
        };
        // Who waits no longer was answered at its deadline.
        let _ = to.send(answer);
    }
}

#[derive(Debug, Default)]
struct Waiting {
    submissions: Vec<(Submission, Reply)>,
    bytes: u64,
    broker: Vec<broker::Report>,
    store: Vec<StoreReport>,
    stop: Option<Instant>,
    /// The coordinator sleeps.
    sleeps: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

/// What was taken out.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) submissions: Vec<(Submission, Reply)>,
    pub(super) broker: Vec<broker::Report>,
    pub(super) store: Vec<StoreReport>,
    /// Stop: what is in memory may be sent until then.
    pub(super) stop: Option<Instant>,
}

impl Taken {
    pub(super) fn len(&self) -> usize {
        self.submissions.len() + self.broker.len() + self.store.len()
    }
}

impl Inbox {
    /// The lock is never found poisoned: a delivery thread that panics ends the process.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, mut waiting: MutexGuard<'_, Waiting>) {
        let sleeps = std::mem::replace(&mut waiting.sleeps, false);
        drop(waiting);
        if sleeps {
            self.wake.notify_one();
        }
    }

    /// Hands a submission in, where there is room.
    pub(super) fn submit(&self, submission: Submission, reply: Reply) -> Result<(), Overloaded> {
        let bytes = size_of(&submission.record);
        let mut waiting = self.lock();
        if waiting.submissions.len() >= SUBMISSIONS || waiting.bytes + bytes > BYTES {
            return Err(Overloaded::NoDurablePlace);
        }
        waiting.bytes += bytes;
        waiting.submissions.push((submission, reply));
        self.wake(waiting);
        Ok(())
    }

    pub(super) fn broker(&self, report: broker::Report) {
        let mut waiting = self.lock();
        waiting.broker.push(report);
        self.wake(waiting);
    }

    pub(super) fn store(&self, report: StoreReport) {
        let mut waiting = self.lock();
        waiting.store.push(report);
        self.wake(waiting);
    }

    pub(super) fn stop(&self, until: Instant) {
        let mut waiting = self.lock();
        waiting.stop = Some(until);
        self.wake(waiting);
    }

    /// Waits until there is something to take, or until then. `taken` is empty; `with_submissions`: there is room for them.
    pub(super) fn take(&self, taken: &mut Taken, until: Instant, with_submissions: bool) {
        let mut waiting = self.lock();
        loop {
            let any = !waiting.broker.is_empty()
                || !waiting.store.is_empty()
                || waiting.stop.is_some()
                || with_submissions && !waiting.submissions.is_empty();
            let left = until.saturating_duration_since(Instant::now());
            if any || left.is_zero() {
                break;
            }
            waiting.sleeps = true;
            waiting = self.wake.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        waiting.sleeps = false;
        std::mem::swap(&mut taken.broker, &mut waiting.broker);
        std::mem::swap(&mut taken.store, &mut waiting.store);
        taken.stop = waiting.stop.take();
        if with_submissions {
            std::mem::swap(&mut taken.submissions, &mut waiting.submissions);
            waiting.bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        delivery::Lane,
        event::{EventId, Record},
    };

    fn submit(inbox: &Inbox, bytes: usize) -> Result<(), Overloaded> {
        let record = Record { value: vec![0; bytes].into(), ..Record::default() };
        let event_id = EventId::of_quarantined("shop", b"of the test");
        let (lane, account, event_time, received_at_ms, binding) = (Lane::Events, 0, 0, 0, None);
        let submission = Submission { lane, account, event_id, event_time, received_at_ms, record, binding };
        inbox.submit(submission, Reply::new(oneshot::channel().0))
    }

    #[test]
    fn beyond_what_may_wait_a_submission_is_refused_until_the_coordinator_has_taken_them() {
        let inbox = Inbox::default();
        for (bytes, fits) in [(0, SUBMISSIONS), (1 << 20, 32)] {
            for _ in 0..fits {
                assert_eq!(submit(&inbox, bytes), Ok(()));
            }
            assert_eq!(submit(&inbox, 1), Err(Overloaded::NoDurablePlace));
            let mut taken = Taken::default();
            let soon = Instant::now() + Duration::from_millis(1);
            inbox.take(&mut taken, soon, false);
            assert_eq!(taken.submissions.len(), 0, "it has no room either");
            inbox.take(&mut taken, soon, true);
            assert_eq!(taken.submissions.len(), fits);
        }
    }
}
