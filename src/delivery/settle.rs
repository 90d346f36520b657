//! What becomes of a batch's appends once it is committed, or is not: handed over, joined to their first copies, or to Kafka
//! past the spool.

use std::sync::Arc;

use super::{
    Submission,
    spool::Appended,
    state::Item,
    ticket::{State, Ticket},
    writer::{Appends, Writer},
};

impl Writer {
    /// After the commit: hands new records over, in order; then settles or joins the tickets of the others.
    pub(super) fn settle(&mut self, appends: &mut Appends, outcomes: Vec<Appended>) {
        let mut new: [Vec<Item>; 3] = Default::default();
        let mut others = Vec::new();
        for ((submission, ticket), outcome) in appends.drain(..).zip(outcomes) {
            match (outcome, new.get_mut(submission.lane as usize)) {
                (Appended::New(_), _) if self.lanes.is_empty() => ticket.settle(State::SafeOnDisk),
                (Appended::New(seq), Some(items)) => items.push(item(submission, seq, true, ticket)),
                _ => others.push((submission, ticket, outcome)),
            }
        }
        for (lane, items) in self.lanes.iter().zip(new) {
            if !items.is_empty() {
                lane.hand_over(items);
            }
        }
        for (submission, ticket, outcome) in others {
            match outcome {
                Appended::Full => self.bypass_one(submission, ticket),
                Appended::New(_) | Appended::Pending(_) | Appended::Delivered => {
                    self.join(&submission, outcome, ticket);
                }
            }
        }
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

    pub(super) fn bypass(&mut self, appends: &mut Appends) {
        for (submission, ticket) in std::mem::take(appends) {
            self.bypass_one(submission, ticket);
        }
    }

    /// The spool does not take it: to Kafka from memory, or refused; unless it is known.
    fn bypass_one(&mut self, mut submission: Submission, ticket: Arc<Ticket>) {
        self.bind_past_the_spool(&mut submission, &ticket);
        let signature = submission.binding.as_ref().map(|binding| binding.signature);
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
        if to.bypass(item(submission, seq, false, ticket)) {
            self.unsaved.insert(account, event_id, signature, seq);
            self.metrics.spool_bypassed.inc();
        }
    }
}

fn item(submission: Submission, seq: u64, stored: bool, ticket: Arc<Ticket>) -> Item {
    let Submission { account, received_at_ms, record, .. } = submission;
    Item { seq, account: Some(account), received_at_ms, record, stored, ticket: Some(ticket), first_sent: None }
}
