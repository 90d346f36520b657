//! Points in time as the contract writes them: RFC 3339 in UTC, of whole seconds or of milliseconds.
//!
//! Civil dates reach to the last second of 9999, which jiff's timestamps do not. Knows no clock.

use std::{
    borrow::Cow,
    fmt::{Display, Formatter},
    str::FromStr,
};

use jiff::{SignedDuration, civil::DateTime};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
const LAST_SECOND: i64 = 253_402_300_799;

/// A second between 1970 and 9999, written `2016-08-30T10:24:02Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UtcSeconds(i64);

/// A millisecond between 1970 and 9999, written `2016-08-30T10:24:02.345Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UtcMillis(i64);

impl UtcSeconds {
    /// Takes Unix seconds from 0 to 253402300799.
    #[must_use]
    pub fn new(seconds: i64) -> Option<Self> {
        (0..=LAST_SECOND).contains(&seconds).then_some(Self(seconds))
    }

    /// Unix seconds.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0
    }

    /// Unix milliseconds.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0 * 1000
    }
}

impl UtcMillis {
    /// Takes Unix milliseconds; what lies outside 1970 to 9999 becomes the nearer end, so that a broken clock loses no event.
    #[must_use]
    pub fn clamped(millis: i64) -> Self {
        Self(millis.clamp(0, LAST_SECOND * 1000 + 999))
    }

    /// Unix milliseconds.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0
    }
}

impl Display for UtcSeconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let civil = EPOCH.checked_add(SignedDuration::from_secs(self.0)).map_err(|_| std::fmt::Error)?;
        write!(f, "{civil}Z")
    }
}

impl Display for UtcMillis {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let civil = EPOCH.checked_add(SignedDuration::from_millis(self.0)).map_err(|_| std::fmt::Error)?;
        write!(f, "{civil:.3}Z")
    }
}

/// A text that is no time between 1970 and 9999 in this contract's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time in UTC")]
pub struct NotATime;

/// Time since the epoch of `…T…Z`.
fn since_epoch(text: &str) -> Result<SignedDuration, NotATime> {
    let civil: DateTime = text.strip_suffix('Z').and_then(|civil| civil.parse().ok()).ok_or(NotATime)?;
    Ok(civil.duration_since(EPOCH))
}

impl FromStr for UtcSeconds {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        Self::new(since_epoch(text)?.as_secs()).ok_or(NotATime)
    }
}

impl FromStr for UtcMillis {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let millis = i64::try_from(since_epoch(text)?.as_millis()).map_err(|_| NotATime)?;
        if millis < 0 { Err(NotATime) } else { Ok(Self(millis)) }
    }
}

macro_rules! json_as_text {
    ($($Time:ident),+) => {$(
        impl Serialize for $Time {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $Time {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $Time {
            fn schema_name() -> Cow<'static, str> {
                stringify!($Time).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": "date-time" })
            }
        }
    )+};
}

json_as_text!(UtcSeconds, UtcMillis);

#[cfg(test)]
mod tests {
    use super::*;

    fn written(seconds: i64) -> String {
        UtcSeconds::new(seconds).unwrap().to_string()
    }

    #[test]
    fn seconds_are_written_from_1970_to_the_end_of_9999() {
        assert_eq!(written(0), "1970-01-01T00:00:00Z");
        assert_eq!(written(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(written(1_472_552_642), "2016-08-30T10:24:02Z");
        assert_eq!(written(LAST_SECOND), "9999-12-31T23:59:59Z");
        assert_eq!(UtcSeconds::new(-1), None);
        assert_eq!(UtcSeconds::new(LAST_SECOND + 1), None);
    }

    #[test]
    fn milliseconds_always_have_three_digits() {
        assert_eq!(UtcMillis::clamped(1_472_552_642_000).to_string(), "2016-08-30T10:24:02.000Z");
        assert_eq!(UtcMillis::clamped(1_472_552_642_045).to_string(), "2016-08-30T10:24:02.045Z");
        assert_eq!(UtcMillis::clamped(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(UtcMillis::clamped(i64::MIN).to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn what_is_written_reads_back() {
        for seconds in [0, 1, 1_472_552_642, LAST_SECOND] {
            assert_eq!(written(seconds).parse(), UtcSeconds::new(seconds).ok_or(NotATime));
        }
        let millis = UtcMillis::clamped(1_472_552_642_045);
        assert_eq!(millis.to_string().parse(), Ok(millis));
        assert_eq!("2016-08-30T10:24:02".parse::<UtcSeconds>(), Err(NotATime));
        assert_eq!("1969-12-31T23:59:59Z".parse::<UtcSeconds>(), Err(NotATime));
    }
}
