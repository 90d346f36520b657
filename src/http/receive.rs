//! What becomes of a callback: from the query and the body to an answer, or to a record that must be safe first.
//!
//! Pure and synchronous: the time is an argument, and nothing is delivered here. Does not depend on sockets and actix.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{answer::Answer, upstream::Upstream};
use crate::{
    console::MadeWith,
    delivery::{Binding, Lane, Submission},
    event::{self, Event, EventId, Quarantine, Receipt},
    protocol::{Age, Callback, Credentials, Digest, Generation, Message, OpenError, Query, age, is_damaged},
};

/// The `event_type` of a message that is no card event.
pub(super) const OTHER: &str = "other";

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
    /// How old a callback's timestamp may be.
    pub max_age: Option<Duration>,
    /// What to do with messages that are no card events.
    pub other: Other,
    /// The merchant's own application, where something is forwarded to it.
    pub upstream: Option<Arc<Upstream>>,
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
        /// Whether the push goes to the application, once it is safe.
        forward: bool,
        /// Why it is quarantined, where it is.
        quarantined: Option<Unreadable>,
    },
    /// The application's alone.
    Forward,
}

impl Decision {
    /// Whether the push goes to the application.
    pub(super) fn forwards(&self) -> bool {
        match self {
            Self::Answer(_) => false,
            Self::Deliver { forward, .. } => *forward,
            Self::Forward => true,
        }
    }
}

/// Answers the GET handshake.
pub(super) fn handshake(account: &Account, query: &str, now_ms: i64) -> Answer {
    let echo = || -> Result<Answer, Answer> {
        let query = fresh(account, query, now_ms)?;
        if query == Query::default() {
            return Err(Answer::Visitor);
        }
        let callback = Callback::new(query, &[]);
        Ok(Answer::Echo(callback.handshake(&account.credentials)?.to_owned()))
    };
    echo().unwrap_or_else(|refusal| refusal)
}

/// The query, unless its timestamp is too old or from the future. One that is no number is too old; one that is missing is
/// found later.
fn fresh<'a>(account: &Account, query: &'a str, now_ms: i64) -> Result<Query<'a>, Answer> {
    let query = Query::parse(query)?;
    if let (Some(max_age), Some(timestamp)) = (account.max_age, &query.timestamp) {
        match age(timestamp, max_age, now_ms) {
            Age::Fits => {}
            Age::Stale(_) => return Err(Answer::Stale),
            Age::Ahead(_) => return Err(Answer::Ahead),
        }
    }
    Ok(query)
}

/// Decides about a push: refused before its signature is verified, never after (contract §3.2). Tells which secrets it was
/// made with.
pub(super) fn receive(account: &Account, query: &str, body: &Bytes, now_ms: i64) -> (Decision, MadeWith) {
    let push = match fresh(account, query, now_ms)
        .and_then(|parameters| Callback::new(parameters, body).verify(&account.credentials).map_err(Answer::from))
    {
        Ok(push) => push,
        Err(refusal) => return (Decision::Answer(refusal), MadeWith::default()),
    };
    let is_previous = |generation: Generation| generation == Generation::Previous;
    let mut made_with = MadeWith { previous_token: push.token().map(is_previous), previous_key: None };
    let signature = push.bare_signature();
    let arrival = Arrival { query, body, received_at_ms: now_ms };
    let opened = push.open(&account.credentials);
    let read = opened.as_ref().map_err(|error| Unreadable::from(*error)).and_then(|message| {
        made_with.previous_key = message.key().map(is_previous);
        read(account, message, now_ms)
    });
    let decision = match read {
        Ok(incoming) => accept(account, &incoming, &arrival, signature),
        // Nobody has vouched for the body, and the one that was sent was whole: WeChat shall send it again.
        Err(_) if signature.is_some() && is_damaged(body) => Decision::Answer(Answer::Damaged),
        Err(unreadable) => {
            let binding = signature.map(|signature| Binding { signature, instead: None });
            let submission = Submission { binding, ..account.origin().quarantine(&arrival, &unreadable) };
            // The application may know what it is.
            let forward = account.upstream.is_some();
            Decision::Deliver { submission, event_type: None, quarantined: Some(unreadable), forward }
        }
    };
    (decision, made_with)
}

/// A push as it arrived.
struct Arrival<'a> {
    query: &'a str,
    body: &'a Bytes,
    received_at_ms: i64,
}

/// What a quarantine says of the account.
struct Origin {
    account: Arc<str>,
    index: usize,
    mode: &'static str,
}

/// Why a verified push is quarantined.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// `dlq_reason`.
    pub(super) reason: &'static str,
    /// `dlq_detail`.
    pub(super) detail: String,
}

impl Unreadable {
    /// Its signature came with another event already.
    pub(super) fn nonce_reused() -> Self {
        let detail = "another event came under the same signature of timestamp and nonce".to_owned();
        Self { reason: "nonce_reused", detail }
    }
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

fn read<'m>(account: &'m Account, message: &'m Message<'_>, received_at_ms: i64) -> Result<Event<'m>, Unreadable> {
    let receipt = Receipt { account: &account.name, account_id: account.account_id.as_deref(), received_at_ms };
    Ok(event::read(message, receipt)?)
}

fn accept(account: &Account, incoming: &Event<'_>, arrival: &Arrival<'_>, signature: Option<Digest>) -> Decision {
    let goes_on = |goes: fn(&Upstream) -> bool| account.upstream.as_deref().is_some_and(goes);
    let forward = match incoming {
        Event::Card(_) => goes_on(|upstream| upstream.settings().cards),
        Event::Other(_) => goes_on(|upstream| upstream.settings().others),
    };
    let (lane, event_type, event_id, event_time, record) = match incoming {
        Event::Card(card) => (Lane::Events, card.event_type(), card.event_id(), card.event_time(), card.record()),
        Event::Other(other) => match account.other {
            Other::Ignore if forward => return Decision::Forward,
            Other::Ignore => return Decision::Answer(Answer::Ignored),
            Other::Publish => (Lane::Other, OTHER, other.event_id(), other.event_time(), other.record()),
        },
    };
    let Arrival { query, body, received_at_ms } = *arrival;
    let binding = signature.map(|signature| Binding {
        signature,
        instead: Some(when_reused(account.origin(), query.to_owned(), body.clone(), received_at_ms)),
    });
    let submission = Submission { lane, account: account.index, event_id, event_time, received_at_ms, record, binding };
    Decision::Deliver { submission, event_type: Some(event_type), quarantined: None, forward }
}

/// What is delivered in place of an event whose signature came with another one already.
fn when_reused(
    origin: Origin,
    query: String,
    body: Bytes,
    received_at_ms: i64,
) -> Box<dyn FnOnce() -> Submission + Send> {
    Box::new(move || {
        origin.quarantine(&Arrival { query: &query, body: &body, received_at_ms }, &Unreadable::nonce_reused())
    })
}

impl Account {
    fn origin(&self) -> Origin {
        Origin { account: Arc::clone(&self.name), index: self.index, mode: self.credentials.mode.name() }
    }
}

impl Origin {
    fn quarantine(&self, arrival: &Arrival<'_>, why: &Unreadable) -> Submission {
        let Self { account, index, mode } = self;
        let Arrival { query, body, received_at_ms } = *arrival;
        let quarantine =
            Quarantine { reason: why.reason, detail: &why.detail, account, mode, received_at_ms, query, body };
        Submission {
            lane: Lane::Dlq,
            account: *index,
            event_id: EventId::of_quarantined(account, body),
            event_time: 0,
            received_at_ms,
            record: quarantine.record(),
            binding: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Mode, Token, sign};

    const NOW_MS: i64 = 1_700_000_000_123;

    fn account(account_id: Option<&str>) -> Account {
        Account {
            name: "shop".into(),
            path: "/wechat/shop".to_owned(),
            account_id: account_id.map(str::to_owned),
            credentials: Credentials {
                mode: Mode::Compat,
                token: Token::new("a-token-of-tests"),
                previous_token: None,
                aes_key: None,
                previous_aes_key: None,
                app_id: None,
            },
            max_age: None,
            other: Other::Ignore,
            upstream: None,
            index: 7,
        }
    }

    fn query() -> String {
        format!("signature={}&timestamp=1&nonce=2&a=%20", sign(&Token::new("a-token-of-tests"), &["1", "2"]))
    }

    fn push(event: &str, to: &str) -> String {
        format!(
            "<xml><ToUserName>{to}</ToUserName><FromUserName>o1</FromUserName><CreateTime>1700000000</CreateTime>\
             <MsgType>event</MsgType><Event>{event}</Event><CardId>p1</CardId></xml>"
        )
    }

    fn delivered(decision: Decision) -> (Submission, Option<&'static str>) {
        match decision {
            Decision::Deliver { submission, event_type, forward: false, .. } => (submission, event_type),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_card_event_goes_to_the_events_with_its_own_time() {
        let body = Bytes::from(push("user_del_card", "gh_1"));
        let (submission, event_type) = delivered(receive(&account(Some("gh_1")), &query(), &body, NOW_MS).0);
        assert_eq!((submission.lane, event_type), (Lane::Events, Some("card.deleted")));
        assert_eq!((submission.account, submission.event_time), (7, 1_700_000_000));
        assert_eq!(submission.received_at_ms, NOW_MS);
    }

    #[test]
    fn a_quarantined_push_keeps_its_body_and_query_as_received() {
        let body = Bytes::from(push("user_del_card", "gh_2"));
        let (submission, event_type) = delivered(receive(&account(Some("gh_1")), &query(), &body, NOW_MS).0);
        assert_eq!((submission.lane, event_type), (Lane::Dlq, None));
        assert_eq!((submission.account, submission.event_time), (7, 0));
        assert_eq!(submission.event_id, EventId::of_quarantined("shop", &body));
        assert_eq!(*submission.record.value, body);
        for (name, value) in [("dlq_reason", "wrong_account"), ("dlq_mode", "compat"), ("dlq_query", &query())] {
            assert_eq!(submission.record.headers.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn where_only_the_signature_was_verified_it_is_bound_and_its_quarantine_kept_ready() {
        let body = Bytes::from(push("user_del_card", "gh_1"));
        let (event, _) = delivered(receive(&account(None), &query(), &body, NOW_MS).0);
        let binding = event.binding.unwrap();
        let signed = sign(&Token::new("a-token-of-tests"), &["1", "2"]);
        let bytes = (0..20).map(|byte| u8::from_str_radix(&signed[2 * byte..2 * byte + 2], 16).unwrap());
        assert!(bytes.eq(binding.signature));
        let instead = binding.instead.unwrap()();
        assert_eq!((instead.lane, instead.account, instead.event_time), (Lane::Dlq, 7, 0));
        assert_eq!(instead.event_id, EventId::of_quarantined("shop", &body));
        assert_eq!(*instead.record.value, body);
        for (name, value) in [("dlq_reason", "nonce_reused"), ("dlq_account", "shop"), ("dlq_query", &query())] {
            assert_eq!(instead.record.headers.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn with_a_max_age_old_and_future_timestamps_are_refused_before_the_signature_is_looked_at() {
        let account = Account { max_age: Some(Duration::from_hours(1)), ..account(None) };
        let body = Bytes::from(push("user_del_card", "gh_1"));
        let answered = |timestamp: &str, signature: &str| {
            let query = format!("signature={signature}&timestamp={timestamp}&nonce=2&echostr=3");
            let greeted = handshake(&account, &query, NOW_MS);
            match receive(&account, &query, &body, NOW_MS).0 {
                Decision::Answer(answer) => assert_eq!(answer, greeted, "the handshake too"),
                Decision::Deliver { .. } | Decision::Forward => assert_eq!(greeted, Answer::Echo("3".to_owned())),
            }
            greeted
        };
        for sent in ["1699996400", "1700000000", "1700000300"] {
            let right = sign(&Token::new("a-token-of-tests"), &[sent, "2"]);
            assert_eq!(answered(sent, &right), Answer::Echo("3".to_owned()), "{sent}");
            assert_eq!(answered(sent, "x"), Answer::Forbidden, "{sent}");
        }
        for sent in ["1699996399", "1700000301", "0", "-1", "+1700000000", "x", "99999999999999999999"] {
            let right = sign(&Token::new("a-token-of-tests"), &[sent, "2"]);
            let refused = if sent == "1700000301" { Answer::Ahead } else { Answer::Stale };
            assert_eq!(answered(sent, &right), refused, "{sent}");
            assert_eq!(answered(sent, "x"), refused, "{sent}");
        }
        let missing = receive(&account, "signature=x&nonce=2", &body, NOW_MS).0;
        assert!(matches!(missing, Decision::Answer(Answer::BadQuery(_))), "{missing:?}");
    }

    #[test]
    fn what_is_not_verified_is_never_delivered() {
        let body = Bytes::from(push("user_del_card", "gh_1"));
        for query in ["", "signature=x&timestamp=1&nonce=2", "msg_signature=x&timestamp=1&nonce=2", "signature=x"] {
            let (decision, made_with) = receive(&account(None), query, &body, NOW_MS);
            assert_eq!(made_with, MadeWith::default());
            assert!(matches!(decision, Decision::Answer(Answer::BadQuery(_) | Answer::Forbidden)), "{decision:?}");
        }
    }
}
