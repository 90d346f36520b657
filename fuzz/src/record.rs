//! Record encoding: the JSON is one line, valid for the type's schema, and reads back; the headers say what it says.

use std::{collections::HashMap, fmt::Write as _, sync::LazyLock};

use cardhook::{
    event::{CardEvent, Event, OtherMessage, Record, schema::schema},
    protocol::{Child, Value as Content},
};
use jsonschema::Validator;
use serde_json::Value;

use super::{
    document::compose,
    push::{RECEIVED_S, in_clear, json, received, record},
};

const LONGEST: usize = 4096;

static VALIDATORS: LazyLock<HashMap<String, Validator>> = LazyLock::new(|| {
    let schema = schema();
    let definitions = schema["$defs"].as_object().expect("the schema has definitions").iter();
    definitions
        .map(|(name, definition)| {
            (name.clone(), jsonschema::validator_for(definition).expect("a definition is a schema"))
        })
        .collect()
});

/// `data` is a line `Tag=text` for each child of a push, so that more of what is tried is a push; `\\n` in a text is a line feed.
///
/// Of the slower checks one is made, for the speed: a schema's validation alone takes longer than the rest. Or `all` are.
pub fn check(data: &[u8], all: bool) {
    let Some(xml) = std::str::from_utf8(data).ok().filter(|lines| lines.len() <= LONGEST).map(push) else { return };
    let Ok(message) = in_clear(xml.as_bytes()) else { return };
    let Ok(incoming) = received(&message) else { return };
    let record = record(&incoming);
    let published = Published { value: json(&record), incoming, record };
    published.check_headers_and_key();
    let chosen = data.len() % 8;
    if all || chosen == 0 {
        published.check_valid();
    }
    if all || chosen == 1 || chosen == 3 {
        published.check_reads_back();
    }
    if all || chosen == 5 {
        published.check_rejected();
    }
}

/// A push, and what is made of it.
struct Published<'d> {
    incoming: Event<'d>,
    record: Record,
    value: Value,
}

impl Published<'_> {
    fn event_type(&self) -> &str {
        self.value["event_type"].as_str().expect("it has a type")
    }

    fn check_headers_and_key(&self) {
        let Self { record, value, .. } = self;
        assert!(!record.value.contains(&b'\n'), "a value is one line");
        check_headers(record, value, self.event_type());
        check_key_and_time(record, value, self.event_type());
    }

    fn check_valid(&self) {
        if let Err(error) = VALIDATORS[self.event_type()].validate(&self.value) {
            panic!("not valid for {}: {error}", self.event_type());
        }
    }

    fn check_reads_back(&self) {
        let value = &self.record.value;
        let same = match &self.incoming {
            Event::Card(event) => serde_json::from_slice::<CardEvent>(value).is_ok_and(|read| read == *event),
            Event::Other(other) => serde_json::from_slice::<OtherMessage>(value).is_ok_and(|read| read == *other),
        };
        assert!(same, "it reads back as another one");
    }

    /// Contract §3.2: what the broker refuses keeps its key, value and headers, and gets five more.
    fn check_rejected(&self) {
        let record = &self.record;
        let rejected = record.clone().rejected("too large", "shop", "plaintext", RECEIVED_S * 1000);
        let (kept, headers): (Vec<_>, Vec<_>) = (record.headers.iter().collect(), rejected.headers.iter().collect());
        let (before, added) = headers.split_at(kept.len());
        assert_eq!((&rejected.key, &rejected.value, before), (&record.key, &record.value, kept.as_slice()));
        assert!(added.len() == 5 && added.iter().all(|(name, _)| name.starts_with("dlq_")));
    }
}

fn push(lines: &str) -> String {
    let children: Vec<Child<'_>> = lines
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(tag, text)| Child { tag: tag.into(), value: Content::Text(text.replace("\\n", "\n").into()) })
        .collect();
    compose(&children)
}

/// Contract §1.3.
fn check_headers(record: &Record, value: &Value, event_type: &str) {
    let text = |name: &str| value[name].as_str();
    let expected = [
        ("content-type", Some("application/json".to_owned())),
        ("ce_specversion", Some("1.0".to_owned())),
        ("ce_id", text("event_id").map(str::to_owned)),
        ("ce_type", Some(format!("com.qq.weixin.{event_type}.v1"))),
        ("ce_source", Some(format!("/wechat/{}", escaped(text("account_id").unwrap_or_default())))),
        ("ce_time", text("event_time").map(str::to_owned)),
        ("ce_subject", text("card_id").map(str::to_owned)),
        ("ce_dataschema", Some(format!("urn:cardhook:{event_type}:v1"))),
    ];
    let expected = expected.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    assert!(record.headers.iter().eq(expected));
}

/// What RFC 3986 does not leave unreserved is percent-encoded.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

fn check_key_and_time(record: &Record, value: &Value, event_type: &str) {
    let key = match event_type {
        "card.approved" | "card.rejected" | "card.stock_low" => "card_id",
        "card.coin_order" => "order_id",
        "card.merchant_checked" => "account_id",
        _ => "openid",
    };
    assert_eq!(record.key.as_deref(), value[key].as_str());
    assert_ne!(record.key.as_deref(), Some(""));
    let ahead = (RECEIVED_S + 300) * 1000 + 45;
    let expected = value["event_time_ms"].as_i64().filter(|at| *at <= ahead).unwrap_or(RECEIVED_S * 1000 + 45);
    assert_eq!(record.timestamp_ms, expected);
}
