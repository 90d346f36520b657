//! A typed card event, and any other message of the account: contract §1.2 and §3.3.
//!
//! Holds what is published. Does not depend on XML (that is [`super::read`]) and Kafka (that is [`super::record`]).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    EventId, EventType, Fields,
    children::Extra,
    time::{UtcMillis, UtcSeconds},
    value::{OpenId, Text},
};

/// What a record of the topics holds, and what a readable push is: a card event, or anything else that the account receives.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "made once for a push and encoded at once; a box would cost every card event an allocation"
)]
pub enum Event<'d> {
    /// A row of contract §1.1, `card.unknown` included.
    Card(CardEvent<'d>),
    /// Text, subscribe, menu, …: contract §3.3.
    Other(OtherMessage<'d>),
}

/// A typed card event. Serialises as the flat JSON of contract §1.2, and reads back from it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub struct CardEvent<'d> {
    #[serde(flatten)]
    pub(super) common: Common<'d>,
    #[serde(flatten)]
    pub(super) fields: Fields<'d>,
    pub(super) extra: Extra<'d>,
}

/// What every card event has.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Common<'d> {
    /// The stable identity: the same for every delivery of this event.
    pub(super) event_id: EventId,
    /// The type.
    pub(super) event_type: EventType,
    /// WeChat's name of the event, as received.
    pub(super) wechat_event: Text<'d>,
    /// When it happened at WeChat.
    pub(super) event_time: UtcSeconds,
    /// `event_time` in Unix milliseconds.
    pub(super) event_time_ms: i64,
    /// When it was received.
    pub(super) received_at: UtcMillis,
    /// The configured account's name.
    pub(super) account: Text<'d>,
    /// The Official Account.
    pub(super) account_id: Text<'d>,
    /// The user, or who else caused the event.
    pub(super) openid: OpenId<'d>,
    /// Whether WeChat's signature covered the body.
    pub(super) body_authenticated: bool,
    /// Whether some text was not UTF-8 XML: U+FFFD stands for each character that could not be read.
    // Events of older releases have none.
    #[serde(default)]
    pub(super) text_repaired: bool,
}

/// A message or event that is none of the cards'. What a card event requires may be null here: it is published as it came.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OtherMessage<'d> {
    /// The stable identity: the same for every delivery of this message.
    pub(super) event_id: EventId,
    /// The type.
    pub(super) event_type: OtherType,
    /// WeChat's name of the event, as received; null for a message.
    pub(super) wechat_event: Option<Text<'d>>,
    /// When it happened at WeChat; null when `CreateTime` is absent or does not read.
    pub(super) event_time: Option<UtcSeconds>,
    /// `event_time` in Unix milliseconds.
    pub(super) event_time_ms: Option<i64>,
    /// When it was received.
    pub(super) received_at: UtcMillis,
    /// The configured account's name.
    pub(super) account: Text<'d>,
    /// The Official Account.
    pub(super) account_id: Option<Text<'d>>,
    /// The user, or who else caused the message.
    pub(super) openid: Option<OpenId<'d>>,
    /// Whether WeChat's signature covered the body.
    pub(super) body_authenticated: bool,
    /// Whether some text was not UTF-8 XML: U+FFFD stands for each character that could not be read.
    // Events of older releases have none.
    #[serde(default)]
    pub(super) text_repaired: bool,
    /// What kind of message: `text`, `event`, …; an open set.
    pub(super) msg_type: Option<Text<'d>>,
    /// What the envelope did not take, under WeChat's tags.
    pub(super) extra: Extra<'d>,
}

/// The one type of contract §3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) enum OtherType {
    /// Not a card event.
    #[serde(rename = "other")]
    Other,
}

impl<'d> CardEvent<'d> {
    /// The stable identity, contract §1.4.
    #[must_use]
    pub fn event_id(&self) -> EventId {
        self.common.event_id
    }

    /// `CreateTime`, Unix seconds.
    #[must_use]
    pub fn event_time(&self) -> i64 {
        self.common.event_time.seconds()
    }

    /// `card.received`, …: the metric label.
    #[must_use]
    pub fn event_type(&self) -> &'static str {
        self.common.event_type.as_str()
    }

    /// The type, to match on.
    #[must_use]
    pub fn kind(&self) -> EventType {
        self.common.event_type
    }

    /// When it was received.
    #[must_use]
    pub fn received_at(&self) -> UtcMillis {
        self.common.received_at
    }

    /// The configured account's name.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.common.account
    }

    /// The Official Account.
    #[must_use]
    pub fn account_id(&self) -> &str {
        &self.common.account_id
    }

    /// Whether WeChat's signature covered the body.
    #[must_use]
    pub fn body_authenticated(&self) -> bool {
        self.common.body_authenticated
    }

    /// The user, or who else caused the event.
    #[must_use]
    pub fn openid(&self) -> &OpenId<'d> {
        &self.common.openid
    }

    /// The card, when the type has one and the push named it.
    #[must_use]
    pub fn card_id(&self) -> Option<&str> {
        self.fields.text("card_id")
    }

    /// The type's own fields.
    #[must_use]
    pub fn fields(&self) -> &Fields<'d> {
        &self.fields
    }

    /// What no field took.
    #[must_use]
    pub fn extra(&self) -> &Extra<'d> {
        &self.extra
    }
}

impl OtherMessage<'_> {
    pub(super) const EVENT_TYPE: &'static str = "other";

    /// The stable identity, contract §1.4.
    #[must_use]
    pub fn event_id(&self) -> EventId {
        self.event_id
    }

    /// `CreateTime`, Unix seconds; 0 when the message has none that reads.
    #[must_use]
    pub fn event_time(&self) -> i64 {
        self.event_time.map_or(0, UtcSeconds::seconds)
    }
}

/// Not derived: among flattened structs serde would take the first type whose fields fit, and all do.
impl TryFrom<serde_json::Value> for CardEvent<'_> {
    type Error = serde_json::Error;

    fn try_from(json: serde_json::Value) -> Result<Self, Self::Error> {
        #[derive(Deserialize)]
        struct Rest<'d> {
            extra: Extra<'d>,
        }
        let common = Common::deserialize(&json)?;
        let fields = Fields::from_json(common.event_type, &json)?;
        let Rest { extra } = Rest::deserialize(&json)?;
        Ok(Self { common, fields, extra })
    }
}

/// Prints what is not personal.
impl std::fmt::Debug for CardEvent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CardEvent({} {} {:?})", self.event_type(), self.event_id(), self.extra)
    }
}

/// Prints what is not personal.
impl std::fmt::Debug for OtherMessage<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OtherMessage({} {:?})", self.event_id, self.extra)
    }
}
