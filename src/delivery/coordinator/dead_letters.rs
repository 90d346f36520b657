//! Dead letters: the record that takes a refused one's place in the DLQ topic, and who waits for one that is parked.

use std::collections::HashMap;

use super::super::{
    AnswerAfter,
    inbox::Reply,
    pending::{Seq, parked},
    submission::Sending,
};

/// See the module.
pub(in crate::delivery) struct DeadLetters {
    answer_after: AnswerAfter,
    /// Account names with their mode, by index.
    accounts: Vec<(String, &'static str)>,
    /// Who waits for a record to be parked.
    parking: HashMap<Seq, Vec<Reply>>,
}

impl DeadLetters {
    pub(in crate::delivery) fn new(answer_after: AnswerAfter, accounts: Vec<(String, &'static str)>) -> Self {
        Self { answer_after, accounts, parking: HashMap::new() }
    }

    /// The record in the DLQ topic for one that another topic refused.
    pub(super) fn of(&self, refused: &Sending, detail: &'static str) -> Sending {
        let Sending { record, account, received_at_ms, id, signature } = refused;
        let (name, mode) =
            account.and_then(|index| self.accounts.get(index)).map_or(("", ""), |(name, mode)| (name, *mode));
        let record = record.clone().rejected(detail, name, mode, *received_at_ms);
        let (account, received_at_ms, id, signature) = (*account, *received_at_ms, *id, *signature);
        Sending { record, account, received_at_ms, id, signature }
    }

    /// The store is asked to park a record.
    pub(super) fn parks(&mut self, seq: Seq) {
        self.parking.insert(seq, Vec::new());
    }

    /// Answers once a record is parked. With `kafka_only` that is never enough.
    pub(super) fn wait(&mut self, seq: Seq, reply: Reply) {
        match self.parking.get_mut(&seq) {
            Some(waiting) if self.answer_after != AnswerAfter::KafkaOnly => waiting.push(reply),
            Some(_) | None => reply.answer(parked(self.answer_after), true),
        }
    }

    /// A record is parked: committed.
    pub(super) fn parked(&mut self, seq: Seq) {
        for reply in self.parking.remove(&seq).unwrap_or_default() {
            reply.answer(parked(self.answer_after), true);
        }
    }
}
