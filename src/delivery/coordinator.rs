//! The coordinator: one thread that owns the state of every pending record.
//!
//! It takes submissions, decides what is new, sends in order, hands the store what must be stored, and answers. It never waits
//! for a disk or a network: both report. Does not depend on SQLite or librdkafka.

mod dead_letters;
mod known;
mod reports;

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) use known::place_of;

use prometheus_client::metrics::counter::Counter;
use smallvec::smallvec;

use super::{
    AnswerAfter, Lane,
    broker::{Links, NotTaken},
    inbox::{Inbox, Reply, Taken},
    next_commit::NextCommit,
    nonces::Nonces,
    pending::{Arrival, By, Failure, Found, Memory, New, Pending, Seq, Step, Verdict, Waiting},
    probe::Probe,
    retention::Seqs,
    status::Status,
    store::{Append, Id, NonceUse, Removal, Store, Undecided, size_of},
    submission::{Binding, Sending, Submission},
};
use crate::{clock, event::EventId, metrics::Metrics, telemetry::traces::Traces};

/// Longest sleep: bounds how late a recovered disk and the oldest record's age are noticed.
const TICK: Duration = Duration::from_millis(500);
/// Records in memory, in all lanes, above which submissions are left where they are.
const MEMORY_RECORDS: usize = 32_768;
/// Their bytes.
const MEMORY_BYTES: u64 = 24 * 1024 * 1024;
/// Ids and nonces that one commit writes.
const IDS_AT_ONCE: usize = 4096;
/// Removals that wait, above which nothing more is read from the disk: it takes none at the moment.
const REMOVALS: usize = 65_536;
/// How long a stop goes on after what was to be sent was sent, until all is stored.
const STORE_WITHIN: Duration = Duration::from_millis(500);

/// Where the record of a known event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a lane, pending, or acknowledged not long ago.
    In(Lane, Seq),
    /// Refused by the DLQ topic too, and kept in the spool.
    Parked(Seq),
    InKafka,
}

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
    pub(super) inbox: Arc<Inbox>,
    pub(super) status: Arc<Status>,
    pub(super) metrics: Metrics,
    pub(super) traces: Traces,
    pub(super) probe: Option<Probe>,
    pub(super) store: Store,
    /// `None`: the spool is the store.
    pub(super) links: Option<Links>,
    pub(super) answer_after: AnswerAfter,
    /// Account names with their mode, by index.
    pub(super) accounts: Vec<(String, &'static str)>,
    pub(super) topics: [Arc<str>; 3],
    /// `cardhook_published_total` of each topic.
    pub(super) published: [Counter; 3],
    /// By `Lane as usize`.
    pub(super) lanes: [Pending<Arc<Sending>, Reply>; 4],
    pub(super) ids: Memory<(usize, EventId), Place>,
    pub(super) seqs: Seqs,
    pub(super) own: Own,
}

/// What begins empty.
#[derive(Default)]
pub(super) struct Own {
    nonces: Nonces,
    next: NextCommit,
    /// A commit is under way; these ids are in it.
    writing: Option<Vec<super::pending::Due<(usize, EventId), Place>>>,
    /// What is delivered in place of an undecided record whose nonce came with another event.
    instead: HashMap<Seq, Box<dyn FnOnce() -> Submission + Send>>,
    /// Who waits for a record to be parked.
    parking: HashMap<Seq, Vec<Reply>>,
    /// Lanes whose database did not read, and when it is tried again.
    unread: Vec<(Lane, Instant)>,
    /// Until a lane has something to do of its own.
    idle_until: Option<Instant>,
    /// The last commit was handed over then.
    handed_over: Option<Instant>,
    store_works: bool,
    /// The spool has reached `spool.max_bytes`.
    full: bool,
    log: reports::Log,
    keys: RandomState,
}

impl Coordinator {
    /// Runs until it is stopped, and gives the store and the producers back.
    pub(super) fn run(mut self) -> (Store, Option<Links>) {
        let (mut taken, mut stage) = (Taken::default(), Stage::Running);
        self.own.store_works = true;
        self.turn(Instant::now(), stage);
        while stage != Stage::Ended {
            let until = self.next_due(Instant::now(), stage);
            self.inbox.take(&mut taken, until, self.has_room());
            let now = Instant::now();
            self.status.beat(now);
            for report in taken.store.drain(..) {
                self.store_reported(report, now);
            }
            for report in taken.broker.drain(..) {
                self.broker_reported(report, now);
            }
            self.answer();
            for (submission, reply) in taken.submissions.drain(..) {
                self.submit(submission, smallvec![(reply, now)], now);
            }
            if let (Some(until), Stage::Running) = (taken.stop.take(), stage) {
                stage = Stage::Draining(until);
                self.lanes.iter_mut().for_each(Pending::drain);
            }
            self.turn(now, stage);
            stage = self.next_stage(stage, now);
        }
        (self.store, self.links)
    }

    fn next_stage(&mut self, stage: Stage, now: Instant) -> Stage {
        match stage {
            Stage::Draining(until) => {
                let drained = self.links.is_none() || self.forwarded().all(Pending::is_drained);
                if !drained && now < until {
                    return stage;
                }
                if !drained {
                    tracing::warn!("the flush ran out of time; what was in flight is sent again at the next start");
                }
                // All that memory alone holds.
                self.lanes.iter_mut().for_each(Pending::disk_works);
                let next = Stage::Storing(now.max(until) + STORE_WITHIN);
                self.turn(now, next);
                self.next_stage(next, now)
            }
            Stage::Storing(until) => {
                let stored = self.own.writing.is_none() && !self.has_unstored();
                if stored || now >= until || !self.own.store_works { Stage::Ended } else { stage }
            }
            Stage::Running | Stage::Ended => stage,
        }
    }

    fn has_unstored(&self) -> bool {
        !self.own.next.is_empty() || self.ids.has_due() || self.own.nonces.has_unsaved()
    }

    fn forwarded(&self) -> impl Iterator<Item = &Pending<Arc<Sending>, Reply>> {
        self.lanes.iter().take(Lane::FORWARDED.len())
    }

    fn lane(&mut self, lane: Lane) -> &mut Pending<Arc<Sending>, Reply> {
        let [events, dlq, other, parked] = &mut self.lanes;
        match lane {
            Lane::Events => events,
            Lane::Dlq => dlq,
            Lane::Other => other,
            Lane::Parked => parked,
        }
    }

    /// What follows from what was taken in.
    fn turn(&mut self, now: Instant, stage: Stage) {
        self.lanes.iter_mut().for_each(|lane| lane.tick(now));
        if !matches!(stage, Stage::Storing(_)) {
            self.send(now);
        }
        self.hand_over(now, stage);
        self.answer();
        self.note_presence();
    }

    /// There is room for submissions in memory.
    fn has_room(&self) -> bool {
        let records: usize = self.lanes.iter().map(|lane| lane.memory().records).sum();
        let bytes: u64 = self.lanes.iter().map(|lane| lane.memory().bytes).sum();
        records < MEMORY_RECORDS && bytes < MEMORY_BYTES
    }

    fn next_due(&self, now: Instant, stage: Stage) -> Instant {
        let store_is_free = self.own.writing.is_none();
        let mut due = now + TICK;
        let mut earlier = |at: Option<Instant>| due = at.map_or(due, |at| due.min(at));
        for lane in &self.lanes {
            earlier(lane.due());
            earlier(lane.store_due().filter(|_| store_is_free));
        }
        earlier(self.own.idle_until);
        earlier(self.links.as_ref().and_then(Links::due));
        earlier(self.own.next.due(now).filter(|_| store_is_free));
        earlier(self.own.unread.iter().map(|(_, at)| *at).min());
        match stage {
            Stage::Draining(until) | Stage::Storing(until) => earlier(Some(until)),
            Stage::Running | Stage::Ended => {}
        }
        due
    }

    /// Takes a record in. `waiting` waits for its answer, or for that of its first copy.
    fn submit(&mut self, mut submission: Submission, mut waiting: Waiting<Reply>, now: Instant) {
        let Submission { lane, account, event_id, event_time, received_at_ms, .. } = submission;
        let binding = submission.binding.take();
        let signature = binding.as_ref().map(|binding| binding.signature);
        let mut ask = None;
        if let Some(Binding { signature, instead }) = binding {
            let used = NonceUse { account, signature, event_id, received_s: received_at_ms / 1000 };
            match (self.own.nonces.find(account, &signature), instead) {
                (Some(first), Some(instead)) if first != event_id => {
                    for (reply, _) in &mut waiting {
                        reply.nonce_reused = true;
                    }
                    return self.submit(instead(), waiting, now);
                }
                (Some(_), _) => {}
                (None, Some(instead)) => {
                    self.own.nonces.insert(&used);
                    ask = Some((used, instead));
                }
                // It stays what it is: nothing depends on what the store says.
                (None, None) => {
                    self.own.nonces.insert(&used);
                    self.own.nonces.save(used);
                    self.own.next.wait(now);
                }
            }
        }
        let (id, key) = (Id { account, event_time, event_id }, (account, event_id));
        let found = match self.ids.find(event_time, &key) {
            Found::Known(Place::In(first, seq)) if self.lane(first).reads_not(seq) => Found::New,
            found @ (Found::New | Found::AskStore | Found::Known(_)) => found,
        };
        let known = match found {
            Found::Known(place) if ask.is_none() => return self.join(place, waiting, now),
            Found::Known(_) => true,
            Found::New | Found::AskStore => false,
        };
        let seq = Seq(self.seqs.next(received_at_ms, now));
        let record = std::mem::take(&mut submission.record);
        let sending = Arc::new(Sending { record, account: Some(account), received_at_ms, id: Some(id), signature });
        if !known {
            self.ids.insert(event_time, key, Place::In(lane, seq));
            if !self.own.store_works {
                self.metrics.spool_bypassed.inc();
            }
        }
        let undecided = ask.is_some() || found == Found::AskStore;
        if undecided {
            let nonce = ask.map(|(used, instead)| {
                self.own.instead.insert(seq, instead);
                used
            });
            let append = Append { lane, seq: seq.0, sending: Arc::clone(&sending) };
            self.own.next.decide(Undecided { append, nonce, nonce_only: known });
        }
        let arrival = if undecided { Arrival::Undecided } else { Arrival::New };
        let (key, bytes) = (self.key(&sending), size_of(&sending.record));
        self.lane(lane).add(New { seq, key, bytes, payload: sending, waiting, arrival }, now);
    }

    fn key(&self, sending: &Sending) -> Option<u64> {
        sending.record.key.as_ref().map(|key| self.own.keys.hash_one(key))
    }

    /// Does what the lanes ask for, and lets leave what may.
    fn send(&mut self, now: Instant) {
        let Some(mut links) = self.links.take() else { return };
        loop {
            self.own.idle_until = None;
            for lane in Lane::FORWARDED {
                self.steps(lane, &mut links, now);
            }
            let failed = links.pump(now);
            if failed.is_empty() {
                break;
            }
            for (lane, seq, why) in failed {
                match why {
                    NotTaken::QueueFull => self.lane(lane).not_taken(Seq(seq), now),
                    NotTaken::Failed(failure) => self.failed(lane, Seq(seq), failure, true, now),
                }
            }
        }
        self.links = Some(links);
    }

    fn steps(&mut self, lane: Lane, links: &mut Links, now: Instant) {
        loop {
            match self.lane(lane).step(now) {
                Step::Connect(route) => match links.connect(lane, route) {
                    Ok(()) => {
                        self.own.log.connected(lane, route);
                        self.lane(lane).connected(route);
                    }
                    Err(error) => {
                        let topic = self.topic(lane);
                        tracing::error!(%topic, %error, "no producer; trying again");
                        self.lane(lane).not_connected(route, now);
                    }
                },
                Step::Send(route, seq) => {
                    if let Some(sending) = self.lane(lane).payload(seq).cloned() {
                        links.send(lane, route, seq.0, sending);
                    }
                }
                Step::Purge(route) => {
                    for seq in links.purge(lane, route) {
                        self.failed(lane, Seq(seq), Failure::Purged, false, now);
                    }
                }
                Step::Read { after, upto } if self.own.next.removals() < REMOVALS => {
                    self.store.read(lane, after.0, upto.0);
                }
                Step::Read { .. } => self.own.unread.push((lane, now + TICK)),
                Step::Idle(until) => {
                    self.own.idle_until = [self.own.idle_until, until].into_iter().flatten().min();
                    return;
                }
            }
        }
    }

    fn topic(&self, lane: Lane) -> Arc<str> {
        self.topics.get(lane as usize).cloned().unwrap_or_default()
    }

    /// Hands the store its next commit, if it is free and something is due.
    fn hand_over(&mut self, now: Instant, stage: Stage) {
        self.own.unread.retain(|(lane, at)| {
            let due = *at <= now;
            if let Some(lane) = self.lanes.get_mut(*lane as usize).filter(|_| due) {
                lane.not_loaded();
            }
            !due
        });
        let is_free = self.own.writing.is_none();
        // What is acknowledged while the store is busy need not be stored, unless the answer waits for the disk.
        if is_free || self.answer_after == AnswerAfter::Disk {
            self.gather(now);
        }
        if !is_free {
            return;
        }
        let ticks = self.own.handed_over.is_none_or(|at| now >= at + TICK);
        if ticks {
            self.seqs.look(now, clock::unix_millis());
            if !self.own.store_works {
                // Tried again, with all that memory alone holds.
                self.lanes.iter_mut().for_each(Pending::disk_works);
                self.gather(now);
            }
        }
        if self.ids.has_due() {
            self.own.next.wait(now);
        }
        let due = match stage {
            Stage::Storing(_) => self.has_unstored(),
            Stage::Running | Stage::Draining(_) | Stage::Ended => self.own.next.due(now).is_some_and(|due| due <= now),
        };
        if !due && !ticks {
            return;
        }
        let [_, dlq, ..] = &self.lanes;
        let mut commit = self.own.next.take(|seq| dlq.is_unstored(Seq(seq)), now);
        let due = self.ids.due(IDS_AT_ONCE);
        commit.ids = due.iter().filter_map(|due| Some((id_of(due.second, due.key), seq_of(due.place)?))).collect();
        commit.nonces = self.own.nonces.unsaved(IDS_AT_ONCE);
        commit.last_seq = self.seqs.last();
        self.own.writing = Some(due);
        self.own.handed_over = Some(now);
        self.status.store_is_busy(now, true);
        self.store.hand_over(commit);
    }

    /// Takes what the store is to take.
    fn gather(&mut self, now: Instant) {
        for lane in Lane::ALL {
            let append =
                |(seq, sending): (Seq, &Arc<Sending>)| Append { lane, seq: seq.0, sending: Arc::clone(sending) };
            let appends: Vec<_> = self.lane(lane).take_to_store(now).into_iter().map(append).collect();
            for append in appends {
                self.own.next.append(append);
            }
            let removals = self.lane(lane).take_removals();
            self.own.next.remove(removals.into_iter().map(|(seq, bytes)| Removal { lane, seq: seq.0, bytes }), now);
        }
    }

    /// Sends the answers that are decided, and forgets what was given up.
    fn answer(&mut self) {
        for lane in Lane::ALL {
            for (reply, verdict) in self.lane(lane).take_decided() {
                match verdict {
                    Verdict::Safe(by) => reply.safe(by == By::Kafka && self.links.is_some()),
                    Verdict::Refuse => reply.refuse(),
                    Verdict::Wait => {}
                }
            }
            for given_up in self.lane(lane).take_given_up() {
                self.forget(&given_up);
            }
        }
    }

    /// The event was not accepted: the next delivery of it is new.
    fn forget(&mut self, sending: &Sending) {
        let Some(id) = sending.id else { return };
        self.ids.forget(id.event_time, &(id.account, id.event_id));
        if let Some(signature) = sending.signature {
            self.own.nonces.forget(id.account, &signature);
        }
    }
}

fn id_of(event_time: i64, (account, event_id): (usize, EventId)) -> Id {
    Id { account, event_time, event_id }
}

/// `None`: the store has its id already.
fn seq_of(place: Place) -> Option<u64> {
    match place {
        Place::In(_, seq) | Place::Parked(seq) => Some(seq.0),
        Place::InKafka => None,
    }
}
