//! The types of contract §1.1 and the fields of §1.2, and reading a message into them.

use super::{EventId, Record};
use crate::protocol::Message;

/// What the receiver knows about a push beside its content.
#[derive(Debug, Clone, Copy)]
pub struct Receipt<'a> {
    /// The configured account's name.
    pub account: &'a str,
    /// The configured `account_id`, when set: pushes for another `ToUserName` are [`EventError::WrongAccount`].
    pub account_id: Option<&'a str>,
    /// Receiver's clock, Unix milliseconds.
    pub received_at_ms: i64,
}

/// A readable push: a card event, or anything else the account receives.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// A row of contract §1.1, `card.unknown` included.
    Card(CardEvent),
    /// Text, subscribe, menu, …: contract §3.3.
    Other(OtherMessage),
}

/// A typed card event.
#[derive(Debug, Clone, PartialEq)]
pub struct CardEvent {}

/// A message or event that is none of the cards'.
#[derive(Debug, Clone, PartialEq)]
pub struct OtherMessage {}

/// Why a readable document is no event: quarantined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not the XML of an Official Account's push.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// A card event without a required element, or with one that does not read.
    #[error("{0} is missing or does not read")]
    MissingField(&'static str),
    /// For another `ToUserName` than the configured `account_id`.
    #[error("for another ToUserName than the account's account_id")]
    WrongAccount,
}

impl EventError {
    /// Metric label, `dlq_reason` header and log field.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::MissingField(_) => "missing_field",
            Self::WrongAccount => "wrong_account",
        }
    }
}

/// Reads an opened message.
///
/// # Errors
/// What is not an Official Account's push, lacks a required element, or is for another account.
pub fn read(message: &Message<'_>, receipt: Receipt<'_>) -> Result<Incoming, EventError> {
    let _ = (message, receipt);
    unimplemented!()
}

impl CardEvent {
    /// The stable identity, contract §1.4.
    #[must_use]
    pub fn event_id(&self) -> EventId {
        unimplemented!()
    }

    /// `CreateTime`, Unix seconds.
    #[must_use]
    pub fn event_time(&self) -> i64 {
        unimplemented!()
    }

    /// `card.received`, …: the metric label.
    #[must_use]
    pub fn event_type(&self) -> &'static str {
        unimplemented!()
    }

    /// The Kafka record of contract §1.3.
    #[must_use]
    pub fn record(&self) -> Record {
        unimplemented!()
    }
}

impl OtherMessage {
    /// The stable identity, contract §1.4.
    #[must_use]
    pub fn event_id(&self) -> EventId {
        unimplemented!()
    }

    /// `CreateTime`, Unix seconds; 0 when the message has none that reads.
    #[must_use]
    pub fn event_time(&self) -> i64 {
        unimplemented!()
    }

    /// The Kafka record of contract §3.3.
    #[must_use]
    pub fn record(&self) -> Record {
        unimplemented!()
    }
}
