//! Contract §1.2 read a second time, from the published JSON backwards: which element a field is read from, and what it says.

use cardhook::protocol::{Child, Value as Content};
use serde_json::{Map, Value};

use super::document::BLANKS;

/// Fields of the envelope, which no element of an event's own is read into.
const ENVELOPE: [&str; 12] = [
    "event_id",
    "event_type",
    "wechat_event",
    "event_time",
    "event_time_ms",
    "received_at",
    "account",
    "account_id",
    "openid",
    "body_authenticated",
    "text_repaired",
    "extra",
];

/// How a field reads its text.
enum Kind {
    Text,
    Trimmed,
    Bare,
    Integer,
    Boolean,
    Time,
    OrderTime,
}

/// Every child but `Encrypt` and `MsgType` stands in a field or in `extra`, and nothing else stands there.
pub fn account_for(children: &[Child<'_>], published: &Map<String, Value>) {
    let mut extra = entries(&published["extra"]);
    for child in children {
        let place = extra.iter().position(|(tag, value)| *tag == child.tag && *value == text_of(child));
        let of_envelope = ["Encrypt", "MsgType"].iter().any(|tag| child.tag.eq_ignore_ascii_case(tag));
        match (place, of_envelope) {
            (Some(_), true) => panic!("the envelope's {} stands in extra", child.tag),
            (Some(place), false) => {
                extra.swap_remove(place);
            }
            (None, true) => {}
            (None, false) => assert!(is_typed(child, published), "{} is lost", child.tag),
        }
    }
    assert!(extra.is_empty(), "{extra:?} was never received");
    for (name, value) in published.iter().filter(|(_, value)| !value.is_null()) {
        let is_own = !ENVELOPE.contains(&name.as_str()) && name != "msg_type";
        assert!(!is_own || children.iter().any(|child| is_read_from(name, child, value)), "{name} was never received");
    }
}

fn entries(extra: &Value) -> Vec<(&str, &str)> {
    let entries = extra.as_object().expect("extra is an object").iter();
    entries
        .flat_map(|(tag, value)| {
            let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            values.iter().map(move |value| (tag.as_str(), value.as_str().expect("extra holds texts")))
        })
        .collect()
}

fn text_of<'c>(child: &'c Child<'_>) -> &'c str {
    let (Content::Text(text) | Content::Elements(text)) = &child.value;
    text
}

fn is_typed(child: &Child<'_>, published: &Map<String, Value>) -> bool {
    published.iter().any(|(name, value)| is_read_from(name, child, value))
}

fn is_read_from(name: &str, child: &Child<'_>, value: &Value) -> bool {
    let Content::Text(text) = &child.value else { return false };
    let tag = child.tag.to_ascii_lowercase();
    belongs(name, &tag) && says(&kind(name), value, text)
}

fn belongs(name: &str, tag: &str) -> bool {
    match tag {
        "tousername" => name == "account_id",
        "fromusername" => name == "openid",
        "event" => name == "wechat_event",
        "createtime" => matches!(name, "event_time" | "create_order_time"),
        "usercardcode" | "code" => name == "code",
        "outerstr" | "outetstr" => name == "outer_str",
        "friendusername" => name == "friend_openid",
        "oldusercardcode" => name == "old_code",
        _ => !ENVELOPE.contains(&name) && name.replace('_', "") == tag,
    }
}

fn kind(name: &str) -> Kind {
    match name {
        "account_id" | "openid" | "wechat_event" => Kind::Trimmed,
        "consume_source" => Kind::Bare,
        "fee" | "original_fee" | "modify_bonus" | "modify_balance" => Kind::Integer,
        "event_time" => Kind::Time,
        "create_order_time" | "pay_finish_time" => Kind::OrderTime,
        _ if name.starts_with("is_") => Kind::Boolean,
        _ if name.ends_with("_coin_count") => Kind::Integer,
        _ => Kind::Text,
    }
}

fn says(kind: &Kind, value: &Value, text: &str) -> bool {
    let trimmed = text.trim_matches(BLANKS);
    match kind {
        Kind::Text => value.as_str().unwrap_or_default() == text,
        Kind::Trimmed => value.as_str().unwrap_or_default() == trimmed,
        Kind::Bare => {
            let inner = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(text);
            value.as_str().unwrap_or_default() == inner
        }
        Kind::Integer | Kind::Time | Kind::OrderTime if trimmed.is_empty() => value.is_null(),
        Kind::Integer => integer(trimmed).is_some_and(|number| value.as_i64() == Some(number)),
        Kind::Boolean => match trimmed {
            "" => value.is_null(),
            "1" | "true" => *value == Value::Bool(true),
            "0" | "false" => *value == Value::Bool(false),
            _ => false,
        },
        Kind::OrderTime if integer(trimmed) == Some(0) => value.is_null(),
        Kind::Time | Kind::OrderTime => time(trimmed).is_some_and(|time| value.as_str() == Some(time.as_str())),
    }
}

fn integer(text: &str) -> Option<i64> {
    let wide: i128 = text.parse().ok()?;
    i64::try_from(wide).ok()
}

/// RFC 3339 of Unix seconds within contract §1.2's range.
pub fn time(text: &str) -> Option<String> {
    let seconds = integer(text).filter(|seconds| (0..=253_402_300_799).contains(seconds))?;
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    let mut day = days;
    // Four hundred years have as many days wherever they begin.
    year += day / 146_097 * 400;
    day %= 146_097;
    while day >= days_of(year) {
        day -= days_of(year);
        year += 1;
    }
    let mut month = 1;
    while day >= days_in(year, month) {
        day -= days_in(year, month);
        month += 1;
    }
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    Some(format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", day + 1))
}

fn days_of(year: i64) -> i64 {
    (1..=12).map(|month| days_in(year, month)).sum()
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
