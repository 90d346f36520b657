//! The JSON Schema of everything that is published, and an example of each type, generated from the types.
//!
//! `schemas/` holds both; a test fails when they drift.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};

use super::{
    Event, EventType, OtherMessage, Receipt,
    card_event::Common,
    children::Extra,
    read::{EventError, read_document},
    record::data_schema,
};
use crate::protocol::{self, Child, Document};

/// The JSON Schema (2020-12) of contract §1.2 and §3.3: one definition per `event_type`.
#[must_use]
pub fn schema() -> Value {
    // Each definition has an `$id`, so a reference in it could not reach the others: nothing may be shared.
    let inline = |settings: &mut SchemaSettings| settings.inline_subschemas = true;
    let mut generator = SchemaSettings::draft2020_12().with(inline).for_serialize().into_generator();
    let mut definitions: Map<String, Value> =
        EventType::ALL.iter().map(|row| (row.as_str().to_owned(), card_event(*row, &mut generator))).collect();
    let other = OtherMessage::json_schema(&mut generator);
    let description = other.get("description").cloned();
    definitions.insert(
        OtherMessage::EVENT_TYPE.to_owned(),
        definition(OtherMessage::EVENT_TYPE, description.as_ref(), &[other]),
    );
    let references: Vec<Value> = definitions.keys().map(|name| json!({ "$ref": data_schema(name).concat() })).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:cardhook:events:v1",
        "title": "cardhook events, v1",
        "description": "The values of cardhook's Kafka records. Within v1 fields are only added: ignore unknown ones.",
        "oneOf": references,
        "$defs": definitions,
    })
}

fn card_event(event_type: EventType, generator: &mut SchemaGenerator) -> Value {
    let own = event_type.fields_schema(generator);
    let extra = json_schema!({ "properties": { "extra": Extra::json_schema(generator) }, "required": ["extra"] });
    let description = own.get("description").cloned();
    definition(event_type.as_str(), description.as_ref(), &[Common::json_schema(generator), own, extra])
}

/// One object with the properties of all parts.
fn definition(event_type: &str, description: Option<&Value>, parts: &[Schema]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for part in parts {
        properties.extend(part.get("properties").and_then(Value::as_object).cloned().unwrap_or_default());
        required.extend(part.get("required").and_then(Value::as_array).cloned().unwrap_or_default());
    }
    properties
        .insert("event_type".to_owned(), json!({ "type": "string", "const": event_type, "description": "The type." }));
    json!({
        "$id": data_schema(event_type).concat(),
        "title": event_type,
        "description": description,
        "type": "object",
        "properties": properties,
        "required": required,
    })
}

/// An example of every type, by `event_type`, read from invented pushes as a real one is.
///
/// # Errors
/// Never, as long as every type's sample reads.
pub fn examples() -> Result<Vec<(&'static str, Value)>, EventError> {
    let message = &[("MsgType", "text"), ("Content", "Invented message"), ("MsgId", "20000000000000001")];
    let other = example(message).map(|example| (OtherMessage::EVENT_TYPE, example));
    let cards = EventType::ALL.iter().map(|row| {
        let mut children = vec![("MsgType", "event"), ("Event", row.wechat_event().unwrap_or("user_invented_card"))];
        children.extend(row.sample());
        if *row == EventType::Unknown {
            children.push(("InventedElement", "kept as it came"));
        }
        Ok((row.as_str(), example(&children)?))
    });
    cards.chain([other]).collect()
}

fn example(children: &[(&'static str, &'static str)]) -> Result<Value, EventError> {
    const ENVELOPE: [(&str, &str); 3] = [
        ("ToUserName", "gh_invented0001"),
        ("FromUserName", "oInventedUser000000000000001"),
        ("CreateTime", "1767225600"),
    ];
    let pairs = ENVELOPE.iter().chain(children).copied();
    let document = Document {
        children: pairs
            .map(|(tag, text)| Child { tag: tag.into(), value: protocol::Value::Text(text.into()) })
            .collect(),
        text_repaired: false,
    };
    let receipt = Receipt { account: "shop", account_id: None, received_at_ms: 1_767_225_600_345 };
    let record = match read_document(&document, true, receipt)? {
        Event::Card(event) => event.record(),
        Event::Other(message) => message.record(),
    };
    serde_json::from_slice(&record.value).map_err(|_| EventError::Malformed("not JSON"))
}
