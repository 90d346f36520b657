//! What the console is told of a callback. Without a console nothing here runs.

use std::time::Instant;

use super::{
    answer::Answer,
    endpoints::Endpoint,
    receive::{Decision, Unreadable},
};
use crate::{
    clock,
    console::{MadeWith, Observer, Push, Seen, Sight, What},
};

/// A look at what is to be delivered, before it is handed over.
pub(super) fn sight(decision: &Decision) -> Option<Sight> {
    let Decision::Deliver { submission, event_type, quarantined, .. } = decision else { return None };
    let mut sight = Sight::new(*event_type, submission.event_id, submission.event_time, &submission.record.value);
    sight.quarantined = quarantined.as_ref().map(|why| (why.reason, why.detail.clone()));
    Some(sight)
}

/// A verified push was answered. Refusals and handshakes are told of where their cause is found.
pub(super) fn answered(
    observer: &Observer,
    endpoint: &Endpoint,
    answer: &Answer,
    (made_with, mut record): (MadeWith, Option<Sight>),
    started: Instant,
) {
    if !matches!(answer, Answer::Safe(..) | Answer::Ignored | Answer::Overloaded(_)) {
        return;
    }
    let Some(result) = answer.result() else { return };
    if let (Answer::Safe(_, safe), Some(sight)) = (answer, &mut record)
        && safe.nonce_reused
    {
        let Unreadable { reason, detail } = Unreadable::nonce_reused();
        sight.quarantined = Some((reason, detail));
    }
    let took = started.elapsed();
    let took_ms = i64::try_from(took.as_millis()).unwrap_or_default();
    let push = Push { result, by: answer.answered_by(), took, made_with, record };
    observer.offer(Seen { account: endpoint.index, at_ms: clock::unix_millis() - took_ms, what: What::Push(push) });
}
