//! The domain: which push is which event, its fields, its identity, its Kafka record.
//!
//! Pure and synchronous. It refuses to know HTTP, the spool and the broker; the clock is an argument.

mod card_event;
mod children;
mod identity;
mod read;
mod record;
pub mod schema;
mod table;
#[cfg(test)]
mod tests;
mod time;
mod value;

pub use card_event::{CardEvent, Incoming, OtherMessage};
pub use children::{Extra, ExtraValue};
pub use identity::EventId;
pub use read::{EventError, Receipt, read};
pub use record::{Header, Quarantine, Record};
pub use table::{
    Activated, Approved, CoinOrder, Consumed, Deleted, EventType, Fields, GiftAccepted, GiftPaid, GiftSent, Gifted,
    MerchantChecked, Paid, Received, Rejected, SessionEntered, StockLow, Unknown, Updated, Viewed,
};
pub use time::{NotATime, UtcMillis, UtcSeconds};
pub use value::{CardCode, CardId, ConsumeSource, Masked, OpenId, OrderTime, UnionId};
