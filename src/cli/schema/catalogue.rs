//! The event catalogue: the AsyncAPI document, which is generated from the types, as Markdown for those who analyse the data.
//!
//! What the types do not say (when WeChat sends an event, why a field is null, all in Chinese) stands in [`super::texts`].

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{
    Language,
    texts::{self, FieldTexts},
};
use crate::event::EventType;

/// Fields of every event; they are described once.
const COMMON: [&str; 12] = [
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
/// Described as every event, although it has no type of its own.
const EXAMPLE_OF_COMMON: &str = "card.received";
/// The topic of what is no card event: its envelope can be null, so all its fields are listed.
const OTHER: &str = "other";

/// The whole page. What has no text is left empty: a test finds it.
pub(super) fn catalogue(asyncapi: &Value, language: Language) -> String {
    let messages: Vec<Message<'_>> = messages(asyncapi).collect();
    let mut page = language.of(texts::HEAD).to_owned();
    table_of_types(&mut page, &messages, language);
    page.push_str(language.of(texts::COMMON));
    if let Some(message) = messages.iter().find(|message| message.name == EXAMPLE_OF_COMMON) {
        table_of_fields(&mut page, message, language, |name| COMMON.contains(&name));
    }
    for message in &messages {
        section(&mut page, message, language);
    }
    page.push_str(language.of(texts::FILES));
    page
}

/// A type, as the AsyncAPI document has it.
struct Message<'d> {
    name: &'d str,
    summary: &'d str,
    key: &'d str,
    properties: &'d Map<String, Value>,
    example: &'d Value,
}

/// Every type, in the contract's order.
fn messages(asyncapi: &Value) -> impl Iterator<Item = Message<'_>> {
    let messages = asyncapi.pointer("/components/messages").and_then(Value::as_object);
    messages.into_iter().flatten().filter_map(|(name, message)| {
        Some(Message {
            name,
            summary: message.get("summary")?.as_str()?,
            key: message.pointer("/bindings/kafka/key/description")?.as_str()?,
            properties: message.pointer("/payload/properties")?.as_object()?,
            example: message.pointer("/examples/0/payload")?,
        })
    })
}

impl Message<'_> {
    /// What it is, in one sentence.
    fn summary(&self, language: Language) -> &str {
        language.of([self.summary, texts::of_type(self.name).map_or("", |texts| texts.chinese)])
    }

    /// `user_get_card`, …; the types that have no one name are described in their section.
    fn wechat_event(&self) -> String {
        let event = EventType::of_name(self.name).and_then(EventType::wechat_event);
        event.map_or_else(|| "–".to_owned(), |event| format!("`{event}`"))
    }
}

fn table_of_types(page: &mut String, messages: &[Message<'_>], language: Language) {
    page.push_str(language.of(texts::TYPES_HEAD));
    for message in messages {
        let (name, anchor) = (message.name, message.name.replace('.', ""));
        line(
            page,
            &[&format!("[`{name}`](#{anchor})"), &message.wechat_event(), message.summary(language), message.key],
        );
    }
}

fn section(page: &mut String, message: &Message<'_>, language: Language) {
    let name = message.name;
    let when = texts::of_type(name).map_or("", |texts| language.of(texts.when));
    let own = |field: &str| name == OTHER || !COMMON.contains(&field);
    // Writing to a string does not fail.
    let _ = write!(page, "\n## `{name}`\n\n{} {when}\n\n", message.summary(language));
    table_of_fields(page, message, language, own);
    let _ = write!(page, "\n[{}](examples/{name}.json)\n", language.of(texts::EXAMPLE));
}

fn table_of_fields(page: &mut String, message: &Message<'_>, language: Language, shown: impl Fn(&str) -> bool) {
    page.push_str(language.of(texts::FIELDS_HEAD));
    for (name, property) in message.properties.iter().filter(|(name, _)| shown(name)) {
        let texts = texts::of_field(name);
        let (json_type, null) = json_type(property);
        let english = property.get("description").and_then(Value::as_str).unwrap_or_default();
        let meaning = language.of([english, texts.map_or("", |texts| texts.chinese)]);
        let null = if null { why_null(texts, language) } else { language.of(texts::NEVER) };
        let example = message.example.get(name).map(Value::to_string).unwrap_or_default();
        line(page, &[&format!("`{name}`"), &json_type, null, meaning, &format!("`{example}`")]);
    }
}

/// The JSON type with its format, and whether it can be null.
fn json_type(property: &Value) -> (String, bool) {
    let types: Vec<&str> = match property.get("type") {
        Some(Value::String(only)) => vec![only],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let mut name = types.iter().copied().filter(|name| *name != "null").collect::<Vec<_>>().join(", ");
    if let Some(format @ ("date-time" | "uuid")) = property.get("format").and_then(Value::as_str) {
        let _ = write!(name, " ({format})");
    }
    (name, types.contains(&"null"))
}

fn why_null(texts: Option<&FieldTexts>, language: Language) -> &'static str {
    language.of(texts.and_then(|texts| texts.null).unwrap_or(texts::ABSENT))
}

fn line(page: &mut String, cells: &[&str]) {
    for cell in cells {
        let _ = write!(page, "| {} ", cell.replace('|', "\\|"));
    }
    page.push_str("|\n");
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::PathBuf};

    use super::*;
    use crate::event::asyncapi;

    /// Set at compile time to write the pages instead of comparing them, as for the schemas.
    const UPDATE: bool = option_env!("UPDATE_SCHEMAS").is_some();

    #[test]
    fn the_catalogue_stands_in_both_languages() {
        let document = asyncapi().unwrap();
        for (language, name) in [(Language::En, "README.md"), (Language::ZhCn, "README.zh-CN.md")] {
            let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas").join(name);
            let page = catalogue(&document, language);
            if UPDATE {
                fs::write(&path, &page).unwrap();
            }
            let standing = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                standing == page,
                "schemas/{name} has drifted from the types: it says itself how to write it again"
            );
        }
    }

    #[test]
    fn every_type_and_every_field_has_its_texts_and_no_text_is_left_over() {
        let document = asyncapi().unwrap();
        let messages: Vec<_> = messages(&document).collect();
        let types: BTreeSet<_> = messages.iter().map(|message| message.name).collect();
        let fields: BTreeSet<_> = messages.iter().flat_map(|message| message.properties.keys()).cloned().collect();
        assert_eq!(types, texts::TYPES.iter().map(|texts| texts.name).collect());
        assert_eq!(fields, texts::FIELDS.iter().map(|texts| texts.name.to_owned()).collect());
        for message in &messages {
            for (name, property) in message.properties {
                assert!(property["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
            }
        }
    }

    #[test]
    fn a_field_shows_its_type_why_it_is_null_and_an_example() {
        let page = catalogue(&asyncapi().unwrap(), Language::En);
        for line in [
            "| `fee` | integer | absent or empty in the push, or not a number | Paid, in fen. | `9000` |",
            "| `event_id` | string (uuid) | never | The stable identity: the same for every delivery of this event. |",
            "| [`card.coin_order`](#cardcoin_order) | `card_pay_order` | The account's coupon coins moved. | order_id |",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }
}
