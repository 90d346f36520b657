//! The Kafka record: key, timestamp, headers, value (contract §1.3), and the quarantine's (§3.2).

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::{
    CardEvent, EventId, Headers, OtherMessage,
    table::Key,
    time::{UtcMillis, UtcSeconds},
};

/// All but RFC 3986's unreserved characters: an account's custom id may hold anything.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Brokers refuse records from the future; WeChat's clock may be this much ahead of ours.
const AHEAD_MS: i64 = 5 * 60 * 1000;

/// Bytes of a record that do not grow with the push: names of fields and headers, ids, the query, a batch's framing.
const AROUND: usize = 16 << 10;

/// Bytes of the largest record, with its headers, that a push of `body` bytes becomes: a byte that is no text is published as
/// U+FFFD, three bytes; markup and what JSON escapes grow less. The ids in keys and headers are taken to be as short as WeChat's.
#[must_use]
pub const fn largest_record(body: usize) -> usize {
    3 * body + AROUND
}

/// What goes to Kafka, less the topic.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// The key's bytes; `None` is Kafka's null key, never an empty string.
    pub key: Option<String>,
    /// Unix milliseconds.
    pub timestamp_ms: i64,
    /// In the order they are sent.
    pub headers: Headers,
    /// The value's bytes: shared with the console, which may show them.
    pub value: Arc<[u8]>,
}

/// Prints neither key nor value nor headers' values: all can be personal.
impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Record({} headers, {} bytes)", self.headers.iter().count(), self.value.len())
    }
}

impl CardEvent<'_> {
    /// The Kafka record of contract §1.3.
    #[must_use]
    pub fn record(&self) -> Record {
        let common = &self.common;
        let key = match common.event_type.key() {
            Key::User => Some(common.openid.as_str()),
            Key::Card => self.fields.text("card_id"),
            Key::Order => self.fields.text("order_id"),
            Key::Account => Some(&*common.account_id),
        };
        let cloud_event = CloudEvent {
            id: common.event_id,
            event_type: common.event_type.as_str(),
            account_id: &common.account_id,
            time: Some(common.event_time),
            subject: self.card_id(),
        };
        Record {
            key: key.map(str::to_owned),
            timestamp_ms: timestamp(Some(common.event_time), common.received_at),
            headers: cloud_event.headers(),
            value: encode(self),
        }
    }
}

impl OtherMessage<'_> {
    /// The Kafka record of contract §3.3: as a card event's; without `ce_time` when the message has no time that reads.
    #[must_use]
    pub fn record(&self) -> Record {
        let cloud_event = CloudEvent {
            id: self.event_id,
            event_type: Self::EVENT_TYPE,
            account_id: self.account_id.as_deref().unwrap_or_default(),
            time: self.event_time,
            subject: None,
        };
        Record {
            key: self.openid.as_ref().map(|openid| openid.as_str().to_owned()),
            timestamp_ms: timestamp(self.event_time, self.received_at),
            headers: cloud_event.headers(),
            value: encode(self),
        }
    }
}

/// A record's timestamp, Unix milliseconds: the event's time, or the receipt's where that lies too far ahead or is missing.
#[must_use]
pub fn timestamp(event_time: Option<UtcSeconds>, received_at: UtcMillis) -> i64 {
    let received_at = received_at.millis();
    event_time.map(UtcSeconds::millis).filter(|at| *at <= received_at + AHEAD_MS).unwrap_or(received_at)
}

#[expect(
    clippy::expect_used,
    reason = "serde_json fails on writers, on keys that are no strings and on custom errors: there are none"
)]
fn encode(event: &impl Serialize) -> Arc<[u8]> {
    let mut json = Vec::with_capacity(1024);
    serde_json::to_writer(&mut json, event).expect("an event is JSON");
    json.into()
}

/// The attributes of CloudEvents 1.0, which Kafka's binding in binary mode puts into headers.
struct CloudEvent<'a> {
    id: EventId,
    event_type: &'static str,
    account_id: &'a str,
    time: Option<UtcSeconds>,
    subject: Option<&'a str>,
}

impl CloudEvent<'_> {
    fn headers(&self) -> Headers {
        let event_type = self.event_type;
        let mut headers = Headers::new();
        headers.push("content-type", "application/json");
        headers.push("ce_specversion", "1.0");
        headers.push_shown("ce_id", self.id);
        headers.push_joined("ce_type", &["com.qq.weixin.", event_type, ".v1"]);
        headers.push_shown("ce_source", format_args!("/wechat/{}", utf8_percent_encode(self.account_id, RESERVED)));
        if let Some(time) = self.time {
            headers.push_shown("ce_time", time);
        }
        if let Some(subject) = self.subject {
            headers.push("ce_subject", subject);
        }
        headers.push_joined("ce_dataschema", &data_schema(event_type));
        headers
    }
}

/// The URN of a type's schema, in pieces.
pub(super) fn data_schema(event_type: &str) -> [&str; 3] {
    ["urn:cardhook:", event_type, ":v1"]
}

/// A verified push that could not become an event (contract §3.2).
#[derive(Clone, Copy)]
pub struct Quarantine<'a> {
    /// `decrypt`, `app_id`, `malformed`, `missing_field`, `wrong_account`, `nonce_reused`.
    pub reason: &'static str,
    /// What was found and what was expected; no body bytes.
    pub detail: &'a str,
    /// The configured account's name.
    pub account: &'a str,
    /// The account's mode at receipt: `plaintext`, `compat`, `secure`.
    pub mode: &'static str,
    /// Receipt, Unix milliseconds.
    pub received_at_ms: i64,
    /// The query as received.
    pub query: &'a str,
    /// The body as received.
    pub body: &'a [u8],
}

/// Prints neither query nor body.
impl std::fmt::Debug for Quarantine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Quarantine({}: {})", self.reason, self.detail)
    }
}

impl Quarantine<'_> {
    /// The DLQ record: no key, timestamp = receipt, `dlq_…` headers, value = the body.
    #[must_use]
    pub fn record(&self) -> Record {
        let mut headers = Headers::new();
        add_dlq_headers(&mut headers, self.reason, self.detail, self.account, self.mode, self.received_at_ms);
        headers.push("dlq_query", self.query);
        Record { key: None, timestamp_ms: self.received_at_ms, headers, value: self.body.into() }
    }
}

impl Record {
    /// The DLQ record of a record that the broker refused for good: value, key and headers of the refused one, `dlq_…` headers
    /// added. Its timestamp is the receipt, since the refused one may be why it was refused.
    #[must_use]
    pub fn rejected(mut self, detail: &str, account: &str, mode: &'static str, received_at_ms: i64) -> Self {
        add_dlq_headers(&mut self.headers, "rejected", detail, account, mode, received_at_ms);
        self.timestamp_ms = received_at_ms;
        self
    }
}

fn add_dlq_headers(headers: &mut Headers, reason: &str, detail: &str, account: &str, mode: &str, received_at_ms: i64) {
    headers.push("dlq_reason", reason);
    headers.push("dlq_detail", detail);
    headers.push("dlq_account", account);
    headers.push("dlq_mode", mode);
    headers.push_shown("dlq_received_at", UtcMillis::clamped(received_at_ms));
}
