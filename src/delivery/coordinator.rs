//! The coordinator: one thread that owns the state of every pending record.
//!
//! It takes submissions, decides what is new (`known`), sends in order, hands the store what must be stored (`spooling`), and
//! answers. It never waits for a disk or a network: both report. Does not depend on SQLite or librdkafka.

mod dead_letters;
mod known;
mod lanes;
mod observer;
mod spooling;

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use smallvec::smallvec;

pub(super) use self::{
    dead_letters::DeadLetters,
    known::{Known, Place},
    lanes::Lanes,
    observer::Observer,
    spooling::Spooling,
};

use super::{
    Lane,
    broker::{self, Links, NotTaken, detail, label},
    inbox::{Inbox, Reply, Taken},
    pending::{Amount, Arrival, Failure, New, Pending, Refused, Route, Seq, Step, Waiting, acknowledged},
    retention::Seqs,
    status::Status,
    store::{Append, Committed, Decided, Decision, Moved, Read, Removal, Store, StoreReport, Undecided, size_of},
    submission::{AnswerAfter, Sending, Submission},
};
use known::{Fate, Question};
use spooling::TICK;

/// Records in memory, in all lanes, above which submissions are left where they are.
const MEMORY: Amount = Amount { records: 32_768, bytes: 24 * 1024 * 1024 };
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
    pub(super) inbox: Arc<Inbox>,
    pub(super) status: Arc<Status>,
    pub(super) answer_after: AnswerAfter,
    pub(super) lanes: Lanes,
    pub(super) known: Known,
    pub(super) dead_letters: DeadLetters,
    pub(super) seqs: Seqs,
    pub(super) spooling: Spooling,
    /// `None`: the spool is the store.
    pub(super) links: Option<Links>,
    pub(super) observer: Observer,
    pub(super) keys: RandomState,
    /// Until a lane has something to do of its own.
    pub(super) idle_until: Option<Instant>,
}

impl Coordinator {
    /// Runs until it is stopped, and gives the store and the producers back.
    pub(super) fn run(mut self) -> (Store, Option<Links>) {
        let (mut taken, mut stage) = (Taken::default(), Stage::Running);
        self.turn(Instant::now(), stage);
        while stage != Stage::Ended {
            let until = self.next_due(Instant::now(), stage);
            self.inbox.take(&mut taken, until, self.lanes.memory().is_below(MEMORY));
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
                self.lanes.each().for_each(Pending::drain);
            }
            self.turn(now, stage);
            stage = self.next_stage(stage, now);
        }
        (self.spooling.store, self.links)
    }

    fn next_stage(&mut self, stage: Stage, now: Instant) -> Stage {
        match stage {
            Stage::Draining(until) => {
                let drained = self.links.is_none() || self.lanes.are_drained();
                if !drained && now < until {
                    return stage;
                }
                if !drained {
                    tracing::warn!("the flush ran out of time; what was in flight is sent again at the next start");
                }
                // All that memory alone holds.
                self.lanes.each().for_each(Pending::disk_works);
                let next = Stage::Storing(now.max(until) + STORE_WITHIN);
                self.turn(now, next);
                self.next_stage(next, now)
            }
            Stage::Storing(until) => {
                let ends = self.spooling.is_done(&self.known) || now >= until || !self.spooling.works();
                if ends { Stage::Ended } else { stage }
            }
            Stage::Running | Stage::Ended => stage,
        }
    }

    /// What follows from what was taken in.
    fn turn(&mut self, now: Instant, stage: Stage) {
        self.lanes.each().for_each(|lane| lane.tick(now));
        let stores_all = matches!(stage, Stage::Storing(_));
        if !stores_all {
            self.send(now);
        }
        if self.spooling.hand_over(&mut self.lanes, &self.known, &mut self.seqs, stores_all, now) {
            self.status.store_is_busy(now, true);
        }
        self.answer();
        self.note_presence();
    }

    fn next_due(&self, now: Instant, stage: Stage) -> Instant {
        let stop = match stage {
            Stage::Draining(until) | Stage::Storing(until) => Some(until),
            Stage::Running | Stage::Ended => None,
        };
        let lanes = self.lanes.due(self.spooling.is_free());
        let links = self.links.as_ref().and_then(Links::due);
        let due = [lanes, links, self.idle_until, self.spooling.due(now), stop];
        due.into_iter().flatten().fold(now + TICK, Instant::min)
    }

    /// Takes a record in. `waiting` waits for its answer, or for that of its first copy.
    fn submit(&mut self, mut submission: Submission, mut waiting: Waiting<Reply>, now: Instant) {
        let signature = submission.binding.as_ref().map(|binding| binding.signature);
        let question = match self.known.judge(&mut submission) {
            Fate::New => None,
            Fate::Undecided(question) => Some(question),
            Fate::Duplicate(place) => return self.join(place, waiting, now),
            Fate::NonceReused(instead) => {
                waiting.iter_mut().for_each(|(reply, _)| reply.nonce_reused = true);
                return self.submit(instead(), waiting, now);
            }
        };
        let Submission { lane, account, received_at_ms, .. } = submission;
        let (seq, id) = (Seq(self.seqs.next(received_at_ms, now)), Some(submission.id()));
        let record = submission.record;
        let sending = Arc::new(Sending { record, account: Some(account), received_at_ms, id, signature });
        if question.as_ref().is_none_or(|question| !question.nonce_only) {
            self.known.is_at(&sending, Place::In(lane, seq));
            if !self.spooling.works() {
                self.observer.bypassed(1);
            }
        }
        let arrival = if question.is_some() { Arrival::Undecided } else { Arrival::New };
        if let Some(Question { nonce, nonce_only }) = question {
            let append = Append { lane, seq, sending: Arc::clone(&sending) };
            let nonce = nonce.map(|(used, instead)| {
                self.known.keep_instead(seq, instead);
                used
            });
            self.spooling.next.decide(Undecided { append, nonce, nonce_only });
        }
        let (key, bytes) = (self.key(&sending), size_of(&sending.record));
        self.lanes.get(lane).add(New { seq, key, bytes, payload: sending, waiting, arrival }, now);
    }

    fn key(&self, sending: &Sending) -> Option<u64> {
        sending.record.key.as_ref().map(|key| self.keys.hash_one(key))
    }

    /// Duplicates wait for what the record at `place` waits for.
    fn join(&mut self, place: Place, waiting: Waiting<Reply>, now: Instant) {
        for (mut reply, since) in waiting {
            reply.duplicate = true;
            match place {
                Place::In(lane, seq) => self.lanes.get(lane).join(seq, reply, since, now),
                Place::Parked(seq) => self.dead_letters.wait(seq, reply),
                Place::InKafka => reply.answer(acknowledged(self.answer_after), self.links.is_some()),
            }
        }
    }

    /// The store has said whether a record's event is new; in a transaction that was committed, or by reading alone.
    fn decided(&mut self, decided: Decided, committed: bool, now: Instant) {
        let Decided { undecided: Undecided { append, nonce, nonce_only: _ }, decision } = decided;
        let (lane, seq) = (append.lane, append.seq);
        let instead = self.known.take_instead(seq);
        match decision {
            Decision::Stored(proof) => {
                self.lanes.get(lane).decided_new(seq);
                self.stored(&[(append, proof)], now);
            }
            Decision::NotStored => {
                if let Some(used) = nonce {
                    self.known.save_nonce(used);
                }
                self.observer.bypassed(usize::from(committed));
                self.lanes.get(lane).decided_new(seq);
                self.lanes.get(lane).not_committed(&[seq], now);
            }
            Decision::Duplicate(first) => {
                let first = self.known.first_copy(&append.sending, Place::In(lane, seq), first);
                let waiting = self.lanes.get(lane).take_duplicate(seq);
                self.join(first, waiting, now);
            }
            Decision::NonceFits => {
                let waiting = self.lanes.get(lane).take_duplicate(seq);
                match self.known.find(&append.sending) {
                    Some(place) => self.join(place, waiting, now),
                    // The first copy was not accepted meanwhile.
                    None => self.submit(Submission::again(lane, &append.sending), waiting, now),
                }
            }
            Decision::NonceReused => {
                let mut waiting = self.lanes.get(lane).take_duplicate(seq);
                self.known.forget_nonce(&append.sending);
                if self.known.find(&append.sending) == Some(Place::In(lane, seq)) {
                    self.known.forget(&append.sending);
                }
                waiting.iter_mut().for_each(|(reply, _)| reply.nonce_reused = true);
                if let Some(instead) = instead {
                    self.submit(instead(), waiting, now);
                }
            }
        }
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
                    NotTaken::QueueFull => self.lanes.get(lane).not_taken(seq, now),
                    // Before it left, so that a refusal is surely its own.
                    NotTaken::Failed(Failure::Refused(reason)) => {
                        if let Some(refused) = self.lanes.get(lane).refused_unsent(seq, reason) {
                            self.refused(lane, refused, now);
                        }
                    }
                    NotTaken::Failed(failure) => self.failed(lane, seq, failure, now),
                }
            }
        }
        self.links = Some(links);
    }

    fn steps(&mut self, lane: Lane, links: &mut Links, now: Instant) {
        loop {
            match self.lanes.get(lane).step(now) {
                Step::Connect(route) => match links.connect(lane, route) {
                    Ok(()) => {
                        self.observer.connected(lane, route);
                        self.lanes.get(lane).connected(route);
                    }
                    Err(error) => {
                        let topic = self.observer.topic(lane);
                        tracing::error!(topic, %error, "no producer; trying again");
                        self.lanes.get(lane).not_connected(route, now);
                    }
                },
                Step::Send(route, seq) => {
                    if let Some(sending) = self.lanes.get(lane).payload(seq).cloned() {
                        links.send(lane, route, seq, sending);
                    }
                }
                Step::Purge(route) => {
                    for seq in links.purge(lane, route) {
                        self.failed(lane, seq, Failure::Purged, now);
                    }
                }
                Step::Read { after, upto } => self.spooling.read(lane, after, upto, now),
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
                    self.acked(link.lane, acked, now);
                }
            }
            broker::Report::Failed(link, seq, failure) => {
                if self.links.as_mut().is_some_and(|links| links.reported(link)) {
                    self.observer.failed(link.lane, link.route, failure);
                    self.failed(link.lane, seq, failure, now);
                }
            }
            // All lanes speak to the same brokers.
            broker::Report::Connected(_, true) => self.lanes.each().for_each(|lane| lane.set_connected(true, now)),
            broker::Report::Connected(link, false) if link.route == Route::Batch => {
                self.lanes.get(link.lane).set_connected(false, now);
            }
            broker::Report::Connected(_, false) => {}
            broker::Report::AllDown(link, why) => {
                self.observer.all_down(why);
                self.lanes.get(link.lane).set_broker_up(false, now);
            }
            broker::Report::Reason(link, why) => self.observer.reason(link.lane, &why),
            broker::Report::Complaint(reason) => self.observer.count_failure(reason),
        }
    }

    fn acked(&mut self, lane: Lane, acked: broker::Acked, now: Instant) {
        let sent = self.lanes.get(lane).first_sent(acked.seq()).unwrap_or(now);
        if let Some(sending) = self.lanes.get(lane).acked(acked, now) {
            self.known.acked(&sending);
            self.observer.acked(lane, &sending, sent, acked.position(), now);
        }
        for refused in self.lanes.get(lane).recover(now) {
            self.refused(lane, refused, now);
        }
    }

    /// A producer gave a record back.
    fn failed(&mut self, lane: Lane, seq: Seq, failure: Failure, now: Instant) {
        match failure {
            // Counted once it is sure which record is refused.
            Failure::Refused(_) | Failure::Purged => {}
            Failure::Topic(reason) | Failure::Producer(reason) => self.observer.count_failure(reason),
        }
        for refused in self.lanes.get(lane).failed(seq, failure, now) {
            self.refused(lane, refused, now);
        }
    }

    /// Puts a refused record where it holds up no other, and who waits for it goes along: into the DLQ topic, or, when that
    /// refuses it too, into the spool for good.
    fn refused(&mut self, lane: Lane, refused: Refused<Arc<Sending>, Reply>, now: Instant) {
        let Refused { seq, bytes, payload, reason, on_disk, waiting } = refused;
        let (reason, detail) = (label(reason), detail(reason, payload.record.key.is_some()));
        self.observer.refused(lane, reason, detail, now);
        // What the store was not handed yet is not on disk, and does not come there.
        let on_disk = on_disk && !self.spooling.next.drop_append(lane, seq);
        let from = on_disk.then_some(Removal { lane, seq, bytes });
        if lane == Lane::Dlq {
            let topic = self.observer.topic(lane);
            tracing::error!(topic, detail, "the DLQ topic refuses a record too; it is parked in the spool");
            self.known.is_at(&payload, Place::Parked(seq));
            self.dead_letters.parks(seq);
            waiting.into_iter().for_each(|(reply, _)| self.dead_letters.wait(seq, reply));
            let to = Append { lane: Lane::Parked, seq, sending: payload };
            return self.spooling.next.move_record(Moved { from, to });
        }
        let payload = Arc::new(self.dead_letters.of(&payload, detail));
        let (lane, seq) = (Lane::Dlq, Seq(self.seqs.next(payload.received_at_ms, now)));
        self.known.is_at(&payload, Place::In(lane, seq));
        let arrival = Arrival::Moved { writing: from.is_some() };
        if from.is_some() {
            let to = Append { lane, seq, sending: Arc::clone(&payload) };
            self.spooling.next.move_record(Moved { from, to });
        }
        let bytes = size_of(&payload.record);
        self.lanes.get(lane).add(New { seq, key: None, bytes, payload, waiting, arrival }, now);
    }

    fn store_reported(&mut self, report: StoreReport, now: Instant) {
        let status = match report {
            StoreReport::Page { lane, page } => return self.read(lane, page, now),
            StoreReport::Committed { stored, full, moved, decided, nonces, status } => {
                self.known.saved(&self.spooling.reported(), &nonces);
                self.stored(&moved, now);
                moved.iter().for_each(|(append, _)| self.dead_letters.parked(append.seq));
                self.stored(&stored, now);
                self.observer.bypassed(full.len());
                self.not_stored(&full, now);
                decided.into_iter().for_each(|decided| self.decided(decided, true, now));
                status
            }
            StoreReport::Failed { commit, decided, status } => {
                drop(self.spooling.reported());
                if self.spooling.works() {
                    self.observer.bypassed(self.lanes.not_on_disk() + self.known.unsaved_ids());
                }
                self.spooling.next.remove(commit.remove, now);
                self.spooling.next.remove_replaced(commit.replaced, now);
                self.not_moved(commit.moved, now);
                self.not_stored(&commit.append, now);
                decided.into_iter().for_each(|decided| self.decided(decided, false, now));
                status
            }
        };
        self.status.set_store(status);
        self.status.store_is_busy(now, false);
        if self.spooling.set_status(status) {
            self.lanes.each().for_each(Pending::disk_works);
        }
    }

    /// These are committed and fsynced, with their ids.
    fn stored(&mut self, stored: &[(Append, Committed)], now: Instant) {
        for lane in Lane::ALL {
            let of_lane = stored.iter().filter(|(append, _)| append.lane == lane);
            let proofs: Vec<_> = of_lane.map(|(_, proof)| *proof).collect();
            self.lanes.get(lane).committed(&proofs, now);
        }
        let handed_over = self.spooling.next.handed_over().unwrap_or(now);
        for (append, _) in stored {
            self.observer.stored(append, handed_over);
            self.known.committed(&append.sending, append.lane, append.seq);
        }
    }

    fn not_stored(&mut self, appends: &[Append], now: Instant) {
        for lane in Lane::ALL {
            let of_lane = appends.iter().filter(|append| append.lane == lane);
            let seqs: Vec<_> = of_lane.map(|append| append.seq).collect();
            self.lanes.get(lane).not_committed(&seqs, now);
        }
    }

    /// Moves could not be committed. A DLQ record goes on in memory, and what it stands for is removed with the commit that
    /// stores it, or after its ack; a parked one is tried again.
    fn not_moved(&mut self, moved: Vec<Moved>, now: Instant) {
        for moved in moved {
            let seq = moved.to.seq;
            if moved.to.lane == Lane::Parked {
                self.spooling.next.move_later(moved, now);
            } else {
                self.lanes.get(moved.to.lane).not_committed(&[seq], now);
                self.spooling.next.remove_replaced(moved.from.map(|from| (from, seq)), now);
            }
        }
    }

    fn read(&mut self, lane: Lane, page: Option<Read>, now: Instant) {
        let Some(Read { records, unreadable, upto }) = page else { return self.spooling.read_later(lane, now) };
        let row = |Append { seq, sending, .. }| (seq, self.key(&sending), size_of(&sending.record), sending);
        let rows = records.into_iter().map(row).collect();
        self.known.lose(lane, unreadable);
        self.lanes.get(lane).loaded(rows, upto, now);
    }

    /// Sends the answers that are decided, and forgets what was given up.
    fn answer(&mut self) {
        let has_kafka = self.links.is_some();
        for lane in self.lanes.each() {
            for (reply, verdict) in lane.take_decided() {
                reply.answer(verdict, has_kafka);
            }
            for given_up in lane.take_given_up() {
                self.known.forget(&given_up);
            }
        }
    }

    /// Says outside whether Kafka is away.
    fn note_presence(&mut self) {
        if self.links.is_none() {
            return;
        }
        for lane in Lane::FORWARDED {
            let records = self.lanes.get(lane);
            self.observer.presence(lane, records.is_away(), records.is_silent());
        }
        let up = self.lanes.get(Lane::Events).is_up();
        self.observer.kafka_up(up);
        self.status.set_kafka_up(up);
    }
}
