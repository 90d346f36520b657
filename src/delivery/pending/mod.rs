//! What is pending, and what is known: the delivery's decisions, as pure code.
//!
//! `record` has the states of one record and the promise as a table, `lane` one topic's records in their order, `resend` what
//! a failure means for them, `presence` whether Kafka answers, `memory` the ids that are known, `step` what goes in and out.
//! Does not depend on I/O, clocks, SQLite or Kafka.

mod lane;
mod memory;
mod presence;
mod record;
mod resend;
mod step;

pub(super) use lane::Lane as Pending;
pub(super) use memory::{Due, Found, Limits, Memory};
pub(super) use record::{Seq, Verdict, acknowledged, parked};
pub(super) use resend::{Failure, Route};
pub(super) use step::{Amount, Arrival, New, Refused, Rules, Step, Waiting};

#[cfg(test)]
mod model_test;
