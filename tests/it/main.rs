//! Integration tests: the real binary between a simulated WeChat and a real Kafka, read back by clients that are not ours.
//!
//! `tests/run.sh` fetches what they need. Unit tests stand beside the code in `src`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "clippy allows these in test functions, and this whole crate is their support"
)]

mod abuse;
mod allow_list;
mod card;
mod causes;
mod changed_cluster;
mod check;
mod check_ways;
mod cluster;
mod configuration;
mod console;
mod crash;
mod damaged_spool;
mod delivery_faults;
mod dev;
mod duplicates;
mod events;
mod failing_disk;
mod formats;
mod full_disk;
mod fuzz_corpus;
mod http_contract;
mod init;
mod layering;
mod logs;
mod metrics;
mod modes;
mod nginx;
mod odd_text;
mod operators;
mod producer_faults;
mod promise;
mod quarantine;
mod readme;
mod refusals;
mod reload;
mod replay;
mod samples;
mod scrape;
mod secrets;
mod secured_broker;
mod send_causes;
mod shutdown;
mod spool_place;
mod spool_store;
mod support;
mod tail;
mod traces;
mod upgrade;
mod upstream;
mod vectors;
mod volume;
