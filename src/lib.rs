//! cardhook receives the card events (卡券) that WeChat pushes to an Official Account's server URL and publishes
//! them to Kafka, so that none is lost, doubled or forged.
//!
//! # The way of an event
//!
//! ```text
//! WeChat ─HTTP─▶ Callback ─verify─▶ VerifiedPush ─open─▶ Message ─parse─▶ CardEvent ─encode─▶ Record
//!                                                                                               │
//!         "success" ◀── answered when safe (delivery.answer_after) ◀── Spool::append (fsync) ◀──┘
//!                                                                         │ in order
//!                                                           forwarder ──▶ Sink (Kafka) ──ack──▶ Spool::remove
//! ```
//!
//! # Where to find it
//!
//! | folder | what lives there | may import |
//! |---|---|---|
//! | [`protocol`] | WeChat's wire protocol, pure: query, signature, cipher, XML | nothing of ours |
//! | [`event`] | the domain: event types, identity, Kafka record, schema | `protocol` |
//! | [`delivery`] | spool (SQLite), forwarder, sink (Kafka), acknowledgement | `event` |
//! | [`unverified`] | pushes that failed verification, kept for a while | nothing of ours |
//! | [`http`] | the public callback listener, the admin listener | `protocol`, `event`, `delivery`, `unverified` |
//! | [`wechat_api`] | WeChat's own API: access tokens, and where callbacks come from | nothing of ours |
//! | [`config`] | file, environment and flags into one validated `Config` | `protocol`, `wechat_api` (their newtypes) |
//! | [`app`] | wires the parts together, starts and stops them | everything |
//! | [`cli`] | one file per command | everything |
//!
//! [`clock`], [`metrics`] and [`telemetry`] are used from everywhere but `protocol`.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod event;
pub mod http;
pub mod metrics;
pub mod protocol;
pub mod telemetry;
pub mod unverified;
pub mod wechat_api;
