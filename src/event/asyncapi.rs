//! The AsyncAPI 3 document of the topics: their keys, headers, bindings, and a message with an example for every type.
//!
//! Generated from the types, as the schemas are. The topics' names are the defaults.

use serde_json::{Map, Value, json};

use super::{
    EventError, EventType, OtherMessage,
    record::data_schema,
    schema::{examples, schema},
    table::Key,
};

/// The AsyncAPI 3.0 document.
///
/// # Errors
/// Never, as long as every type's sample reads.
pub fn asyncapi() -> Result<Value, EventError> {
    let schema = schema();
    let mut messages = Map::new();
    for (event_type, example) in examples()? {
        messages.insert(event_type.to_owned(), message(event_type, &schema["$defs"][event_type], example));
    }
    let other = OtherMessage::EVENT_TYPE;
    let events: Map<String, Value> =
        messages.keys().filter(|name| *name != other).map(|name| (name.clone(), reference(name))).collect();
    let partitions = json!({ "kafka": { "bindingVersion": "0.5.0" } });
    Ok(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "cardhook events",
            "version": "1.0.0",
            "description": "Card events of WeChat Official Accounts. Records of one key are in the order in which they were \
                received; an event can stand more than once, with the same event_id. Within v1 fields and types are only added.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": {
            "events": {
                "address": "wechat.card.events",
                "description": "Card events (kafka.topic).",
                "messages": events,
                "bindings": partitions,
            },
            "other": {
                "address": "wechat.other",
                "description": "What is no card event (kafka.other_topic), with account.other = \"publish\".",
                "messages": { other: reference(other) },
                "bindings": partitions,
            },
        },
        "operations": {
            "publishEvents": { "action": "send", "channel": { "$ref": "#/channels/events" } },
            "publishOther": { "action": "send", "channel": { "$ref": "#/channels/other" } },
        },
        "components": { "messages": messages },
    }))
}

fn reference(event_type: &str) -> Value {
    json!({ "$ref": format!("#/components/messages/{event_type}") })
}

fn message(event_type: &str, definition: &Value, example: Value) -> Value {
    let mut payload = definition.clone();
    if let Some(payload) = payload.as_object_mut() {
        // The document has its own identity.
        payload.remove("$id");
    }
    json!({
        "name": event_type,
        "title": event_type,
        "summary": definition["description"],
        "contentType": "application/json",
        "headers": headers(event_type),
        "payload": payload,
        "bindings": { "kafka": { "key": { "type": ["string", "null"], "description": key(event_type) }, "bindingVersion": "0.5.0" } },
        "examples": [{ "name": event_type, "payload": example }],
    })
}

/// CloudEvents 1.0 in Kafka's binary mode.
fn headers(event_type: &str) -> Value {
    json!({
        "type": "object",
        "properties": {
            "content-type": { "type": "string", "const": "application/json" },
            "ce_specversion": { "type": "string", "const": "1.0" },
            "ce_id": { "type": "string", "format": "uuid", "description": "event_id" },
            "ce_type": { "type": "string", "const": format!("com.qq.weixin.{event_type}.v1") },
            "ce_source": { "type": "string", "format": "uri-reference", "description": "/wechat/ and account_id" },
            "ce_time": { "type": "string", "format": "date-time", "description": "event_time" },
            "ce_subject": { "type": "string", "description": "card_id; left out when that is null" },
            "ce_dataschema": { "type": "string", "const": data_schema(event_type).concat() },
        },
        "required": ["content-type", "ce_specversion", "ce_id", "ce_type", "ce_source", "ce_dataschema"],
    })
}

fn key(event_type: &str) -> &'static str {
    let row = EventType::ALL.iter().find(|row| row.as_str() == event_type);
    match row.map(|row| row.key()) {
        Some(Key::User) | None => "openid",
        Some(Key::Card) => "card_id",
        Some(Key::Order) => "order_id",
        Some(Key::Account) => "account_id",
    }
}
