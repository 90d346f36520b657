//! The coordinator: one thread that owns the state of every pending record.
//!
//! It takes submissions and reports in, lets `records` decide what they mean, sends what may leave, and hands the store what must
//! be stored (`spooling`). It never waits for a disk or a network: both report. Does not depend on SQLite or librdkafka.

mod dead_letters;
mod known;
mod lanes;
mod observer;
mod records;
mod spooling;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use smallvec::smallvec;

pub(super) use self::{
    dead_letters::DeadLetters,
    known::{Known, Place},
    lanes::Lanes,
    observer::Observer,
    records::Records,
    spooling::Spooling,
};

use super::{
    Lane,
    broker::{self, Links, NotTaken},
    inbox::{Inbox, Taken},
    pending::{Amount, Failure, Pending, Route, Step},
    status::Status,
    store::{Store, StoreReport},
};
use spooling::TICK;

/// Removals that wait, above which nothing more is read from the disk: it takes none at the moment.
const REMOVALS: usize = 65_536;
/// Records in memory, in all lanes, above which submissions are left where they are.
const MEMORY: Amount = Amount { records: 32_768, bytes: 24 * 1024 * 1024 };
/// So much taken in at once means load: the coordinator then waits a little, so that more is taken in together. A wake-up of
/// its thread and of the HTTP workers costs as much as an event, and what waits for it wakes nobody.
const MANY: usize = 8;
/// How long it waits then: short beside an ack.
const GATHER: Duration = Duration::from_micros(500);
/// How long a stop goes on after what was to be sent was sent, until all is stored.
const STORE_WITHIN: Duration = Duration::from_millis(500);

/// How far the service is on its way to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// Sends what is in memory, until then at most.
    Draining(Instant),
    /// Stores the rest, until then at most.
    Storing(Instant),
    Ended,
}

/// See the module.
pub(super) struct Coordinator {
    inbox: Arc<Inbox>,
    status: Arc<Status>,
    records: Records,
    spooling: Spooling,
    store: Store,
    /// `None`: the spool is the store.
    links: Option<Links>,
    /// Until a lane has something to do of its own.
    idle_until: Option<Instant>,
}

impl Coordinator {
    pub(super) fn new(
        inbox: Arc<Inbox>,
        status: Arc<Status>,
        records: Records,
        spooling: Spooling,
        store: Store,
        links: Option<Links>,
    ) -> Self {
        Self { inbox, status, records, spooling, store, links, idle_until: None }
    }

    /// Runs until it is stopped, and gives the store and the producers back.
    pub(super) fn run(mut self) -> (Store, Option<Links>) {
        let (mut taken, mut stage) = (Taken::default(), Stage::Running);
        self.turn(Instant::now(), stage);
        while stage != Stage::Ended {
            let until = self.next_due(Instant::now(), stage);
            self.inbox.take(&mut taken, until, self.records.lanes.memory().is_below(MEMORY));
            let now = Instant::now();
            let many = taken.len() >= MANY;
            self.status.beat(now);
            for report in taken.store.drain(..) {
                self.store_reported(report, now);
            }
            for report in taken.broker.drain(..) {
                self.broker_reported(report, now);
            }
            self.records.answer();
            for (submission, reply) in taken.submissions.drain(..) {
                self.records.submit(submission, smallvec![(reply, now)], now);
            }
            if let (Some(until), Stage::Running) = (taken.stop.take(), stage) {
                stage = Stage::Draining(until);
                self.records.lanes.each().for_each(Pending::drain);
            }
            self.turn(now, stage);
            stage = self.next_stage(stage, now);
            if many {
                std::thread::sleep(GATHER);
            }
        }
        (self.store, self.links)
    }

    fn next_stage(&mut self, stage: Stage, now: Instant) -> Stage {
        match stage {
            Stage::Draining(until) => {
                let drained = self.links.is_none() || self.records.lanes.are_drained();
                if !drained && now < until {
                    return stage;
                }
                if !drained {
                    tracing::warn!("the flush ran out of time; what was in flight is sent again at the next start");
                }
                // All that memory alone holds.
                self.records.lanes.each().for_each(Pending::disk_works);
                let next = Stage::Storing(now.max(until) + STORE_WITHIN);
                self.turn(now, next);
                self.next_stage(next, now)
            }
            Stage::Storing(until) => {
                let ends = self.spooling.is_done(&self.records) || now >= until || !self.records.disk_works;
                if ends { Stage::Ended } else { stage }
            }
            Stage::Running | Stage::Ended => stage,
        }
    }

    /// What follows from what was taken in.
    fn turn(&mut self, now: Instant, stage: Stage) {
        self.records.lanes.each().for_each(|lane| lane.tick(now));
        let stores_all = matches!(stage, Stage::Storing(_));
        if !stores_all {
            self.send(now);
        }
        if let Some(commit) = self.spooling.next_commit(&mut self.records, stores_all, now) {
            self.status.store_is_busy(now, true);
            self.store.hand_over(commit);
        }
        self.records.answer();
        self.note_presence();
    }

    fn next_due(&self, now: Instant, stage: Stage) -> Instant {
        let stop = match stage {
            Stage::Draining(until) | Stage::Storing(until) => Some(until),
            Stage::Running | Stage::Ended => None,
        };
        let lanes = self.records.lanes.due(self.spooling.is_free());
        let links = self.links.as_ref().and_then(Links::due);
        let due = [lanes, links, self.idle_until, self.spooling.due(&self.records.next, now), stop];
        due.into_iter().flatten().fold(now + TICK, Instant::min)
    }

    /// Does what the lanes ask for, and lets leave what may.
    fn send(&mut self, now: Instant) {
        let Some(mut links) = self.links.take() else { return };
        loop {
            self.idle_until = None;
            for lane in Lane::FORWARDED {
                self.steps(lane, &mut links, now);
            }
            let failed = links.pump(now);
            if failed.is_empty() {
                break;
            }
            for (lane, seq, why) in failed {
                match why {
                    NotTaken::QueueFull => self.records.lanes.get(lane).not_taken(seq, now),
                    // Before it left, so that a refusal is surely its own.
                    NotTaken::Failed(Failure::Refused(reason)) => {
                        if let Some(refused) = self.records.lanes.get(lane).refused_unsent(seq, reason) {
                            self.records.refused(lane, refused, now);
                        }
                    }
                    NotTaken::Failed(failure) => self.records.failed(lane, seq, failure, now),
                }
            }
        }
        self.links = Some(links);
    }

    fn steps(&mut self, lane: Lane, links: &mut Links, now: Instant) {
        loop {
            match self.records.lanes.get(lane).step(now) {
                Step::Connect(route) => match links.connect(lane, route) {
                    Ok(()) => {
                        self.records.observer.connected(lane, route);
                        self.records.lanes.get(lane).connected(route);
                    }
                    Err(error) => {
                        let topic = self.records.observer.topic(lane);
                        tracing::error!(topic, %error, "no producer; trying again");
                        self.records.lanes.get(lane).not_connected(route, now);
                    }
                },
                Step::Send(route, seq) => {
                    if let Some(sending) = self.records.lanes.get(lane).payload(seq).cloned() {
                        links.send(lane, route, seq, sending);
                    }
                }
                Step::Purge(route) => {
                    for seq in links.purge(lane, route) {
                        self.records.failed(lane, seq, Failure::Purged, now);
                    }
                }
                Step::Read { after, upto } if self.records.next.removals() < REMOVALS => {
                    self.store.read(lane, after, upto);
                }
                Step::Read { .. } => self.spooling.read_later(lane, now),
                Step::Idle(until) => {
                    self.idle_until = [self.idle_until, until].into_iter().flatten().min();
                    return;
                }
            }
        }
    }

    fn broker_reported(&mut self, report: broker::Report, now: Instant) {
        match report {
            broker::Report::Acked(link, acked) => {
                if self.links.as_mut().is_some_and(|links| links.reported(link)) {
                    self.records.acked(link.lane, acked, now);
                }
            }
            broker::Report::Failed(link, seq, failure) => {
                if self.links.as_mut().is_some_and(|links| links.reported(link)) {
                    self.records.observer.failed(link.lane, link.route, failure);
                    self.records.failed(link.lane, seq, failure, now);
                }
            }
            // All lanes speak to the same brokers.
            broker::Report::Connected(_, true) => {
                self.records.lanes.each().for_each(|lane| lane.set_connected(true, now));
            }
            broker::Report::Connected(link, false) if link.route == Route::Batch => {
                self.records.lanes.get(link.lane).set_connected(false, now);
            }
            broker::Report::Connected(_, false) => {}
            broker::Report::AllDown(link, why) => {
                self.records.observer.all_down(why);
                self.records.lanes.get(link.lane).set_broker_up(false, now);
            }
            broker::Report::Reason(link, why) => self.records.observer.reason(link.lane, &why),
            broker::Report::Complaint(reason) => self.records.observer.count_failure(reason),
        }
    }

    fn store_reported(&mut self, report: StoreReport, now: Instant) {
        let status = match report {
            StoreReport::Page { lane, page: Some(page) } => return self.records.read(lane, page, now),
            StoreReport::Page { lane, page: None } => return self.spooling.read_later(lane, now),
            StoreReport::Committed { done, status } => {
                self.records.committed(&self.spooling.reported(), done, now);
                status
            }
            StoreReport::Failed { commit, decided, status } => {
                drop(self.spooling.reported());
                self.records.not_committed(commit, decided, now);
                status
            }
        };
        self.status.set_store(status);
        self.status.store_is_busy(now, false);
        self.records.disk_is(status);
    }

    /// Says outside whether Kafka is away.
    fn note_presence(&mut self) {
        if self.links.is_none() {
            return;
        }
        for lane in Lane::FORWARDED {
            let records = self.records.lanes.get(lane);
            let (away, silent) = (records.is_away(), records.is_silent());
            self.records.observer.presence(lane, away, silent);
        }
        let up = self.records.lanes.get(Lane::Events).is_up();
        self.records.observer.kafka_up(up);
        self.status.set_kafka_up(up);
    }
}

#[cfg(test)]
mod model_test;
