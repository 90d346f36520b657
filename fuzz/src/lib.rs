//! What the fuzzers check: a module per target, each with a `check` that panics where a property does not hold.
//!
//! The same bytes give the same verdict: nothing here reads the clock or draws a number. `tests/it/fuzz_corpus.rs` runs every
//! target over its corpus, so that the targets stay true without a fuzzer at hand.

pub mod cipher;
pub mod differential;
mod document;
pub mod envelope;
pub mod event;
mod fields;
mod push;
pub mod query;
pub mod record;
pub mod spool;
