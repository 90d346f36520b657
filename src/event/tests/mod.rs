//! Tests of the whole module; the helpers here make documents without XML.

mod encodings;
mod fixtures;
mod odd_text;
mod publishing;
mod reading;
mod schemas;

use super::{CardEvent, Event, EventError, OtherMessage, Receipt, read::read_document};
use crate::protocol::{Child, Document, Value};

pub(super) const RECEIPT: Receipt<'_> =
    Receipt { account: "shop", account_id: None, received_at_ms: 1_472_552_643_045 };

pub(super) fn text<'a>(tag: &'a str, value: &'a str) -> Child<'a> {
    Child { tag: tag.into(), value: Value::Text(value.into()) }
}

pub(super) fn nested<'a>(tag: &'a str, inner_xml: &'a str) -> Child<'a> {
    Child { tag: tag.into(), value: Value::Elements(inner_xml.into()) }
}

pub(super) fn document<'a>(children: &[(&'a str, &'a str)]) -> Document<'a> {
    Document { children: children.iter().map(|(tag, value)| text(tag, value)).collect(), text_repaired: false }
}

/// An event of an invented user at 2016-08-30T10:24:02Z, with these children of its own.
pub(super) fn push<'a>(event: &'a str, own: &[(&'a str, &'a str)]) -> Document<'a> {
    let mut push = document(&[
        ("ToUserName", "gh_invented"),
        ("FromUserName", "oUser1"),
        ("CreateTime", "1472552642"),
        ("MsgType", "event"),
        ("Event", event),
    ]);
    push.children.extend(document(own).children);
    push
}

pub(super) fn read<'d>(document: &Document<'d>) -> Result<Event<'d>, EventError> {
    read_document(document, true, RECEIPT)
}

pub(super) fn card<'d>(document: &Document<'d>) -> CardEvent<'d> {
    match read(document) {
        Ok(Event::Card(event)) => event,
        read => panic!("no card event: {read:?}"),
    }
}

pub(super) fn other<'d>(document: &Document<'d>) -> OtherMessage<'d> {
    match read(document) {
        Ok(Event::Other(message)) => message,
        read => panic!("not another message: {read:?}"),
    }
}

/// What would stand on the topic.
pub(super) fn published(document: &Document<'_>) -> serde_json::Value {
    let record = match read(document).unwrap() {
        Event::Card(event) => event.record(),
        Event::Other(message) => message.record(),
    };
    serde_json::from_slice(&record.value).unwrap()
}
