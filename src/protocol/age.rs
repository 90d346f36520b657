//! How old a callback is, by the `timestamp` in its query.
//!
//! Does not depend on a clock: the time of receipt is an argument.

use std::time::Duration;

/// WeChat's clock may be this much ahead of ours.
const AHEAD_S: i64 = 5 * 60;

/// What `max_age` makes of a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Neither too old nor from the future.
    Fits,
    /// Older than `max_age`, by what it is older than the time of receipt; `None`: it is no number, which counts as too old.
    Stale(Option<Duration>),
    /// More than 5 minutes ahead of the time of receipt, by this much.
    Ahead(Duration),
}

/// Compares a timestamp (Unix seconds, as sent) with the time of receipt (Unix milliseconds).
#[must_use]
pub fn age(timestamp: &str, max_age: Duration, received_at_ms: i64) -> Age {
    let digits = timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let Some(sent) = digits.then(|| timestamp.parse::<i64>().ok()).flatten() else { return Age::Stale(None) };
    let age = received_at_ms / 1000 - sent;
    let seconds = Duration::from_secs(age.unsigned_abs());
    if age < -AHEAD_S {
        Age::Ahead(seconds)
    } else if age > i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX) {
        Age::Stale(Some(seconds))
    } else {
        Age::Fits
    }
}
