//! The `nonce_reused` rule: what nothing but a signature of timestamp and nonce verified comes with one event only.

use super::{
    Submission,
    spool::{Batch, SpoolError},
    ticket::Ticket,
    unsaved::Unsaved,
    writer::Writer,
};

/// Binds a submission's signature in the batch that stores it. One that comes with a second event becomes its quarantine.
pub(super) fn bind(
    submission: &mut Submission,
    ticket: &Ticket,
    batch: &mut Batch<'_>,
    unsaved: &Unsaved,
    bucket: i64,
) -> Result<(), SpoolError> {
    let Some(binding) = &submission.binding else { return Ok(()) };
    let (account, id, signature) = (submission.account, submission.event_id, &binding.signature);
    let fresh = match unsaved.bound(account, signature) {
        Some(first) => first == id,
        None => batch.bind(account, signature, id, bucket)?,
    };
    if !fresh {
        submission.quarantine(ticket);
    }
    Ok(())
}

impl Writer {
    /// The same where the spool does not take it. A spool that does not even read knows nothing.
    pub(super) fn bind_past_the_spool(&self, submission: &mut Submission, ticket: &Ticket) {
        let Some(binding) = &submission.binding else { return };
        let (account, id, signature) = (submission.account, submission.event_id, &binding.signature);
        let reused = match self.unsaved.bound(account, signature) {
            Some(first) => first != id,
            None => self.spool.is_bound_to_another(account, signature, id).unwrap_or(false),
        };
        if reused {
            submission.quarantine(ticket);
        }
    }
}

impl Submission {
    /// After a roll-back it stays what it has become: the event that the signature is bound to stands before it still.
    fn quarantine(&mut self, ticket: &Ticket) {
        let Some(instead) = self.binding.take().and_then(|binding| binding.instead) else { return };
        *self = instead();
        ticket.mark_nonce_reused();
    }
}
