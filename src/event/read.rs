//! From a message to an event: what it is, whether it has what is required, and whose it is.
//!
//! The tables are [`super::table`]'s, the rules for tags and repeats [`super::children`]'s.

use super::{
    CardEvent, Event, EventId, EventType, Fields, OtherMessage,
    card_event::{Common, OtherType},
    children::Children,
    time::{UtcMillis, UtcSeconds},
    value::{OpenId, Text},
};
use crate::protocol::{Document, Message, XmlError};

/// Of a `ToUserName` in an error, in characters: WeChat's own are shorter.
const LONGEST_SHOWN: usize = 64;

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

/// Why an opened message is no event: quarantined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not readable as XML.
    #[error("malformed: {0}")]
    Xml(#[from] XmlError),
    /// Not an Official Account's push.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// A card event without a required element, or with one that does not read.
    #[error("{0} is missing or does not read")]
    MissingField(&'static str),
    /// For another `ToUserName` than the configured `account_id`.
    #[error("for another ToUserName ({found:?}) than the account's account_id ({expected:?})")]
    WrongAccount {
        /// The push's `ToUserName`, its first 64 characters.
        found: String,
        /// As configured.
        expected: String,
    },
}

impl EventError {
    /// Metric label, `dlq_reason` header and log field.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Xml(_) | Self::Malformed(_) => "malformed",
            Self::MissingField(_) => "missing_field",
            Self::WrongAccount { .. } => "wrong_account",
        }
    }
}

/// Reads an opened message.
///
/// # Errors
/// What is not an Official Account's push, lacks a required element, or is for another account.
pub fn read<'d>(message: &'d Message<'_>, receipt: Receipt<'d>) -> Result<Event<'d>, EventError> {
    read_document(&*message.document()?, message.body_authenticated(), receipt)
}

pub(super) fn read_document<'d>(
    document: &Document<'d>,
    body_authenticated: bool,
    receipt: Receipt<'d>,
) -> Result<Event<'d>, EventError> {
    let mut children = Children::new(document);
    if children.has("InfoType") || (children.has("AppId") && !children.has("ToUserName")) {
        return Err(EventError::Malformed("a third-party platform's push"));
    }
    let envelope = Envelope::take(&mut children);
    if let (Some(expected), Some(actual)) = (receipt.account_id, envelope.account_id.as_deref())
        && expected != actual
    {
        let found = actual.chars().take(LONGEST_SHOWN).collect();
        return Err(EventError::WrongAccount { found, expected: expected.to_owned() });
    }
    let text_repaired = document.text_repaired;
    let known = Known { event_id: EventId::of(document), body_authenticated, text_repaired, receipt };
    match EventType::of_push(envelope.event.as_deref(), &children) {
        Some(event_type) => known.card(event_type, envelope, children).map(Event::Card),
        None => Ok(Event::Other(known.other(envelope, children))),
    }
}

/// The elements that card events and other messages have in common.
struct Envelope<'d> {
    account_id: Option<Text<'d>>,
    openid: Option<Text<'d>>,
    create_time: Option<UtcSeconds>,
    event: Option<Text<'d>>,
    msg_type: Option<Text<'d>>,
}

impl<'d> Envelope<'d> {
    fn take(children: &mut Children<'_, 'd>) -> Self {
        let msg_type = children.take_trimmed(&["MsgType"]);
        children.drop_all("MsgType");
        children.drop_all("Encrypt");
        Self {
            account_id: children.take_trimmed(&["ToUserName"]),
            openid: children.take_trimmed(&["FromUserName"]),
            create_time: children.take(&[&["CreateTime"]]),
            event: children.take_trimmed(&["Event"]),
            msg_type,
        }
    }
}

/// What is known of a push whatever it is.
struct Known<'d> {
    event_id: EventId,
    body_authenticated: bool,
    text_repaired: bool,
    receipt: Receipt<'d>,
}

impl<'d> Known<'d> {
    fn card(
        &self,
        event_type: EventType,
        envelope: Envelope<'d>,
        mut children: Children<'_, 'd>,
    ) -> Result<CardEvent<'d>, EventError> {
        let account_id = envelope.account_id.ok_or(EventError::MissingField("ToUserName"))?;
        let openid = envelope.openid.ok_or(EventError::MissingField("FromUserName"))?;
        let event_time = envelope.create_time.ok_or(EventError::MissingField("CreateTime"))?;
        let wechat_event = envelope.event.ok_or(EventError::MissingField("Event"))?;
        Ok(CardEvent {
            common: Common {
                event_id: self.event_id,
                event_type,
                wechat_event,
                event_time,
                event_time_ms: event_time.millis(),
                received_at: UtcMillis::clamped(self.receipt.received_at_ms),
                account: self.receipt.account.into(),
                account_id,
                openid: OpenId::new(openid),
                body_authenticated: self.body_authenticated,
                text_repaired: self.text_repaired,
            },
            fields: Fields::take(event_type, &mut children),
            extra: children.into_extra(),
        })
    }

    fn other(&self, envelope: Envelope<'d>, children: Children<'_, 'd>) -> OtherMessage<'d> {
        OtherMessage {
            event_id: self.event_id,
            event_type: OtherType::Other,
            wechat_event: envelope.event,
            event_time: envelope.create_time,
            event_time_ms: envelope.create_time.map(UtcSeconds::millis),
            received_at: UtcMillis::clamped(self.receipt.received_at_ms),
            account: self.receipt.account.into(),
            account_id: envelope.account_id,
            openid: envelope.openid.map(OpenId::new),
            body_authenticated: self.body_authenticated,
            text_repaired: self.text_repaired,
            msg_type: envelope.msg_type,
            extra: children.into_extra(),
        }
    }
}
