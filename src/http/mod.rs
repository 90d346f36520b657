//! The two listeners: public callbacks, and admin (health, metrics).
//!
//! `answer` is the one place that maps errors to HTTP. The decision about a push is pure (`receive`); reading the body,
//! handing over to the delivery and counting stand around it ([`public`]). Does not depend on Kafka and SQLite.

pub mod admin;
mod answer;
mod connection;
mod endpoints;
mod observe;
pub mod public;
mod receive;
mod refusal;
mod source;
mod upstream;

pub use endpoints::Endpoints;
pub use receive::{Account, Other};
pub use source::{Published, Sources};
pub use upstream::{OnFailure, Upstream, UpstreamSettings};

#[cfg(test)]
mod tests;
