//! An event as one line: for people, as JSON, as CSV. What is personal is masked unless it was asked for.

use std::{
    borrow::Cow,
    fmt::{self, Display},
};

use clap::{
    ValueEnum,
    builder::styling::{AnsiColor, Style},
};
use serde_json::{Map, Value};

use crate::{cli::json_line::json_line, mask::mask};

/// How events are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One line an event, for people
    Pretty,
    /// One JSON object a line
    Json,
    /// RFC 4180, with a header line
    Csv,
}

/// What CSV shows of an event, in this order; an absent field is empty.
const COLUMNS: [&str; 12] = [
    "event_id",
    "event_type",
    "event_time",
    "received_at",
    "account",
    "openid",
    "card_id",
    "code",
    "outer_str",
    "old_code",
    "trans_id",
    "fee",
];

/// A record of the topic: a JSON object with a type. Fields that this release does not know are kept.
#[derive(Debug)]
pub(super) struct Event(Map<String, Value>);

impl Event {
    /// Takes a record's JSON; `None` for what is no event.
    pub(super) fn new(value: Value) -> Option<Self> {
        match value {
            Value::Object(fields) if fields.get("event_type").is_some_and(Value::is_string) => Some(Self(fields)),
            _ => None,
        }
    }

    /// Reads JSON.
    #[cfg(test)]
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        Self::new(serde_json::from_slice(value).ok()?)
    }

    /// A field's text; `None` when it is absent, null or no string.
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }

    /// `event_time_ms`, Unix milliseconds.
    pub(super) fn time_ms(&self) -> Option<i64> {
        self.0.get("event_time_ms")?.as_i64()
    }

    /// With everything masked that says who the user is, or that redeems a card.
    pub(super) fn masked(mut self) -> Self {
        for (name, value) in &mut self.0 {
            if is_personal(name) {
                hide(value);
            }
        }
        self
    }

    /// One JSON object without line ends; terminals find no control character in it.
    pub(super) fn json(&self) -> String {
        let json = serde_json::to_string(&self.0).unwrap_or_default();
        String::from_utf8_lossy(&json_line(json.as_bytes())).into_owned()
    }

    /// A line of CSV.
    pub(super) fn csv(&self) -> String {
        COLUMNS.map(|column| self.0.get(column).map_or_else(String::new, |value| cell(&plain(value)))).join(",")
    }
}

/// CSV's first line.
pub(super) fn csv_header() -> String {
    COLUMNS.join(",")
}

/// `extra` holds what no field took, and with it whatever WeChat adds.
fn is_personal(field: &str) -> bool {
    matches!(field, "openid" | "union_id" | "extra" | "code" | "old_code" | "verify_code") || field.ends_with("_openid")
}

fn hide(value: &mut Value) {
    match value {
        Value::Null => (),
        Value::Object(fields) => fields.values_mut().for_each(hide),
        Value::Array(items) => items.iter_mut().for_each(hide),
        other => *other = Value::String(mask(&plain(other))),
    }
}

fn plain(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// Control characters are escaped, so that an event is one line.
fn cell(text: &str) -> String {
    let text = printable(text);
    if text.contains(['"', ',', ' ']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// The type's colour: what is redeemed, what is lost, what is new.
fn colour(event_type: &str) -> AnsiColor {
    match event_type {
        "card.consumed" | "card.paid" | "gift_card.paid" => AnsiColor::Green,
        "card.deleted" | "card.rejected" => AnsiColor::Red,
        "card.unknown" => AnsiColor::Yellow,
        _ => AnsiColor::Cyan,
    }
}

/// One line; `{:#}` has the type in colour.
impl Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |field: &str| self.text(field).map_or_else(|| "-".to_owned(), printable);
        let style = match self.text("event_type") {
            Some(event_type) if f.alternate() => colour(event_type).on_default(),
            _ => Style::new(),
        };
        write!(
            f,
            "{} {style}{:<22}{style:#} openid={} code={} card_id={} outer_str={}",
            shown("event_time"),
            shown("event_type"),
            shown("openid"),
            shown("code"),
            shown("card_id"),
            shown("outer_str"),
        )
    }
}

/// What users and campaigns wrote must not steer the terminal: control characters and line ends are escaped.
pub(super) fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, c| {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
        line
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(value: &str) -> Event {
        Event::read(value.as_bytes()).unwrap()
    }

    #[test]
    fn a_line_masks_what_is_personal_and_shows_the_rest() {
        let value = r#"{"event_time":"2026-08-30T10:24:02Z","event_type":"card.received","openid":"oTEST-aBcDeFgHiJkLmNoPqRsT",
            "code":"012345678901","card_id":"pTEST-card","outer_str":"poster \"7\"\u001b[2J\u2028","extra":{}}"#;
        assert_eq!(
            event(value).masked().to_string(),
            "2026-08-30T10:24:02Z card.received          openid=oTE***sT code=012***01 card_id=pTEST-card \
             outer_str=poster \"7\"\\u{1b}[2J\\u{2028}"
        );
    }

    #[test]
    fn absent_and_null_fields_are_dashes() {
        let value =
            r#"{"event_time":"2026-08-30T10:24:02Z","event_type":"card.approved","openid":null,"card_id":"p1"}"#;
        assert!(event(value).to_string().ends_with("openid=- code=- card_id=p1 outer_str=-"));
    }

    #[test]
    fn json_masks_every_personal_field_and_keeps_unknown_ones() {
        let value = r#"{"event_type":"card.new","openid":"oTEST-aBcDeFgHiJkLmNoPqRsT","friend_openid":"oFRIEND-90123456",
            "union_id":null,"code":"012345678901","new_field":[1,2],"extra":{"Phone":["13800138000","1"]}}"#;
        assert_eq!(
            event(value).masked().json(),
            r#"{"event_type":"card.new","openid":"oTE***sT","friend_openid":"oFR***56","union_id":null,"code":"012***01","new_field":[1,2],"extra":{"Phone":["13***00","***"]}}"#
        );
    }

    #[test]
    fn json_holds_nothing_that_steers_a_terminal() {
        let json = event("{\"event_type\":\"card.new\",\"outer_str\":\"\u{9b}2J\u{7f}\u{85}\u{2029}卡\"}").json();
        assert!(!json.contains(|c: char| c.is_control() || c == '\u{2029}'), "{json}");
        assert_eq!(Event::read(json.as_bytes()).unwrap().text("outer_str"), Some("\u{9b}2J\u{7f}\u{85}\u{2029}卡"));
    }

    #[test]
    fn csv_quotes_what_needs_it_and_keeps_one_line_an_event() {
        let value = r#"{"event_id":"e1","event_type":"card.paid","code":"007","outer_str":"a,\"b\"\nc","fee":100}"#;
        assert_eq!(event(value).csv(), r#"e1,card.paid,,,,,,007,"a,""b""\nc",,,100"#);
        assert_eq!(csv_header().split(',').count(), event(value).csv().replace("a,", "a").split(',').count());
    }

    #[test]
    fn what_is_no_event_is_not_read() {
        for value in ["", "null", "[]", "{}", r#"{"event_type":1}"#, "<xml/>"] {
            assert!(Event::read(value.as_bytes()).is_none(), "{value}");
        }
    }
}
