//! The Kafka record: key, timestamp, headers, value (contract §1.3), and the quarantine's (§3.2).

use std::borrow::Cow;

/// One header. Values are UTF-8 here; Kafka carries bytes.
pub type Header = (Cow<'static, str>, String);

/// What goes to Kafka, less the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The key's bytes; `None` is Kafka's null key, never an empty string.
    pub key: Option<String>,
    /// Unix milliseconds.
    pub timestamp_ms: i64,
    /// In the order they are sent.
    pub headers: Vec<Header>,
    /// The value's bytes.
    pub value: Vec<u8>,
}

/// A verified push that could not become an event (contract §3.2).
#[derive(Debug, Clone, Copy)]
pub struct Quarantine<'a> {
    /// `decrypt`, `app_id`, `malformed`, `missing_field`, `wrong_account`.
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

impl Quarantine<'_> {
    /// The DLQ record: no key, timestamp = receipt, `dlq_…` headers, value = the body.
    #[must_use]
    pub fn record(&self) -> Record {
        unimplemented!()
    }
}

impl Record {
    /// The DLQ record of a record that the broker refused for good: value, key and headers of the refused one, `dlq_…` headers added.
    #[must_use]
    pub fn rejected(self, detail: &str, account: &str, mode: &'static str, received_at_ms: i64) -> Self {
        let _ = (detail, account, mode, received_at_ms);
        unimplemented!()
    }
}
