//! Refused records: an event that the broker will never take goes to the DLQ topic; what that refuses too is parked.

use std::{sync::Arc, time::Instant};

use super::{
    super::{
        Lane,
        broker::{detail, label},
        inbox::Reply,
        pending::{Arrival, New, Refused, Seq, Waiting},
        store::{Append, Moved, Removal, size_of},
        submission::Sending,
    },
    Coordinator, Place,
};
use crate::metrics::ReasonLabels;

impl Coordinator {
    /// Puts a refused record where it holds up no other, and who waits for it goes along.
    pub(super) fn refused(&mut self, lane: Lane, refused: Refused<Arc<Sending>, Reply>, now: Instant) {
        let (reason, has_key) = (label(refused.reason), refused.payload.record.key.is_some());
        let detail = detail(refused.reason, has_key);
        self.metrics.publish_errors.get_or_create(&ReasonLabels { reason }).inc();
        self.own.log.refused(&self.topic(lane), reason, detail, now);
        let Refused { seq, bytes, payload, on_disk, waiting, .. } = refused;
        // What the store was not handed yet is not on disk, and does not come there.
        let on_disk = on_disk && !self.own.next.drop_append(lane, seq.0);
        let from = on_disk.then_some(Removal { lane, seq: seq.0, bytes });
        if lane == Lane::Dlq {
            self.park(seq, payload, detail, from, waiting);
        } else {
            self.move_to_dlq(&payload, detail, from, waiting, now);
        }
    }

    fn move_to_dlq(
        &mut self,
        refused: &Sending,
        detail: &'static str,
        from: Option<Removal>,
        waiting: Waiting<Reply>,
        now: Instant,
    ) {
        let Sending { record, account, received_at_ms, id, signature } = refused;
        let (name, mode) =
            account.and_then(|index| self.accounts.get(index)).map_or(("", ""), |(name, mode)| (name, *mode));
        let record = record.clone().rejected(detail, name, mode, *received_at_ms);
        let seq = Seq(self.seqs.next(*received_at_ms, now));
        let bytes = size_of(&record);
        let (account, received_at_ms, id, signature) = (*account, *received_at_ms, *id, *signature);
        let payload = Arc::new(Sending { record, account, received_at_ms, id, signature });
        self.is_at(&payload, Place::In(Lane::Dlq, seq));
        let on_disk = from.is_some();
        if on_disk {
            let to = Append { lane: Lane::Dlq, seq: seq.0, sending: Arc::clone(&payload) };
            self.own.next.move_record(Moved { from, to });
        }
        let arrival = Arrival::Moved { writing: on_disk };
        self.lane(Lane::Dlq).add(New { seq, key: None, bytes, payload, waiting, arrival }, now);
    }

    fn park(
        &mut self,
        seq: Seq,
        payload: Arc<Sending>,
        detail: &'static str,
        from: Option<Removal>,
        waiting: Waiting<Reply>,
    ) {
        let topic = self.topic(Lane::Dlq);
        tracing::error!(%topic, detail, "the DLQ topic refuses a record too; it is parked in the spool");
        self.is_at(&payload, Place::Parked(seq));
        self.own.parking.insert(seq, Vec::new());
        for (reply, _) in waiting {
            self.wait_for_parked(seq, reply);
        }
        self.own.next.move_record(Moved { from, to: Append { lane: Lane::Parked, seq: seq.0, sending: payload } });
    }

    fn is_at(&mut self, sending: &Sending, place: Place) {
        if let Some(id) = sending.id {
            self.ids.insert(id.event_time, (id.account, id.event_id), place);
        }
    }

    /// Moves are committed.
    pub(super) fn moved(&mut self, moved: Vec<Moved>, now: Instant) {
        for Moved { to: Append { lane, seq, sending }, .. } in moved {
            self.stored(lane, &[(Seq(seq), sending)], now);
            for reply in self.own.parking.remove(&Seq(seq)).unwrap_or_default() {
                reply.safe(false);
            }
        }
    }

    /// Moves could not be committed. A DLQ record goes on in memory, and what it stands for is removed with the commit that
    /// stores it, or after its ack; a parked one is tried again.
    pub(super) fn not_moved(&mut self, moved: Vec<Moved>, now: Instant) {
        for moved in moved {
            let seq = Seq(moved.to.seq);
            if moved.to.lane == Lane::Parked {
                self.own.next.move_later(moved, now);
            } else {
                self.lane(moved.to.lane).not_committed(&[seq], now);
                self.own.next.remove_replaced(moved.from.map(|from| (from, seq.0)), now);
            }
        }
    }
}
