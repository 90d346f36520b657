//! What the public listener tells the console of a callback: one value into a bounded queue, dropped and counted when it is full.
//!
//! The only part of the console on the way of a push. It never waits and wakes nobody: the console looks by itself.

use std::{
    borrow::Cow,
    net::IpAddr,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use memchr::memmem::Finder;
use prometheus_client::metrics::counter::Counter;

use crate::{
    event::EventId,
    metrics::{AnsweredBy, CallbackResult, Cause, Metrics},
};

/// Callbacks that wait for the console; it looks ten times a second.
const WAITING: usize = 4096;
/// Of a larger event the console shows no fields.
const SHOWN_BYTES: usize = 8 * 1024;

/// A handle for every worker of the public listener.
#[derive(Debug, Clone)]
pub struct Observer {
    queue: SyncSender<Seen>,
    dropped: Counter,
}

impl Observer {
    /// The handle, and where what it is told comes out.
    #[must_use]
    pub fn new(metrics: &Metrics) -> (Self, Receiver<Seen>) {
        let (queue, seen) = sync_channel(WAITING);
        (Self { queue, dropped: metrics.observer_dropped.clone() }, seen)
    }

    /// Tells of a callback; never waits.
    pub fn offer(&self, seen: Seen) {
        if self.queue.try_send(seen).is_err() {
            self.dropped.inc();
        }
    }
}

/// A callback that was answered.
#[derive(Debug)]
pub struct Seen {
    /// The account's index in the configuration.
    pub account: usize,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// What it was.
    pub what: What,
}

/// What a callback was.
#[derive(Debug)]
pub enum What {
    /// A verified push.
    Push(Push),
    /// A valid handshake, and where it came from.
    Handshake(Option<IpAddr>),
    /// A refused request.
    Refused(Refused),
}

/// A verified push, answered.
#[derive(Debug)]
pub struct Push {
    /// What it came to.
    pub result: CallbackResult,
    /// What made it safe.
    pub by: AnsweredBy,
    /// From its head to its answer.
    pub took: Duration,
    /// Which of the account's secrets it was made with.
    pub made_with: MadeWith,
    /// What was delivered; `None` for a message that is no card event and is ignored or forwarded.
    pub record: Option<Sight>,
}

/// Which of an account's secrets a push was made with. True: the previous one; false: the current one; `None`: it needs none,
/// or none fits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MadeWith {
    /// Of the tokens.
    pub previous_token: Option<bool>,
    /// Of the keys.
    pub previous_key: Option<bool>,
}

/// A look at what was delivered.
#[derive(Debug)]
pub struct Sight {
    /// The type; `None` for a quarantined push.
    pub event_type: Option<&'static str>,
    /// Its identity.
    pub event_id: EventId,
    /// `CreateTime`, Unix seconds; 0 when there is none.
    pub event_time: i64,
    /// Bytes of the record's value.
    pub bytes: usize,
    /// The event's JSON, unless it is large; nothing of a quarantined push.
    json: Option<Arc<[u8]>>,
    /// `dlq_reason` and `dlq_detail`.
    pub quarantined: Option<(&'static str, String)>,
}

impl Sight {
    /// What the console may show of it.
    #[must_use]
    pub fn new(event_type: Option<&'static str>, event_id: EventId, event_time: i64, value: &Arc<[u8]>) -> Self {
        let json = event_type.filter(|_| value.len() <= SHOWN_BYTES).map(|_| Arc::clone(value));
        Self { event_type, event_id, event_time, bytes: value.len(), json, quarantined: None }
    }

    /// The event's JSON as published; `None` where it is large or was no event.
    #[must_use]
    pub fn json(&self) -> Option<&[u8]> {
        self.json.as_deref()
    }

    /// A text field of the event, by its name in quotes and with a colon; only for fields that the type has: they stand before
    /// `extra`, which can hold any name. A quote inside of a text is escaped, so that what is found is a field.
    pub(super) fn text(&self, name: &Finder<'_>) -> Option<Cow<'_, str>> {
        let json = self.json()?;
        let rest = json.get(name.find(json)? + name.needle().len()..)?;
        let text = rest.strip_prefix(b"\"")?;
        let end = memchr::memchr2(b'"', b'\\', text)?;
        match (text.get(end), text.get(..end)) {
            (Some(b'"'), Some(plain)) => std::str::from_utf8(plain).ok().map(Cow::Borrowed),
            _ => serde_json::Deserializer::from_slice(rest).into_iter::<String>().next()?.ok().map(Cow::Owned),
        }
    }
}

/// A request that was refused.
#[derive(Debug)]
pub struct Refused {
    /// The label of `cardhook_callbacks_total`.
    pub result: CallbackResult,
    /// Why.
    pub cause: Cause,
    /// What was found, where that was looked into.
    pub found: Option<Cow<'static, str>>,
    /// It was a handshake.
    pub is_handshake: bool,
    /// Where it came from.
    pub source: Option<IpAddr>,
    /// Whether WeChat publishes that address, where its addresses are known.
    pub published_source: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        Seen { account: 0, at_ms: 1, what: What::Handshake(None) }
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_never_waits() {
        let metrics = Metrics::new();
        let (observer, queue) = Observer::new(&metrics);
        for _ in 0..WAITING + 3 {
            observer.offer(seen());
        }
        assert_eq!(metrics.observer_dropped.get(), 3);
        assert_eq!(queue.try_iter().count(), WAITING);
        drop(queue);
        observer.offer(seen());
        assert_eq!(metrics.observer_dropped.get(), 4, "nobody looks any more");
    }

    #[test]
    fn an_events_fields_are_found_and_nothing_is_copied_of_a_quarantined_push_or_a_large_event() {
        let id = EventId::of_quarantined("shop", b"x");
        assert_eq!(Sight::new(Some("card.received"), id, 1, &b"{}"[..].into()).json(), Some(b"{}".as_slice()));
        assert_eq!(Sight::new(None, id, 1, &b"{}"[..].into()).json(), None);
        let json = br#"{"card_id":"a \"code\":\"b","code":"1\u00e9\"2","outer_str":null,"extra":{"outer_str":"x"}}"#;
        let sight = Sight::new(Some("card.received"), id, 1, &json[..].into());
        let text = |name: &str| sight.text(&Finder::new(name)).map(Cow::into_owned);
        assert_eq!(text("\"code\":").as_deref(), Some("1\u{e9}\"2"));
        assert_eq!(text("\"card_id\":").as_deref(), Some("a \"code\":\"b"));
        assert_eq!((text("\"outer_str\":"), text("\"none\":")), (None, None), "null is none");
        let large = Sight::new(Some("card.received"), id, 1, &[b' '; SHOWN_BYTES + 1][..].into());
        assert!(large.json().is_none() && large.bytes == SHOWN_BYTES + 1);
    }
}
