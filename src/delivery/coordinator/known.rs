//! Duplicates: a submission whose event is known joins the wait for its first copy.

use std::{sync::Arc, time::Instant};

use super::{
    super::{
        AnswerAfter,
        inbox::Reply,
        pending::{Found, Seq, Waiting},
        store::{Append, Decided, Decision, Known, Undecided},
        submission::{Sending, Submission},
    },
    Coordinator, Place,
};
use crate::delivery::Lane;

impl Coordinator {
    /// They wait for what the record at `place` waits for.
    pub(super) fn join(&mut self, place: Place, waiting: Waiting<Reply>, now: Instant) {
        for (mut reply, since) in waiting {
            reply.duplicate = true;
            match place {
                Place::In(lane, seq) => self.lane(lane).join(seq, reply, since, now),
                Place::Parked(seq) => self.wait_for_parked(seq, reply),
                Place::InKafka => reply.safe(self.links.is_some()),
            }
        }
    }

    pub(super) fn wait_for_parked(&mut self, seq: Seq, reply: Reply) {
        match (self.answer_after, self.own.parking.get_mut(&seq)) {
            (AnswerAfter::KafkaOnly, _) => reply.refuse(),
            (AnswerAfter::Kafka | AnswerAfter::Disk, Some(waiting)) => waiting.push(reply),
            (AnswerAfter::Kafka | AnswerAfter::Disk, None) => reply.safe(false),
        }
    }

    /// The store has said whether a record's event is new; in a transaction that was committed, or by reading alone.
    pub(super) fn decided(&mut self, decided: Decided, committed: bool, now: Instant) {
        let Decided { undecided: Undecided { append, nonce, nonce_only: _ }, decision } = decided;
        let Append { lane, seq, sending } = append;
        let seq = Seq(seq);
        let instead = self.own.instead.remove(&seq);
        match decision {
            Decision::Stored => {
                self.lane(lane).decided_new(seq);
                self.stored(lane, &[(seq, sending)], now);
            }
            Decision::NotStored => {
                if let Some(used) = nonce {
                    self.own.nonces.save(used);
                    self.own.next.wait(now);
                }
                self.metrics.spool_bypassed.inc_by(u64::from(committed));
                self.lane(lane).decided_new(seq);
                self.lane(lane).not_committed(&[seq], now);
            }
            Decision::Duplicate(known) => self.join_first(lane, seq, &sending, known, now),
            Decision::NonceFits => {
                let waiting = self.lane(lane).take_duplicate(seq);
                match self.find(&sending) {
                    Some(place) => self.join(place, waiting, now),
                    // The first copy was not accepted meanwhile.
                    None => self.submit(resubmitted(lane, &sending), waiting, now),
                }
            }
            Decision::NonceReused => {
                let mut waiting = self.lane(lane).take_duplicate(seq);
                if let Some(signature) = sending.signature {
                    self.own.nonces.forget(sending.account.unwrap_or_default(), &signature);
                }
                if self.find(&sending) == Some(Place::In(lane, seq)) {
                    self.forget(&sending);
                }
                for (reply, _) in &mut waiting {
                    reply.nonce_reused = true;
                }
                if let Some(instead) = instead {
                    self.submit(instead(), waiting, now);
                }
            }
        }
    }

    fn find(&self, sending: &Sending) -> Option<Place> {
        let id = sending.id?;
        match self.ids.find(id.event_time, &(id.account, id.event_id)) {
            Found::Known(place) => Some(place),
            Found::New | Found::AskStore => None,
        }
    }

    fn join_first(&mut self, lane: Lane, seq: Seq, sending: &Sending, known: Known, now: Instant) {
        let first = match self.find(sending) {
            // It was refused since the transaction: its DLQ record is the first copy now.
            Some(place) if place != Place::In(lane, seq) => place,
            Some(_) | None => {
                let place = place_of(known);
                if let Some(id) = sending.id {
                    self.ids.insert(id.event_time, (id.account, id.event_id), place);
                    self.ids.stored(id.event_time, &(id.account, id.event_id));
                }
                place
            }
        };
        let waiting = self.lane(lane).take_duplicate(seq);
        self.join(first, waiting, now);
    }

    /// These are committed and fsynced, with their ids.
    pub(super) fn stored(&mut self, lane: Lane, records: &[(Seq, Arc<Sending>)], now: Instant) {
        let seqs: Vec<Seq> = records.iter().map(|(seq, _)| *seq).collect();
        self.lane(lane).committed(&seqs, now);
        for (seq, sending) in records {
            let place = self.find(sending);
            if let Some(id) = sending.id
                && (place == Some(Place::In(lane, *seq)) || place == Some(Place::Parked(*seq)))
            {
                self.ids.stored(id.event_time, &(id.account, id.event_id));
            }
        }
    }
}

/// Where the store says that a record is.
pub(in crate::delivery) fn place_of(known: Known) -> Place {
    match known.lane {
        Some(Lane::Parked) => Place::Parked(Seq(known.seq)),
        Some(lane @ (Lane::Events | Lane::Dlq | Lane::Other)) => Place::In(lane, Seq(known.seq)),
        None => Place::InKafka,
    }
}

fn resubmitted(lane: Lane, sending: &Sending) -> Submission {
    let Sending { record, account, received_at_ms, id, .. } = sending;
    let (event_time, event_id) = id.map_or_else(Default::default, |id| (id.event_time, Some(id.event_id)));
    let event_id = event_id.unwrap_or_else(|| crate::event::EventId::from_bytes([0; 16]));
    Submission {
        lane,
        account: account.unwrap_or_default(),
        event_id,
        event_time,
        received_at_ms: *received_at_ms,
        record: record.clone(),
        binding: None,
    }
}
