//! The integration tests: what a stranger sees of cardhook.

mod vectors;
