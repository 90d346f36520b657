//! The producers that are in use: one for each route of a lane, made when it is first needed, and anew after a failure.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use rdkafka::error::KafkaError;

use super::{
    Connect, Link, NotTaken, Reports,
    pacing::{Apart, Paced},
};
use crate::delivery::{
    AnswerAfter, Lane,
    pending::{Route, Seq},
    submission::Sending,
};

/// Where no answer waits for an ack.
const APART: Apart = Apart { few: Duration::from_millis(30), many: Duration::from_millis(30) };
/// Where one does: half of it is added to an answer's time, and half of the broker's work is saved at 2,000 records a second.
const APART_ANSWERED: Apart = Apart { few: Duration::ZERO, many: Duration::from_millis(5) };
/// Each record is a request of its own.
const NOT_APART: Apart = Apart { few: Duration::ZERO, many: Duration::ZERO };
/// No batches: each record is a request of its own.
const ALWAYS: Duration = Duration::from_hours(1);

#[derive(Default)]
struct Slot {
    paced: Option<Paced>,
    generation: u64,
}

/// See the module.
pub(in crate::delivery) struct Links {
    connect: Arc<dyn Connect>,
    reports: Reports,
    answer_after: AnswerAfter,
    slots: [[Slot; 2]; 3],
}

impl Links {
    pub(in crate::delivery) fn new(connect: Arc<dyn Connect>, reports: Reports, answer_after: AnswerAfter) -> Self {
        Self { connect, reports, answer_after, slots: Default::default() }
    }

    fn slot(&mut self, lane: Lane, route: Route) -> Option<&mut Slot> {
        self.slots.get_mut(lane as usize)?.get_mut(route as usize)
    }

    /// Makes a producer in place of the one before, which ends beside.
    pub(in crate::delivery) fn connect(&mut self, lane: Lane, route: Route) -> Result<(), KafkaError> {
        let Some(slot) = self.slot(lane, route) else { return Ok(()) };
        let link = Link { lane, route, generation: slot.generation };
        slot.generation += 1;
        discard(slot.paced.take().into_iter().collect(), Duration::ZERO);
        let producer = self.connect.connect(link, Arc::clone(&self.reports))?;
        let (open_for, apart) = match (route, self.answer_after) {
            // Not to the linger's end: what comes just behind a request waits for that one's report.
            (Route::Batch, AnswerAfter::Kafka | AnswerAfter::KafkaOnly) => {
                (self.connect.linger() * 3 / 4, APART_ANSWERED)
            }
            (Route::Batch, AnswerAfter::Disk) => (self.connect.linger() * 3 / 4, APART),
            (Route::Alone, _) => (ALWAYS, NOT_APART),
        };
        if let Some(slot) = self.slot(lane, route) {
            slot.paced = Some(Paced::new(producer, open_for, apart));
        }
        Ok(())
    }

    /// Whether a report is of the producer in use; then it counts as reported.
    pub(in crate::delivery) fn reported(&mut self, link: Link) -> bool {
        let Some(slot) = self.slot(link.lane, link.route) else { return false };
        let current = link.generation + 1 == slot.generation;
        if let Some(paced) = slot.paced.as_mut().filter(|_| current) {
            paced.reported();
        }
        current
    }

    /// Takes a record: it leaves with [`pump`](Self::pump).
    pub(in crate::delivery) fn send(&mut self, lane: Lane, route: Route, seq: Seq, sending: Arc<Sending>) {
        if let Some(paced) = self.slot(lane, route).and_then(|slot| slot.paced.as_mut()) {
            paced.send(seq, sending);
        }
    }

    /// Sends what may leave. What fails at once is returned.
    pub(in crate::delivery) fn pump(&mut self, now: Instant) -> Vec<(Lane, Seq, NotTaken)> {
        let mut failed = Vec::new();
        for (lane, slots) in Lane::FORWARDED.into_iter().zip(&mut self.slots) {
            for paced in slots.iter_mut().filter_map(|slot| slot.paced.as_mut()) {
                failed.extend(paced.pump(now).into_iter().map(|(seq, why)| (lane, seq, why)));
            }
        }
        failed
    }

    /// When there is something to send, if it is not now.
    pub(in crate::delivery) fn due(&self) -> Option<Instant> {
        self.slots.iter().flatten().filter_map(|slot| slot.paced.as_ref()?.due()).min()
    }

    /// Takes back what has not left the producer yet. What is not reported is returned.
    pub(in crate::delivery) fn purge(&mut self, lane: Lane, route: Route) -> Vec<Seq> {
        self.slot(lane, route).and_then(|slot| slot.paced.as_mut()).map(Paced::purge).unwrap_or_default()
    }

    /// Ends all producers, not longer than `limit`.
    pub(in crate::delivery) fn end(self, limit: Duration) {
        let all = self.slots.into_iter().flatten().filter_map(|slot| slot.paced);
        discard(all.collect(), limit);
    }
}

/// Gives producers up. Their threads may hang in a name look-up for long: they end by themselves.
fn discard(producers: Vec<Paced>, limit: Duration) {
    if producers.is_empty() {
        return;
    }
    let (gone, wait) = mpsc::sync_channel(1);
    let discarding = std::thread::Builder::new().name("discard".into()).spawn(move || {
        drop(producers);
        // Nobody waits any longer when the limit is over.
        let _ = gone.send(());
    });
    if discarding.is_ok() {
        let _ = wait.recv_timeout(limit);
    }
}
