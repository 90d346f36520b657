//! What becomes of one kept push: verified, opened and read as one that comes now.
//!
//! Does not depend on how it is sent.

use std::collections::{HashMap, HashSet};

use rdkafka::{Timestamp, message::OwnedMessage};

use super::super::reprocess::{Destination, OTHER, Verdict};
use crate::{
    config::Account,
    delivery::{Memory, SpoolError, kafka_headers},
    event::{self, Event, EventId, Quarantine, Receipt},
    protocol::{Age, Callback, Digest, Query, age, is_damaged},
    unverified::Kept,
};

/// The decision.
pub(super) enum Judged {
    /// It does not verify, for this reason.
    Left(&'static str),
    /// The service has accepted it meanwhile, or it is a copy of one before.
    Known,
    /// It verifies, and is no card event, and its account ignores those.
    Ignored,
    /// It is an event now, or goes to the DLQ topic: the record that it is there.
    Send(OwnedMessage, Verdict),
}

/// Decides by today's accounts, and by what the service remembers.
pub(super) struct Judge<'a> {
    accounts: &'a [Account],
    memory: Option<Memory>,
    /// Of this run: account and event time and id.
    seen: HashSet<(&'a str, i64, EventId)>,
    /// Of this run: what nothing but a signature vouches for may have it once.
    signatures: HashMap<(&'a str, Digest), EventId>,
}

/// Why a push that verifies cannot be published.
struct Unreadable {
    reason: &'static str,
    detail: String,
}

impl<'a> Judge<'a> {
    pub(super) fn new(accounts: &'a [Account], memory: Option<Memory>) -> Self {
        Self { accounts, memory, seen: HashSet::new(), signatures: HashMap::new() }
    }

    pub(super) fn judge(&mut self, push: &Kept) -> Result<Judged, SpoolError> {
        let Some(account) = self.accounts.iter().find(|account| account.name == push.account) else {
            return Ok(Judged::Left("unknown_account"));
        };
        let Ok(query) = Query::parse(&push.query) else { return Ok(Judged::Left("malformed_parameter")) };
        if let (Some(max_age), Some(timestamp)) = (account.max_age, &query.timestamp)
            && age(timestamp, max_age, push.received_at_ms) != Age::Fits
        {
            return Ok(Judged::Left("stale"));
        }
        let Ok(verified) = Callback::new(query, &push.body).verify(&account.credentials) else {
            return Ok(Judged::Left("token"));
        };
        if !verified.body_authenticated() && is_damaged(&push.body) {
            return Ok(Judged::Left("body_changed"));
        }
        let signature = verified.bare_signature();
        let receipt = Receipt {
            account: &account.name,
            account_id: account.account_id.as_deref(),
            received_at_ms: push.received_at_ms,
        };
        let unreadable = |reason, detail| Unreadable { reason, detail };
        let opened = verified.open(&account.credentials);
        let read = opened.as_ref().map_err(|error| unreadable(error.reason(), error.to_string())).and_then(|message| {
            event::read(message, receipt).map_err(|error| unreadable(error.reason(), error.to_string()))
        });
        let (event_time, event_id, verdict) = match read {
            Ok(Event::Card(card)) => {
                let (destination, event_type) = (Destination::Events, card.event_type());
                let verdict = Verdict::Publish { destination, event_type, record: card.record() };
                (card.event_time(), card.event_id(), verdict)
            }
            Ok(Event::Other(other)) if account.other.publishes() => {
                let (destination, event_type) = (Destination::Other, OTHER);
                let verdict = Verdict::Publish { destination, event_type, record: other.record() };
                (other.event_time(), other.event_id(), verdict)
            }
            Ok(Event::Other(_)) => return Ok(Judged::Ignored),
            Err(why) => return self.quarantine(account, push, &why),
        };
        if self.is_known(account, event_time, event_id)? {
            return Ok(Judged::Known);
        }
        if let Some(signature) = signature
            && self.is_used(account, signature, event_id)?
        {
            let detail = "another event came under the same signature of timestamp and nonce".to_owned();
            return self.quarantine(account, push, &unreadable("nonce_reused", detail));
        }
        // Where the broker refuses the event for good, this goes to the DLQ topic in its place.
        let refused = unreadable("malformed", "an unverified push, whose event the broker refused".to_owned());
        Ok(Judged::Send(record(account, push, &refused), verdict))
    }

    /// Whether the service or this run has had it. It is had from now on.
    fn is_known(&mut self, account: &'a Account, event_time: i64, id: EventId) -> Result<bool, SpoolError> {
        let first = self.seen.insert((&account.name, event_time, id));
        let remembered = self.memory.as_ref().map(|memory| memory.knows(&account.name, event_time, id)).transpose()?;
        Ok(!first || remembered == Some(true))
    }

    /// Whether another event has the signature already. It is this one's from now on, where none has.
    fn is_used(&mut self, account: &'a Account, signature: Digest, id: EventId) -> Result<bool, SpoolError> {
        let bound = self.memory.as_ref().map(|memory| memory.is_bound_to_another(&account.name, &signature, id));
        Ok(bound.transpose()? == Some(true) || *self.signatures.entry((&account.name, signature)).or_insert(id) != id)
    }

    fn quarantine(&mut self, account: &'a Account, push: &Kept, why: &Unreadable) -> Result<Judged, SpoolError> {
        if self.is_known(account, 0, EventId::of_quarantined(&account.name, &push.body))? {
            return Ok(Judged::Known);
        }
        Ok(Judged::Send(record(account, push, why), Verdict::Return(why.reason)))
    }
}

/// The DLQ record of a push, as the service would have written it.
fn record(account: &Account, push: &Kept, why: &Unreadable) -> OwnedMessage {
    let record = Quarantine {
        reason: why.reason,
        detail: &why.detail,
        account: &account.name,
        mode: account.credentials.mode.name(),
        received_at_ms: push.received_at_ms,
        query: &push.query,
        body: &push.body,
    }
    .record();
    let (timestamp, headers) = (Timestamp::CreateTime(record.timestamp_ms), kafka_headers(&record));
    OwnedMessage::new(Some(record.value.to_vec()), None, String::new(), timestamp, 0, 0, Some(headers))
}
