//! What becomes of one record of the DLQ topic (contract §3.2). Pure.
//!
//! Does not depend on how records are read, sent and timed: the stages that a push goes through at its receipt decide here
//! too, from opening on.

use std::str::from_utf8;

use clap::ValueEnum;
use rdkafka::{
    Message as _,
    message::{Headers as _, OwnedMessage},
};

use crate::{
    config::Account,
    event::{self, Event, EventType, Headers, Receipt, Record, UtcMillis, UtcSeconds},
    protocol::{Callback, Mode, Query},
};

/// Returned: not written by cardhook's quarantine, or by another release's.
pub(super) const FOREIGN: &str = "foreign";
/// Returned: its account is not configured any more.
const UNKNOWN_ACCOUNT: &str = "unknown_account";
/// The type of what is no card event.
pub(super) const OTHER: &str = "other";

/// A `dlq_reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Reason {
    /// It could not be decrypted
    Decrypt,
    /// It was made for another AppID
    AppId,
    /// It could not be read as XML, or as an Official Account's push
    Malformed,
    /// A card event lacked a required element
    MissingField,
    /// It was for another `ToUserName` than the account's
    WrongAccount,
    /// Its nonce had been used: perhaps forged, so replayed only when asked for
    NonceReused,
    /// The broker refused the finished record
    Rejected,
}

impl Reason {
    /// As the header and the report write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Decrypt => "decrypt",
            Self::AppId => "app_id",
            Self::Malformed => "malformed",
            Self::MissingField => "missing_field",
            Self::WrongAccount => "wrong_account",
            Self::NonceReused => "nonce_reused",
            Self::Rejected => "rejected",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|reason| reason.name() == name)
    }
}

/// Where an event goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// `kafka.topic`
    Events,
    /// `kafka.other_topic`
    Other,
}

/// What becomes of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is an event now.
    Publish {
        destination: Destination,
        /// For the report.
        event_type: &'static str,
        record: Record,
    },
    /// No card event, and its account does not publish the others.
    Ignore,
    /// Back to the DLQ topic as it is, for this reason.
    Return(&'static str),
}

/// Decides by today's accounts, and by the reasons that were asked for.
pub(super) struct Judge<'a> {
    accounts: &'a [Account],
    reasons: &'a [Reason],
}

impl<'a> Judge<'a> {
    /// No reasons: all but `nonce_reused`.
    pub(super) fn new(accounts: &'a [Account], reasons: &'a [Reason]) -> Self {
        Self { accounts, reasons }
    }

    pub(super) fn judge(&self, message: &OwnedMessage) -> Verdict {
        self.decide(message).unwrap_or_else(Verdict::Return)
    }

    fn decide(&self, message: &OwnedMessage) -> Result<Verdict, &'static str> {
        let reason = header(message, "dlq_reason").and_then(Reason::named).ok_or(FOREIGN)?;
        let asked_for = match self.reasons {
            [] => reason != Reason::NonceReused,
            reasons => reasons.contains(&reason),
        };
        if !asked_for {
            return Err(reason.name());
        }
        match reason {
            Reason::Rejected => as_it_was(message).ok_or(FOREIGN),
            Reason::Decrypt
            | Reason::AppId
            | Reason::Malformed
            | Reason::MissingField
            | Reason::WrongAccount
            | Reason::NonceReused => self.read(message),
        }
    }

    /// Goes the way of a push from its verification on.
    fn read(&self, message: &OwnedMessage) -> Result<Verdict, &'static str> {
        let name = header(message, "dlq_account").ok_or(FOREIGN)?;
        let mode = header(message, "dlq_mode").and_then(mode_named).ok_or(FOREIGN)?;
        let query = header(message, "dlq_query").and_then(|query| Query::parse(query).ok()).ok_or(FOREIGN)?;
        let received_at = received_at(message).ok_or(FOREIGN)?;
        let account = self.accounts.iter().find(|account| account.name == name).ok_or(UNKNOWN_ACCOUNT)?;

        let body = message.payload().unwrap_or_default();
        let callback = Callback::new(query.clone(), body);
        let push = match mode {
            // It may be one of those that came encrypted while the account was configured for plaintext: read as the account
            // is configured today where it verifies so, which is more than it was verified for.
            Mode::Plaintext if account.credentials.mode != Mode::Plaintext => {
                callback.verify(&account.credentials).ok()
            }
            Mode::Plaintext | Mode::Compat | Mode::Secure => None,
        };
        let push = match push {
            Some(push) => push,
            None => Callback::new(query, body).verified_at_receipt(mode).ok_or(FOREIGN)?,
        };
        let opened = push.open(&account.credentials).map_err(|error| error.reason())?;
        let receipt = Receipt {
            account: &account.name,
            account_id: account.account_id.as_deref(),
            received_at_ms: received_at.millis(),
        };
        Ok(match event::read(&opened, receipt).map_err(|error| error.reason())? {
            Event::Card(card) => Verdict::Publish {
                destination: Destination::Events,
                event_type: card.event_type(),
                record: card.record(),
            },
            Event::Other(other) if account.other.publishes() => {
                Verdict::Publish { destination: Destination::Other, event_type: OTHER, record: other.record() }
            }
            Event::Other(_) => Verdict::Ignore,
        })
    }
}

/// A finished record that the broker refused: key, value and headers as they were, with the timestamp that it had.
fn as_it_was(message: &OwnedMessage) -> Option<Verdict> {
    let key = message.key().map(from_utf8).transpose().ok()?.map(str::to_owned);
    let mut headers = Headers::new();
    for header in message.headers()?.iter().filter(|header| !header.key.starts_with("dlq_")) {
        headers.push(header.key, from_utf8(header.value?).ok()?);
    }
    let ce_type = header(message, "ce_type")?;
    let event_time = header(message, "ce_time").and_then(|time| time.parse::<UtcSeconds>().ok());
    let timestamp_ms = event::timestamp(event_time, received_at(message)?);
    let event_type = event_type(ce_type);
    let destination = if event_type == Some(OTHER) { Destination::Other } else { Destination::Events };
    let record = Record { key, timestamp_ms, headers, value: message.payload()?.into() };
    Some(Verdict::Publish { destination, event_type: event_type.unwrap_or("of another release"), record })
}

fn event_type(ce_type: &str) -> Option<&'static str> {
    let name = ce_type.strip_prefix("com.qq.weixin.")?.strip_suffix(".v1")?;
    EventType::ALL.iter().map(|event_type| event_type.as_str()).chain([OTHER]).find(|known| *known == name)
}

fn mode_named(name: &str) -> Option<Mode> {
    Mode::ALL.into_iter().find(|mode| mode.name() == name)
}

fn received_at(message: &OwnedMessage) -> Option<UtcMillis> {
    header(message, "dlq_received_at")?.parse().ok()
}

/// The header's text. What the quarantine added stands behind what was there.
fn header<'m>(message: &'m OwnedMessage, name: &str) -> Option<&'m str> {
    let headers = message.headers()?;
    let found = (0..headers.count()).rev().map(|index| headers.get(index)).find(|header| header.key == name)?;
    from_utf8(found.value?).ok()
}

#[cfg(test)]
mod tests;
