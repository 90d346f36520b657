//! New records go to their lane before their commit, so that the broker takes them while the disk does; an answer waits for
//! both, and so does whatever else needs the spool to have them.
//!
//! Only where nothing is amiss: the spool works, Kafka acknowledges, and the lane keeps up. When the commit fails all the same,
//! they are what a failing spool leaves anyway: events on their way past it.

use std::sync::Arc;

use super::{
    AnswerAfter, Submission,
    inbox::Appends,
    lane::Shared,
    settle::item,
    spool::Appended,
    state::Item,
    ticket::{State, Ticket},
    writer::Writer,
};

impl Appends {
    /// Before the commit: hands new records over, in order, where the lane keeps up.
    pub(super) fn hand_over_early(&mut self, lanes: &[Arc<Shared>]) {
        let mut new: [Vec<Item>; 3] = Default::default();
        for ((submission, ticket), outcome) in self.submitted.iter_mut().zip(&self.outcomes).skip(self.handed) {
            let Appended::New(seq) = outcome else { continue };
            let lane = submission.lane as usize;
            let (Some(to), Some(early), Some(items)) = (lanes.get(lane), self.early.0.get_mut(lane), new.get_mut(lane))
            else {
                continue;
            };
            if *early.get_or_insert_with(|| to.lock().keeps_up()) {
                items.push(item(submission, *seq, Arc::clone(ticket)));
            }
        }
        for (lane, items) in lanes.iter().zip(new) {
            if !items.is_empty() {
                lane.hand_over_early(items);
            }
        }
        self.handed = self.outcomes.len();
    }
}

impl Shared {
    /// Records that are being committed, in order; the lane has room for them. What became of the commit is said by
    /// [`committed`](Self::committed) or [`not_committed`](Self::not_committed).
    pub(super) fn hand_over_early(&self, items: Vec<Item>) {
        let mut state = self.lock();
        for mut item in items {
            // With "disk" the ticket waits for the commit alone, and the writer has it.
            item.ticket = item.ticket.filter(|_| self.answer_after != AnswerAfter::Disk);
            state.push(item);
        }
        drop(state);
        self.work.notify_one();
    }

    /// What was handed over early is committed, up to the seq `last`; these are its tickets.
    pub(super) fn committed(&self, last: u64, tickets: &[Arc<Ticket>]) {
        let stored = match self.answer_after {
            AnswerAfter::Disk => Some(State::SafeOnDisk),
            AnswerAfter::Kafka => Some(State::Stored),
            AnswerAfter::KafkaOnly => None,
        };
        // Before `last_stored` says so: whoever finds Kafka away from then on settles them by this.
        if let Some(stored) = stored {
            for ticket in tickets {
                ticket.settle(stored);
            }
        }
        let mut state = self.lock();
        state.last_stored = last;
        let acked = std::mem::take(&mut state.acked_early);
        let away = state.away;
        drop(state);
        for ticket in acked {
            ticket.settle(State::SafeInKafka);
        }
        for ticket in tickets.iter().filter(|_| away) {
            ticket.settle_without_ack();
        }
    }

    /// A record that was handed over early could not be committed: it is past the spool now, wherever it is.
    pub(super) fn not_committed(&self, seq: u64, ticket: Arc<Ticket>) {
        let mut state = self.lock();
        for ticket in state.acked_early.drain(..) {
            ticket.settle(State::SafeInKafka);
        }
        if let Some(acked) = state.acked.iter().position(|(acked, _)| *acked == seq) {
            state.acked.swap_remove(acked);
            return ticket.settle(State::SafeInKafka);
        }
        state.bypassed.insert(seq);
        if state.away {
            return ticket.settle(State::Refused);
        }
        state.joined.entry(seq).or_default().push(ticket);
    }

    /// A record that is on its way past the spool is committed now all the same.
    pub(super) fn stored_after_all(&self, seq: u64, bytes: u64) {
        let mut state = self.lock();
        if state.bypassed.remove(&seq) {
            state.last_stored = state.last_stored.max(seq);
        } else {
            // Acknowledged while it was committed.
            state.acked.push((seq, bytes));
        }
    }
}

impl Writer {
    /// The commit of a record failed that its lane has already.
    pub(super) fn go_on_past_the_spool(&mut self, submission: &Submission, seq: u64, ticket: Arc<Ticket>) {
        self.remember_unsaved(submission, seq);
        if let Some(lane) = self.lanes.get(submission.lane as usize) {
            lane.not_committed(seq, ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{delivery::Lane, event::Record, metrics::Metrics};

    const SEQ: u64 = 7;

    /// A lane that has one record in flight, handed over before its commit.
    fn in_flight(answer_after: AnswerAfter) -> (Shared, Arc<Ticket>) {
        let lane = Shared::new(Lane::Events, "events".into(), answer_after, Metrics::new(), 0, Box::new(|| ()));
        let ticket = Ticket::new();
        let record = Record::default();
        let ticket_too = Some(Arc::clone(&ticket));
        lane.hand_over_early(vec![Item {
            seq: SEQ,
            account: None,
            received_at_ms: 0,
            record,
            ticket: ticket_too,
            first_sent: None,
        }]);
        let mut state = lane.lock();
        let item = state.pop().unwrap();
        state.fly(item);
        drop(state);
        (lane, ticket)
    }

    fn removals(lane: &Shared) -> Vec<u64> {
        lane.take_acked().into_iter().map(|(seq, _)| seq).collect()
    }

    #[test]
    fn an_answer_waits_for_commit_and_ack_whichever_comes_first() {
        for answer_after in [AnswerAfter::Kafka, AnswerAfter::KafkaOnly] {
            let (lane, ticket) = in_flight(answer_after);
            lane.acked(0, SEQ);
            assert_eq!(ticket.state(), State::Waiting, "{answer_after:?}");
            lane.committed(SEQ, &[Arc::clone(&ticket)]);
            assert_eq!(ticket.state(), State::SafeInKafka, "{answer_after:?}");
            assert_eq!(removals(&lane), [SEQ]);

            let (lane, ticket) = in_flight(answer_after);
            lane.committed(SEQ, &[Arc::clone(&ticket)]);
            assert!(ticket.state() <= State::Stored, "{answer_after:?}");
            lane.acked(0, SEQ);
            assert_eq!(ticket.state(), State::SafeInKafka, "{answer_after:?}");
            assert_eq!(removals(&lane), [SEQ]);
        }
    }

    #[test]
    fn with_disk_the_commit_is_enough() {
        let (lane, ticket) = in_flight(AnswerAfter::Disk);
        lane.acked(0, SEQ);
        assert_eq!(ticket.state(), State::Waiting);
        lane.committed(SEQ, &[Arc::clone(&ticket)]);
        assert_eq!(ticket.state(), State::SafeOnDisk);
    }

    #[test]
    fn when_kafka_goes_away_in_the_middle_of_a_commit_the_commit_decides() {
        let cases = [
            (AnswerAfter::Kafka, State::SafeOnDisk),
            (AnswerAfter::Disk, State::SafeOnDisk),
            (AnswerAfter::KafkaOnly, State::Refused),
        ];
        for (answer_after, then) in cases {
            let (lane, ticket) = in_flight(answer_after);
            lane.set_away("of the test");
            assert_eq!(ticket.state(), State::Waiting, "{answer_after:?}");
            lane.committed(SEQ, &[Arc::clone(&ticket)]);
            assert_eq!(ticket.state(), then, "{answer_after:?}");
        }
    }

    #[test]
    fn what_was_acknowledged_before_kafka_went_away_is_safe_with_its_commit() {
        for answer_after in [AnswerAfter::Kafka, AnswerAfter::KafkaOnly] {
            let (lane, ticket) = in_flight(answer_after);
            lane.acked(0, SEQ);
            lane.set_away("of the test");
            lane.committed(SEQ, &[Arc::clone(&ticket)]);
            assert_eq!(ticket.state(), State::SafeInKafka, "{answer_after:?}");
        }
    }

    #[test]
    fn when_the_commit_fails_the_ack_alone_makes_it_safe_and_nothing_is_to_be_removed() {
        for answer_after in [AnswerAfter::Kafka, AnswerAfter::Disk, AnswerAfter::KafkaOnly] {
            let (lane, ticket) = in_flight(answer_after);
            lane.not_committed(SEQ, Arc::clone(&ticket));
            assert_eq!(ticket.state(), State::Waiting, "{answer_after:?}");
            lane.acked(0, SEQ);
            assert_eq!(ticket.state(), State::SafeInKafka, "{answer_after:?}");
            assert!(removals(&lane).is_empty());

            let (lane, ticket) = in_flight(answer_after);
            lane.acked(0, SEQ);
            lane.not_committed(SEQ, Arc::clone(&ticket));
            assert_eq!(ticket.state(), State::SafeInKafka, "{answer_after:?}");
            assert!(removals(&lane).is_empty());
        }
    }

    #[test]
    fn when_the_commit_fails_and_kafka_is_away_nothing_makes_it_safe() {
        for answer_after in [AnswerAfter::Kafka, AnswerAfter::Disk, AnswerAfter::KafkaOnly] {
            let (lane, ticket) = in_flight(answer_after);
            lane.set_away("of the test");
            lane.not_committed(SEQ, Arc::clone(&ticket));
            assert_eq!(ticket.state(), State::Refused, "{answer_after:?}");

            let (lane, ticket) = in_flight(answer_after);
            lane.not_committed(SEQ, Arc::clone(&ticket));
            lane.set_away("of the test");
            assert_eq!(ticket.state(), State::Refused, "{answer_after:?}");
        }
    }

    #[test]
    fn what_is_stored_after_all_is_removed_after_its_ack_whichever_comes_first() {
        let (lane, ticket) = in_flight(AnswerAfter::Kafka);
        lane.not_committed(SEQ, Arc::clone(&ticket));
        lane.acked(0, SEQ);
        lane.stored_after_all(SEQ, 0);
        assert_eq!(removals(&lane), [SEQ]);

        let (lane, ticket) = in_flight(AnswerAfter::Kafka);
        lane.not_committed(SEQ, Arc::clone(&ticket));
        lane.stored_after_all(SEQ, 0);
        lane.acked(0, SEQ);
        assert_eq!(ticket.state(), State::SafeInKafka);
        assert_eq!(removals(&lane), [SEQ]);
    }
}
