//! cardhook receives the card events (卡券) that WeChat pushes to an Official Account's server URL and publishes
//! them to Kafka, so that none is lost, doubled or forged. The binary does that; this library is for programs that read the
//! topics, or pushes of their own.
//!
//! ```toml
//! cardhook = { version = "0.1", default-features = false }
//! ```
//!
//! Without the default feature `server` the crate is [`event`] and [`protocol`], pure and synchronous: no HTTP, no SQLite, no
//! librdkafka, no C compiler needed. It works with any Kafka client.
//!
//! # Reading the topics
//!
//! [`event::Event::from_record`] takes a record's value and headers, in each of the three encodings that `kafka.format` can
//! choose, and gives a typed event. An event can come more than once, with the same id: remember [`event::EventId`]s. A type
//! that is newer than this release is [`event::RecordError::NewType`]; [`event::record_json`] reads what all events have.
//!
//! ```
//! use std::collections::HashSet;
//!
//! use cardhook::event::{Event, EventId, Fields, RecordError};
//!
//! /// Which channel gave a user a card; `None` for what is no claim, and for one that was seen before.
//! fn channel(value: &[u8], headers: &[(&str, &[u8])], seen: &mut HashSet<EventId>) -> Result<Option<String>, RecordError> {
//!     let event = match Event::from_record(value, headers.iter().copied()) {
//!         Ok(Event::Card(event)) => event,
//!         Ok(Event::Other(_)) | Err(RecordError::NewType(_)) => return Ok(None),
//!         Err(error) => return Err(error),
//!     };
//!     Ok(match event.fields() {
//!         Fields::Received(card) if seen.insert(event.event_id()) => card.outer_str.as_deref().map(str::to_owned),
//!         _ => None,
//!     })
//! }
//!
//! let value = include_bytes!("../schemas/examples/card.received.json");
//! let mut seen = HashSet::new();
//! assert_eq!(channel(value, &[], &mut seen)?.as_deref(), Some("spring_poster"));
//! assert_eq!(channel(value, &[], &mut seen)?, None);
//! # Ok::<(), RecordError>(())
//! ```
//!
//! `examples/typed.rs` in the repository is a whole program; `deploy/consumers/rust` is one with rdkafka. The
//! [`event::schema`] module gives the JSON Schema, [`event::asyncapi`] and [`event::avro_schema`] the other two documents.
//!
//! # Reading a push
//!
//! [`protocol`] verifies and decrypts what WeChat sends, in each of its three modes, and [`event::read`] makes it an event:
//!
//! ```
//! use cardhook::{
//!     event::{Event, Receipt, read},
//!     protocol::{Callback, Credentials, Mode, Query, Token, sign},
//! };
//!
//! let token = Token::new("inventedToken");
//! let signature = sign(&token, &["1767225600", "12345"]); // WeChat does this
//! let query = format!("signature={signature}&timestamp=1767225600&nonce=12345");
//! let body = b"<xml><ToUserName>gh_invented</ToUserName><FromUserName>oInvented</FromUserName>\
//!     <CreateTime>1767225600</CreateTime><MsgType>event</MsgType><Event>user_del_card</Event>\
//!     <CardId>pInvented</CardId><UserCardCode>072000000001</UserCardCode></xml>";
//!
//! let account = Credentials {
//!     mode: Mode::Plaintext,
//!     token,
//!     previous_token: None,
//!     aes_key: None,
//!     previous_aes_key: None,
//!     app_id: None,
//! };
//! let message = Callback::new(Query::parse(&query)?, body).verify(&account)?.open(&account)?;
//! let receipt = Receipt { account: "shop", account_id: None, received_at_ms: 1_767_225_600_345 };
//! let Event::Card(event) = read(&message, receipt)? else { panic!("a message") };
//! assert_eq!(event.event_type(), "card.deleted");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `server` (default) | the service and its commands |
//! | `vendored-openssl` | builds OpenSSL from source into the binary |
#![cfg_attr(feature = "server", doc = "", doc = include_str!("map.md"))]

#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod clock;
#[cfg(feature = "server")]
mod cluster;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod console;
#[cfg(feature = "server")]
pub mod delivery;
pub mod event;
#[cfg(feature = "server")]
mod finding;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
mod mask;
#[cfg(feature = "server")]
pub mod metrics;
pub mod protocol;
#[cfg(feature = "server")]
pub mod schema_registry;
#[cfg(feature = "server")]
pub mod telemetry;
#[cfg(feature = "server")]
pub mod unverified;
#[cfg(feature = "server")]
pub mod wechat_api;
