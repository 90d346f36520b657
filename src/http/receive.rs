//! What becomes of a callback: from the query and the body to an answer, or to a record that must be safe first.
//!
//! Pure and synchronous: the time is an argument, and nothing is delivered here. It refuses to know sockets and actix.

use std::sync::Arc;

use super::answer::Answer;
use crate::{
    delivery::{Lane, Submission},
    event::{self, EventId, Incoming, Quarantine, Receipt},
    protocol::{Callback, Credentials, Message, Mode, OpenError, Query},
};

/// What to do with messages that are no card events (contract §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// Answer `success`, count.
    Ignore,
    /// Publish to `kafka.other_topic`.
    Publish,
}

/// A configured account, as the public listener needs it.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name: metric label, log field.
    pub name: Arc<str>,
    /// The URL path of its callbacks, matched exactly.
    pub path: String,
    /// The `ToUserName` that its pushes must have, when set.
    pub account_id: Option<String>,
    /// Mode, tokens, keys, AppID.
    pub credentials: Credentials,
    /// What to do with messages that are no card events.
    pub other: Other,
    /// Its index in the delivery's accounts.
    pub index: usize,
}

/// What becomes of a push.
#[derive(Debug)]
pub(super) enum Decision {
    /// Nothing is to be delivered.
    Answer(Answer),
    /// This must be safe before the answer is `success`.
    Deliver {
        /// To hand over.
        submission: Submission,
        /// The label of `cardhook_events_total`; `None` for a quarantined push.
        event_type: Option<&'static str>,
    },
}

/// Answers the GET handshake.
pub(super) fn handshake(account: &Account, query: &str) -> Answer {
    let echo = || -> Result<Answer, Answer> {
        let callback = Callback::new(Query::parse(query)?, &[]);
        Ok(Answer::Echo(callback.handshake(&account.credentials)?.to_owned()))
    };
    echo().unwrap_or_else(|refusal| refusal)
}

/// Decides about a push: refused before its signature is verified, never after (contract §3.2).
pub(super) fn receive(account: &Account, query: &str, body: &[u8], now_ms: i64) -> Decision {
    let push = match Query::parse(query)
        .map_err(Answer::from)
        .and_then(|parameters| Callback::new(parameters, body).verify(&account.credentials).map_err(Answer::from))
    {
        Ok(push) => push,
        Err(refusal) => return Decision::Answer(refusal),
    };
    match push.open(&account.credentials).map_err(Unreadable::from).and_then(|message| read(account, &message, now_ms))
    {
        Ok(incoming) => accept(account, &incoming, now_ms),
        Err(unreadable) => quarantine(account, query, body, now_ms, &unreadable),
    }
}

/// Why a verified push is quarantined.
struct Unreadable {
    reason: &'static str,
    detail: String,
}

impl From<OpenError> for Unreadable {
    fn from(error: OpenError) -> Self {
        Self { reason: error.reason(), detail: error.to_string() }
    }
}

impl From<event::EventError> for Unreadable {
    fn from(error: event::EventError) -> Self {
        Self { reason: error.reason(), detail: error.to_string() }
    }
}

fn read(account: &Account, message: &Message<'_>, received_at_ms: i64) -> Result<Incoming, Unreadable> {
    let receipt = Receipt { account: &account.name, account_id: account.account_id.as_deref(), received_at_ms };
    Ok(event::read(message, receipt)?)
}

fn accept(account: &Account, incoming: &Incoming, received_at_ms: i64) -> Decision {
    let (lane, event_type, event_id, event_time, record) = match incoming {
        Incoming::Card(card) => (Lane::Events, card.event_type(), card.event_id(), card.event_time(), card.record()),
        Incoming::Other(other) => match account.other {
            Other::Ignore => return Decision::Answer(Answer::Ignored),
            Other::Publish => (Lane::Other, "other", other.event_id(), other.event_time(), other.record()),
        },
    };
    let submission = Submission { lane, account: account.index, event_id, event_time, received_at_ms, record };
    Decision::Deliver { submission, event_type: Some(event_type) }
}

fn quarantine(account: &Account, query: &str, body: &[u8], received_at_ms: i64, why: &Unreadable) -> Decision {
    tracing::warn!(account = %account.name, reason = why.reason, detail = why.detail, "push quarantined");
    let record = Quarantine {
        reason: why.reason,
        detail: &why.detail,
        account: &account.name,
        mode: mode_name(account.credentials.mode),
        received_at_ms,
        query,
        body,
    }
    .record();
    let event_id = EventId::of_quarantined(&account.name, body);
    let submission =
        Submission { lane: Lane::Dlq, account: account.index, event_id, event_time: 0, received_at_ms, record };
    Decision::Deliver { submission, event_type: None }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Plaintext => "plaintext",
        Mode::Compat => "compat",
        Mode::Secure => "secure",
    }
}
