//! The two listeners: public callbacks, and admin (health, metrics).
//!
//! The one place that maps errors to HTTP. It refuses to know Kafka and SQLite.
