//! `POST /card/qrcode/create`: a QR code that puts one card or several into the wallet of who scans it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{super::client::Repeat, Api, ApiError, trimmed};

/// A channel, as `outer_str`: 1 to 128 printable characters, which come back in `card.received`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OuterStr(String);

/// Why a text is no channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAChannel {
    /// Too short or too long.
    #[error("it has {0} characters; outer_str takes 1 to 128")]
    Length(usize),
    /// A control character, at this place from 1.
    #[error("its character {0} is not printable; outer_str takes 1 to 128 printable characters")]
    NotPrintable(usize),
}

impl OuterStr {
    /// Judges a text.
    ///
    /// # Errors
    /// Where WeChat would refuse or change it.
    pub fn parse(text: &str) -> Result<Self, NotAChannel> {
        let length = text.chars().count();
        let invisible = |character: char| character.is_control() || ('\u{200b}'..='\u{200f}').contains(&character);
        if let Some(place) = text.chars().position(invisible) {
            return Err(NotAChannel::NotPrintable(place + 1));
        }
        if (1..=128).contains(&length) { Ok(Self(text.to_owned())) } else { Err(NotAChannel::Length(length)) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One card of a QR code.
#[derive(Debug, Clone, Serialize)]
pub struct QrCard {
    /// The card.
    pub card_id: String,
    /// Its code, for a card with custom codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Who may claim it, for a card bound to an openid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openid: Option<String>,
    /// A code at random that one customer can claim once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_unique_code: bool,
    /// The channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outer_str: Option<OuterStr>,
}

/// What to ask for.
#[derive(Debug, Clone)]
pub struct Ask {
    /// One (`QR_CARD`), or up to five (`QR_MULTIPLE_CARD`).
    pub cards: Vec<QrCard>,
    /// How long the code can be scanned: 60 to 1800 seconds; a year when not given.
    pub expire_seconds: Option<u32>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QrTicket {
    /// What WeChat's picture is had by.
    #[serde(deserialize_with = "trimmed")]
    pub ticket: String,
    /// What the QR code says.
    #[serde(deserialize_with = "trimmed")]
    pub url: String,
    /// WeChat's own picture.
    #[serde(default, deserialize_with = "trimmed")]
    pub show_qrcode_url: String,
    /// How long it can be scanned, seconds.
    #[serde(default)]
    pub expire_seconds: Option<u64>,
    /// All else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Api {
    /// Makes a QR code's ticket. A second call leaves a second ticket behind and changes nothing.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn create_qrcode(&mut self, ask: &Ask) -> Result<QrTicket, ApiError> {
        let mut body = match ask.cards.as_slice() {
            [card] => json!({ "action_name": "QR_CARD", "action_info": { "card": card } }),
            cards => {
                json!({ "action_name": "QR_MULTIPLE_CARD", "action_info": { "multiple_card": { "card_list": cards } } })
            }
        };
        if let (Some(seconds), Some(object)) = (ask.expire_seconds, body.as_object_mut()) {
            object.insert("expire_seconds".to_owned(), seconds.into());
        }
        self.post("/card/qrcode/create", &body, Repeat::Safe).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_1_to_128_printable_characters() {
        assert_eq!(OuterStr::parse(&"渠".repeat(128)).unwrap().as_str().chars().count(), 128);
        assert_eq!(OuterStr::parse(&"x".repeat(129)), Err(NotAChannel::Length(129)));
        assert_eq!(OuterStr::parse(""), Err(NotAChannel::Length(0)));
        assert_eq!(OuterStr::parse("a\tb"), Err(NotAChannel::NotPrintable(2)));
    }
}
