//! What becomes of a batch's appends once it is committed, or is not: handed over, joined to their first copies, or to Kafka
//! past the spool.

use std::sync::Arc;

use super::{
    Submission,
    inbox::Appends,
    spool::{Appended, size_of},
    state::Item,
    ticket::{State, Ticket},
    writer::Writer,
};

impl Writer {
    /// After the commit: hands over the new records that are not yet, in order; then settles or joins the tickets of the others.
    pub(super) fn settle(&mut self, appends: &mut Appends) {
        let mut new: [Vec<Item>; 3] = Default::default();
        let mut committed: [(u64, Vec<Arc<Ticket>>); 3] = Default::default();
        let mut others = Vec::new();
        let early = appends.early;
        for ((mut submission, ticket), outcome) in appends.submitted.drain(..).zip(appends.outcomes.drain(..)) {
            let lane = submission.lane as usize;
            match (outcome, new.get_mut(lane), committed.get_mut(lane)) {
                (Appended::New(_), ..) if self.lanes.is_empty() => ticket.settle(State::SafeOnDisk),
                (Appended::New(seq), _, Some((last, tickets))) if early.has(submission.lane) => {
                    *last = seq;
                    tickets.push(ticket);
                }
                (Appended::New(seq), Some(items), _) => items.push(item(&mut submission, seq, ticket)),
                _ => others.push((submission, ticket, outcome)),
            }
        }
        for ((lane, items), (last, tickets)) in self.lanes.iter().zip(new).zip(committed) {
            if !items.is_empty() {
                lane.hand_over(items);
            }
            if !tickets.is_empty() {
                lane.committed(last, &tickets);
            }
        }
        for (submission, ticket, outcome) in others {
            match outcome {
                Appended::Full => self.bypass_one(submission, ticket),
                Appended::Stored(seq) => self.store_after_all(&submission, seq, ticket),
                Appended::New(_) | Appended::Pending(_) | Appended::Delivered => {
                    self.join(&submission, outcome, ticket);
                }
            }
        }
    }

    /// A re-delivery of an event that is on its way past the spool has stored it.
    fn store_after_all(&mut self, submission: &Submission, seq: u64, ticket: Arc<Ticket>) {
        self.unsaved.forget(submission);
        if let Some(lane) = self.lanes.get(submission.lane as usize) {
            lane.stored_after_all(seq, size_of(&submission.record));
        }
        self.join(submission, Appended::Pending(seq), ticket);
    }

    /// A duplicate waits for what its first copy waits for.
    fn join(&self, submission: &Submission, first: Appended, ticket: Arc<Ticket>) {
        ticket.mark_duplicate();
        match (self.lanes.get(submission.lane as usize), first) {
            (Some(lane), Appended::Pending(seq)) => lane.join(seq, self.unsaved.get(submission).is_none(), ticket),
            (None, _) => ticket.settle(State::SafeOnDisk),
            (Some(_), _) => ticket.settle(State::SafeInKafka),
        }
    }

    /// After a commit that failed.
    pub(super) fn bypass(&mut self, appends: &mut Appends) {
        let rolled_back = appends.take_rolled_back();
        // Before any other gets a seq.
        for seq in rolled_back.iter().filter_map(|(_, _, seq)| *seq) {
            self.spool.skip(seq);
        }
        for (submission, ticket, seq) in rolled_back {
            match seq {
                Some(seq) => self.go_on_past_the_spool(&submission, seq, ticket),
                None => self.bypass_one(submission, ticket),
            }
        }
    }

    /// The spool does not take it: to Kafka from memory, or refused; unless it is known.
    fn bypass_one(&mut self, mut submission: Submission, ticket: Arc<Ticket>) {
        self.bind_past_the_spool(&mut submission, &ticket);
        let Submission { lane, account, event_id, event_time, .. } = submission;
        let unsaved = self.unsaved.get(&submission).map(Appended::Pending);
        // A spool that does not even read knows nothing.
        let known = unsaved.or_else(|| self.spool.known(lane, account, event_id, event_time).ok().flatten());
        if let Some(first) = known {
            return self.join(&submission, first, ticket);
        }
        let Some(to) = self.lanes.get(lane as usize) else {
            return ticket.settle(State::Refused);
        };
        let seq = self.spool.take_seq(submission.received_at_ms);
        if to.bypass(item(&mut submission, seq, ticket)) {
            self.remember_unsaved(&submission, seq);
        }
    }

    pub(super) fn remember_unsaved(&mut self, submission: &Submission, seq: u64) {
        let signature = submission.binding.as_ref().map(|binding| binding.signature);
        self.unsaved.insert(submission.account, submission.event_id, signature, seq);
        self.metrics.spool_bypassed.inc();
    }
}

/// Takes the record out of its submission.
pub(super) fn item(submission: &mut Submission, seq: u64, ticket: Arc<Ticket>) -> Item {
    let record = std::mem::take(&mut submission.record);
    let (account, received_at_ms) = (Some(submission.account), submission.received_at_ms);
    Item { seq, account, received_at_ms, record, ticket: Some(ticket), first_sent: None }
}
