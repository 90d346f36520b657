//! What is pending, and what is known: the delivery's decisions, as pure code.
//!
//! `record` has the states of one record and the promise as a table; `lane` one topic's records in their order, with `held` (the records), `queue` (what
//! is to be sent), `window` (what is on disk only), `resend` (what a failure means) and `presence` (whether Kafka answers);
//! `memory` has the ids that are known, `step` what goes in and out.
//! Does not depend on I/O, clocks, SQLite or Kafka.

mod held;
mod lane;
mod memory;
mod presence;
mod queue;
mod record;
mod resend;
mod step;
mod window;

pub(super) use lane::Lane as Pending;
pub(super) use memory::{Due, Found, Limits, Memory};
pub(super) use record::{Seq, Verdict, acknowledged, parked};
pub(super) use resend::{Failure, Route};
pub(super) use step::{Amount, Arrival, New, Refused, Rules, Step, Waiting};
