//! The domain: which push is which event, its fields, its identity, its Kafka record.
//!
//! Pure and synchronous. Does not depend on HTTP, the spool and the broker; the clock is an argument.

mod asyncapi;
mod avro;
mod card_event;
mod children;
mod encoding;
mod headers;
mod identity;
mod read;
mod record;
pub mod schema;
pub mod table;
#[cfg(test)]
mod tests;
mod time;
mod value;

pub use asyncapi::asyncapi;
pub use avro::{AvroError, avro_schema};
pub use card_event::{CardEvent, Event, OtherMessage};
pub use children::{Extra, ExtraValue};
pub use encoding::{EncodeError, Encoding, RecordError, SchemaId, record_json};
pub use headers::Headers;
pub use identity::EventId;
pub use read::{EventError, Receipt, read};
pub use record::{Quarantine, Record, largest_record, timestamp};
pub use table::{EventType, Fields};
pub use time::{NotATime, UtcMillis, UtcSeconds};
pub use value::{CardCode, CardId, ConsumeSource, OpenId, OrderTime, UnionId};
