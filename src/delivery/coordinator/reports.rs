//! What the broker and the store report.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    super::{
        Lane, broker,
        pending::{Failure, Route, Seq},
        probe::Published,
        store::{Append, StoreReport},
    },
    Coordinator, TICK,
};
use crate::{clock, metrics::ReasonLabels, telemetry::traces::Place};

/// How often refusals are logged, a line for all of them.
const LOG_EVERY: Duration = Duration::from_secs(1);

impl Coordinator {
    pub(super) fn broker_reported(&mut self, report: broker::Report, now: Instant) {
        match report {
            broker::Report::Acked(link, seq, position) => {
                if self.links.as_mut().is_some_and(|links| links.reported(link)) {
                    self.acked(link.lane, Seq(seq), position, now);
                    for refused in self.lane(link.lane).recover(now) {
                        self.refused(link.lane, refused, now);
                    }
                }
            }
            broker::Report::Failed(link, seq, failure) => {
                if self.links.as_mut().is_some_and(|links| links.reported(link)) {
                    self.log_failure(link.lane, link.route, failure);
                    self.failed(link.lane, Seq(seq), failure, false, now);
                }
            }
            // All lanes speak to the same brokers.
            broker::Report::Connected(_, true) => {
                self.lanes.iter_mut().for_each(|lane| lane.set_connected(true, now));
            }
            broker::Report::Connected(link, false) if link.route == Route::Batch => {
                self.lane(link.lane).set_connected(false, now);
            }
            broker::Report::Connected(_, false) => {}
            broker::Report::AllDown(link, why) => {
                self.own.log.why_away = Some(why);
                self.lane(link.lane).set_broker_up(false, now);
            }
            broker::Report::Reason(link, why) => self.note_reason(link.lane, &why),
            broker::Report::Complaint(reason) => self.count(reason),
        }
    }

    fn acked(&mut self, lane: Lane, seq: Seq, position: broker::Position, now: Instant) {
        let sent = self.lane(lane).first_sent(seq);
        let Some(sending) = self.lane(lane).acked(seq, now) else { return };
        if let Some(id) = sending.id {
            self.ids.acked(id.event_time, (id.account, id.event_id));
        }
        if let Some(published) = self.published.get(lane as usize) {
            published.inc();
        }
        let at_ms = clock::unix_millis();
        if let Some(topic) = self.topics.get(lane as usize) {
            let broker::Position { partition, offset } = position;
            self.traces.published(&sending.record, sent.unwrap_or(now), &Place { topic, partition, offset });
            if let (Some(probe), Some(id)) = (&self.probe, sending.id) {
                let topic = Arc::clone(topic);
                probe.published(Published { event_id: id.event_id, at_ms, topic, partition, offset });
            }
        }
        let took = sent.map_or(Duration::ZERO, |sent| now.saturating_duration_since(sent));
        self.metrics.publish_seconds.observe(took.as_secs_f64());
        if lane == Lane::Events {
            let age = at_ms - sending.record.timestamp_ms;
            #[expect(clippy::cast_precision_loss, reason = "an age in milliseconds fits in 52 bits")]
            self.metrics.event_age_seconds.observe((age.max(0) as f64) / 1000.0);
        }
    }

    /// A record failed. `unsent`: before it left, so that a refusal is surely its own.
    pub(super) fn failed(&mut self, lane: Lane, seq: Seq, failure: Failure, unsent: bool, now: Instant) {
        match failure {
            Failure::Refused(reason) if unsent => {
                if let Some(refused) = self.lane(lane).refused_unsent(seq, reason) {
                    self.refused(lane, refused, now);
                }
                return;
            }
            // Counted once it is sure which record is refused.
            Failure::Refused(_) | Failure::Purged => {}
            Failure::Topic(reason) | Failure::Producer(reason) => self.count(reason),
        }
        for refused in self.lane(lane).failed(seq, failure, now) {
            self.refused(lane, refused, now);
        }
    }

    fn count(&self, reason: &'static str) {
        self.metrics.publish_errors.get_or_create(&ReasonLabels { reason }).inc();
    }

    fn log_failure(&mut self, lane: Lane, route: Route, failure: Failure) {
        let (Failure::Topic(reason) | Failure::Producer(reason)) = failure else { return };
        let failed = &mut self.own.log.failed;
        if !failed.contains(&(lane, route)) {
            failed.push((lane, route));
            let topic = self.topic(lane);
            let words = broker::words(reason);
            let (found, cure) = words.as_ref().map(|(found, cure)| (found.as_str(), cure.as_str())).unzip();
            tracing::warn!(%topic, reason, found, cure, "publishing failed; trying again with a new producer");
        }
    }

    pub(super) fn store_reported(&mut self, report: StoreReport, now: Instant) {
        let (commit, decided, full, status, committed) = match report {
            StoreReport::Page { lane, page } => return self.read(lane, page, now),
            StoreReport::Committed { commit, decided, full, status } => (commit, decided, full, status, true),
            StoreReport::Failed { commit, decided, status } => (commit, decided, Vec::new(), status, false),
        };
        self.status.set_store(status);
        self.status.store_is_busy(now, false);
        let ids = self.own.writing.take().unwrap_or_default();
        if committed {
            self.ids.saved(&ids);
            self.own.nonces.saved(&commit.nonces);
            self.moved(commit.moved, now);
        } else {
            if self.own.store_works {
                let lanes: usize = self.lanes.iter().map(super::Pending::not_on_disk).sum();
                self.metrics.spool_bypassed.inc_by((lanes + self.ids.due_len()) as u64);
            }
            self.own.next.remove(commit.remove, now);
            self.own.next.remove_replaced(commit.replaced, now);
            self.not_moved(commit.moved, now);
        }
        for lane in Lane::ALL {
            let of_lane = commit.append.iter().filter(|append| append.lane == lane);
            let stored = |append: &&Append| committed && !full.contains(&(lane, append.seq));
            let (stored, not): (Vec<_>, Vec<_>) = of_lane.partition(stored);
            let stored: Vec<_> = stored.into_iter().map(|append| (Seq(append.seq), append.sending.clone())).collect();
            let not: Vec<_> = not.into_iter().map(|append| Seq(append.seq)).collect();
            if committed {
                self.metrics.spool_bypassed.inc_by(not.len() as u64);
            }
            for (_, sending) in &stored {
                self.traces.stored(&sending.record, self.own.handed_over.unwrap_or(now));
            }
            self.stored(lane, &stored, now);
            self.lane(lane).not_committed(&not, now);
        }
        for decided in decided {
            self.decided(decided, committed, now);
        }
        if status.works && (!self.own.store_works || self.own.full && !status.full) {
            self.lanes.iter_mut().for_each(super::Pending::disk_works);
        }
        (self.own.store_works, self.own.full) = (status.works, status.full);
    }

    fn read(&mut self, lane: Lane, page: Option<(Vec<Append>, Vec<u64>, u64)>, now: Instant) {
        let Some((appends, unreadable, upto)) = page else {
            return self.own.unread.push((lane, now + TICK));
        };
        let unreadable: Vec<Seq> = unreadable.into_iter().map(Seq).collect();
        let rows = appends.into_iter().map(|Append { seq, sending, .. }| {
            let bytes = super::size_of(&sending.record);
            (Seq(seq), self.key(&sending), bytes, sending)
        });
        let rows = rows.collect();
        self.lane(lane).do_not_read(&unreadable);
        self.lane(lane).loaded(rows, Seq(upto), now);
    }

    /// The line that says that Kafka is away may have left before its reason was known.
    fn note_reason(&self, lane: Lane, why: &str) {
        if self.own.log.away.get(lane as usize) == Some(&true) {
            let topic = self.topic(lane);
            tracing::warn!(%topic, why, "no broker answers");
        }
    }

    /// Says in the log, the gauge and the status whether Kafka is away.
    pub(super) fn note_presence(&mut self) {
        if self.links.is_none() {
            return;
        }
        for lane in Lane::FORWARDED {
            let away = self.lane(lane).is_away();
            let silent = self.lane(lane).is_silent();
            let topic = self.topic(lane);
            let Some(logged) = self.own.log.away.get_mut(lane as usize) else { continue };
            if silent && !*logged {
                *logged = true;
                let why = self.own.log.why_away.take();
                let why = why.as_deref().unwrap_or("the oldest record in flight has waited delivery.ack_timeout");
                tracing::warn!(%topic, why, "Kafka counts as away; answers no longer wait for it");
            } else if !away && *logged {
                *logged = false;
                tracing::info!(%topic, "Kafka acknowledges again");
            }
        }
        self.own.log.why_away = None;
        let up = self.lane(Lane::Events).is_up();
        self.metrics.kafka_up.set(i64::from(up));
        self.status.set_kafka_up(up);
    }
}

/// What was logged, so that it is not logged for every record.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// By `Lane as usize`.
    away: [bool; 3],
    why_away: Option<String>,
    /// Producers that have failed and were not replaced yet.
    failed: Vec<(Lane, Route)>,
    refused_at: Option<Instant>,
    refused: u64,
}

impl Log {
    pub(super) fn connected(&mut self, lane: Lane, route: Route) {
        self.failed.retain(|failed| *failed != (lane, route));
    }

    pub(super) fn refused(&mut self, topic: &str, reason: &'static str, detail: &'static str, now: Instant) {
        self.refused += 1;
        if self.refused_at.is_none_or(|at| now >= at + LOG_EVERY) {
            let records = std::mem::take(&mut self.refused);
            tracing::warn!(topic, reason, detail, records, "the broker refuses a record for good");
            self.refused_at = Some(now);
        }
    }
}
