//! A record's value in one of three encodings (`kafka.format`), and back into a typed event.
//!
//! A record is JSON until it is sent: the spool does not depend on the encoding, and a change of it needs no empty spool.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    CardEvent, Event, EventType, Headers, OtherMessage, Record,
    avro::{self, AvroError},
};

const CONTENT_TYPE: &str = "content-type";
const JSON: &str = "application/json";
const CLOUD_EVENTS: &str = "application/cloudevents+json";
const AVRO: &str = "application/avro";

/// The first byte of a value in a registry's framing; four bytes of the schema's id follow, the highest first.
const MAGIC: u8 = 0;
/// Bytes of a framing.
const FRAMING: usize = 5;

/// How values are written.
#[derive(Debug, Clone, Default)]
pub enum Encoding {
    /// The event's JSON; CloudEvents attributes in the headers (binary mode).
    #[default]
    Json,
    /// One CloudEvents JSON document (structured mode).
    CloudEvents,
    /// Avro in a schema registry's framing; CloudEvents attributes in the headers.
    Avro(SchemaId),
}

/// The id that a schema registry gives the Avro schema: unknown until the registry has answered once. Clones share it.
#[derive(Debug, Clone)]
pub struct SchemaId(Arc<AtomicU64>);

/// Above every id, which has 32 bits.
const NO_ID: u64 = u64::MAX;

impl Default for SchemaId {
    fn default() -> Self {
        Self(Arc::new(NO_ID.into()))
    }
}

impl SchemaId {
    /// Records are sent under this id from now on.
    pub fn set(&self, id: u32) {
        self.0.store(id.into(), Ordering::Relaxed);
    }

    /// The id, once it is known.
    #[must_use]
    pub fn get(&self) -> Option<u32> {
        u32::try_from(self.0.load(Ordering::Relaxed)).ok()
    }
}

/// Why a record was not encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The registry has not given the schema's id yet: try again later.
    #[error("the schema registry has not given the schema's id yet")]
    NoSchemaId,
    /// The record's value is not an event's JSON.
    #[error("the value is not the JSON of an event")]
    NotAnEvent,
}

impl Encoding {
    /// The record as it is sent.
    ///
    /// # Errors
    /// When the schema's id is not known yet, or the value is not an event's JSON.
    pub fn encode<'r>(&self, record: &'r Record) -> Result<Cow<'r, Record>, EncodeError> {
        match self {
            Self::Json => Ok(Cow::Borrowed(record)),
            Self::CloudEvents => Ok(Cow::Owned(structured(record))),
            Self::Avro(id) => framed(record, id.get().ok_or(EncodeError::NoSchemaId)?).map(Cow::Owned),
        }
    }
}

/// The attributes from the headers `ce_…`, and the value as `data`. Other headers stay.
fn structured(record: &Record) -> Record {
    let mut headers = Headers::new();
    headers.push(CONTENT_TYPE, CLOUD_EVENTS);
    let mut document = Map::new();
    for (name, value) in record.headers.iter() {
        match name.strip_prefix("ce_") {
            Some(attribute) => drop(document.insert(attribute.to_owned(), value.into())),
            None if name == CONTENT_TYPE => drop(document.insert("datacontenttype".to_owned(), value.into())),
            None => headers.push(name, value),
        }
    }
    // The value is JSON already: it goes in as it is, behind the attributes.
    let mut value = Value::Object(document).to_string().into_bytes();
    value.pop();
    value.extend_from_slice(br#","data":"#);
    value.extend_from_slice(&record.value);
    value.push(b'}');
    Record { key: record.key.clone(), timestamp_ms: record.timestamp_ms, headers, value: value.into() }
}

fn framed(record: &Record, id: u32) -> Result<Record, EncodeError> {
    let event: Map<String, Value> = serde_json::from_slice(&record.value).map_err(|_| EncodeError::NotAnEvent)?;
    let mut value = Vec::with_capacity(record.value.len());
    value.push(MAGIC);
    value.extend_from_slice(&id.to_be_bytes());
    avro::write(&event, &mut value).map_err(|_| EncodeError::NotAnEvent)?;
    let headers =
        record.headers.iter().map(|(name, value)| (name, if name == CONTENT_TYPE { AVRO } else { value })).collect();
    Ok(Record { key: record.key.clone(), timestamp_ms: record.timestamp_ms, headers, value: value.into() })
}

/// Why a record is no event. Shows nothing of the value but the name of a type.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The record is a quarantined push of the dead letter topic.
    #[error("the record is a dead letter, its value the push as received: read its headers dlq_…")]
    DeadLetter,
    /// The value is empty.
    #[error("the record has no value")]
    Empty,
    /// The content type is none that cardhook writes.
    #[error("content-type {0:?} is none of {JSON}, {CLOUD_EVENTS} and {AVRO}")]
    ContentType(String),
    /// The value is not JSON.
    #[error("the value is not JSON: line {line}, column {column}")]
    NotJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// The value has no field `event_type`.
    #[error("the value has no event_type: it is not an event of cardhook")]
    NoType,
    /// A type that this release does not know: skip it, or update.
    #[error("the event_type {0:?} is newer than this release of cardhook")]
    NewType(String),
    /// A field is missing or of another type than the event's schema says.
    #[error("a field of {0} is missing, or not of its type")]
    Field(String),
    /// The value has a registry's framing, and what follows is not read.
    #[error(transparent)]
    Avro(#[from] AvroError),
}

impl Event<'static> {
    /// The event of a Kafka record, in whichever of the three encodings `kafka.format` chose. Without a header
    /// `content-type` the value's beginning tells.
    ///
    /// Avro is read without a schema registry: cardhook's schema only grows at its end.
    ///
    /// # Errors
    /// When the record is a dead letter, or not of cardhook, or of a type newer than this release.
    ///
    /// # Examples
    /// ```
    /// use cardhook::event::{Event, Fields};
    ///
    /// let value = br#"{
    ///     "event_id": "5ba5e5ce-97aa-5f3c-a0a2-2e4a3c1f6b10", "event_type": "card.viewed",
    ///     "wechat_event": "user_view_card", "event_time": "2026-01-01T00:00:00Z", "event_time_ms": 1767225600000,
    ///     "received_at": "2026-01-01T00:00:00.345Z", "account": "shop", "account_id": "gh_invented0001",
    ///     "openid": "oInventedUser000000000000001", "body_authenticated": true, "text_repaired": false,
    ///     "card_id": "pInventedCard0000000000000001", "code": "072000000001", "outer_str": "spring_poster", "extra": {}
    /// }"#;
    /// let headers: [(&str, &[u8]); 1] = [("content-type", b"application/json")];
    /// match Event::from_record(value, headers)? {
    ///     Event::Card(event) => {
    ///         let Fields::Viewed(viewed) = event.fields() else { panic!("another type") };
    ///         assert_eq!(viewed.outer_str.as_deref(), Some("spring_poster"));
    ///         assert_eq!(event.openid().as_str(), "oInventedUser000000000000001");
    ///     }
    ///     Event::Other(_) => panic!("a message"),
    /// }
    /// # Ok::<(), cardhook::event::RecordError>(())
    /// ```
    pub fn from_record<'h>(
        value: &[u8],
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    ) -> Result<Self, RecordError> {
        Self::from_json(record_json(value, headers)?)
    }

    fn from_json(event: Value) -> Result<Self, RecordError> {
        let name = event.get("event_type").and_then(Value::as_str).ok_or(RecordError::NoType)?.to_owned();
        let read = if name == OtherMessage::EVENT_TYPE {
            OtherMessage::deserialize(event).map(Self::Other)
        } else if EventType::ALL.iter().any(|known| known.as_str() == name) {
            CardEvent::try_from(event).map(Self::Card)
        } else {
            return Err(RecordError::NewType(name));
        };
        // Not serde's text: it would show the value.
        read.map_err(|_| RecordError::Field(name))
    }
}

/// A record's value as the event's flat JSON, whichever encoding it has, with the fields that this release does not know.
///
/// # Errors
/// As [`Event::from_record`], less what only a typed event asks for.
pub fn record_json<'h>(
    value: &[u8],
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
) -> Result<Value, RecordError> {
    let mut content_type = None;
    for (name, value) in headers {
        if name == "dlq_reason" {
            return Err(RecordError::DeadLetter);
        }
        if name == CONTENT_TYPE {
            content_type = Some(String::from_utf8_lossy(value));
        }
    }
    if let Some(written) = content_type {
        let media_type = written.split(';').next().unwrap_or_default().trim();
        if ![JSON, CLOUD_EVENTS, AVRO].iter().any(|known| known.eq_ignore_ascii_case(media_type)) {
            return Err(RecordError::ContentType(media_type.to_owned()));
        }
    }
    match value.split_at_checked(FRAMING) {
        _ if value.is_empty() => Err(RecordError::Empty),
        // No JSON begins with a zero byte.
        Some(([MAGIC, ..], datum)) => Ok(Value::Object(avro::read(datum)?)),
        _ => json(value),
    }
}

fn json(value: &[u8]) -> Result<Value, RecordError> {
    let mut document: Value = serde_json::from_slice(value)
        .map_err(|error| RecordError::NotJson { line: error.line(), column: error.column() })?;
    // No event has a field of this name; every CloudEvents document has one.
    if document.get("specversion").is_some() {
        return document.get_mut("data").map(Value::take).ok_or(RecordError::NoType);
    }
    Ok(document)
}
