//! The domain: which push is which event, its fields, its identity, its Kafka record.
//!
//! Pure and synchronous. It refuses to know HTTP, the spool and the broker; the clock is an argument.

mod card_event;
mod identity;
mod record;

pub use card_event::{CardEvent, EventError, Incoming, OtherMessage, Receipt, read};
pub use identity::EventId;
pub use record::{Header, Quarantine, Record};
