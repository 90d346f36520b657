//! cardhook receives the card events (卡券) that WeChat pushes to an Official Account's server URL and publishes
//! them to Kafka, so that none is lost, doubled or forged.
//!
//! # As a library
//!
//! Without the default feature `server` the crate is [`protocol`] and [`event`], without HTTP, SQLite and librdkafka:
//!
//! ```toml
//! cardhook = { version = "0.1", default-features = false }
//! ```
//!
//! A consumer reads each record's value and headers with [`event::Event::from_record`], whatever `kafka.format` is.
//!
//! # The way of an event
//!
//! ```text
//! WeChat ─HTTP─▶ Callback ─verify─▶ VerifiedPush ─open─▶ Message ─parse─▶ CardEvent ─encode─▶ Record
//!                                                                                               │
//!         "success" ◀── answered when safe (delivery.answer_after) ◀──────── coordinator ◀──────┘
//!                                                            in order, at once ──▶ Kafka ──ack──▶ │
//!                                       what waits or cannot be sent ──▶ spool (fsync) ──report──▶┘
//! ```
//!
//! # Where to find it
//!
//! | folder | what lives there | may import |
//! |---|---|---|
//! | [`protocol`] | WeChat's wire protocol, pure: query, signature, cipher, XML | nothing of ours |
//! | [`event`] | the domain: event types, identity, Kafka record, schema | `protocol` |
//! | [`delivery`] | one coordinator; spool (SQLite), producers (Kafka), acknowledgement | `event` |
//! | [`unverified`] | pushes that failed verification, kept for a while | nothing of ours |
//! | [`http`] | the public callback listener, the admin listener | `protocol`, `event`, `delivery`, `unverified` |
//! | [`wechat_api`] | WeChat's own API: tokens, card calls, signatures, where callbacks come from | nothing of ours |
//! | [`schema_registry`] | registers the Avro schema | nothing of ours |
//! | [`config`] | file, environment and flags into one validated `Config` | `protocol`, `wechat_api` (their newtypes) |
//! | [`app`] | wires the parts together, starts and stops them | everything |
//! | [`cli`] | one file per command | everything |
//!
//! [`clock`], [`metrics`] and [`telemetry`] are used from everywhere but `protocol`.

#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod clock;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod delivery;
pub mod event;
#[cfg(feature = "server")]
pub mod http;
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
