//! XML to event: nothing is lost, nothing invented; the id does not see order or spelling of the XML.

use cardhook::{
    event::{Event, EventError, EventType},
    protocol::{Child, Document, Value},
};
use serde_json::Map;

use super::{
    document::{BLANKS, compose},
    fields::{account_for, time},
    push::{in_clear, json, received, record},
};

/// More is a slower search for the same.
const LONGEST: usize = 4096;

/// `data` is a push's clear document.
pub fn check(data: &[u8]) {
    if data.len() > LONGEST {
        return;
    }
    let Ok(message) = in_clear(data) else { return };
    let document = Document::parse(data).expect("it was opened");
    let children = &document.children;
    match received(&message) {
        Ok(incoming) => {
            let repaired = &json(&record(&incoming))["text_repaired"];
            assert_eq!(repaired.as_bool(), Some(document.text_repaired), "a repair is hidden, or invented");
            let published = published(&incoming);
            account_for(children, &published);
            assert_eq!(published["event_type"], type_of(children), "another type");
            // One or the other, for the speed.
            if data.len().is_multiple_of(2) {
                let again = reread(children).expect("an event written anew is an event");
                assert_eq!(again, published, "written anew it is another event");
            } else if let Ok(reversed) = reread(children.iter().rev()) {
                // Where a tag stands twice, the other one may not be what is required: then there is no event.
                assert_eq!(reversed["event_id"], published["event_id"], "the order of the children counts");
            }
        }
        Err(EventError::MissingField(tag)) => {
            let text = first(children, tag).unwrap_or_default();
            let reads = if tag == "CreateTime" { time(text).is_some() } else { !text.is_empty() };
            assert!(!reads && type_of(children) != "other", "{tag} is there");
        }
        Err(EventError::Malformed(_)) => assert!(
            has(children, "InfoType") || has(children, "AppId") && !has(children, "ToUserName"),
            "an Official Account's push is malformed"
        ),
        Err(error) => panic!("{error}"),
    }
}

/// Less whether it was repaired: written anew, most of it is clean.
fn published(incoming: &Event<'_>) -> Map<String, serde_json::Value> {
    let serde_json::Value::Object(mut published) = json(&record(incoming)) else { panic!("the value is an object") };
    published.remove("text_repaired");
    published
}

/// What is published of a document made again of these children.
fn reread<'c, 'd: 'c>(
    children: impl IntoIterator<Item = &'c Child<'d>>,
) -> Result<Map<String, serde_json::Value>, EventError> {
    let xml = compose(children);
    let message = in_clear(xml.as_bytes()).expect("what was composed opens");
    received(&message).map(|incoming| published(&incoming))
}

/// Contract §1.1.
fn type_of(children: &[Child<'_>]) -> &'static str {
    let event = first(children, "Event").unwrap_or_default().to_ascii_lowercase();
    let known = EventType::of_name(&event).filter(|known| known.wechat_event() == Some(event.as_str()));
    match known {
        Some(known) => known.as_str(),
        None if has(children, "CardId") || has(children, "UserCardCode") || event.contains("card") => "card.unknown",
        None => "other",
    }
}

fn has(children: &[Child<'_>], tag: &str) -> bool {
    children.iter().any(|child| child.tag.eq_ignore_ascii_case(tag))
}

/// The first text of this tag, trimmed.
fn first<'c>(children: &'c [Child<'_>], tag: &str) -> Option<&'c str> {
    children.iter().filter(|child| child.tag.eq_ignore_ascii_case(tag)).find_map(|child| match &child.value {
        Value::Text(text) => Some(text.trim_matches(BLANKS)),
        Value::Elements(_) => None,
    })
}
