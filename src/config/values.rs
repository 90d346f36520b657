//! Values by their type: texts, lists, durations, sizes, addresses. Each error says what a value is not, to stand behind it.
//!
//! Does not depend on which key has which type.

use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

use super::raw::Value;

/// Units of durations, the largest first, in milliseconds.
const DURATION_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// Units of sizes, the largest first, in bytes.
const SIZE_UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// What every sum of times can hold.
pub(super) const ANY_DURATION: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(24 * 366);
/// Below the least no traffic fits; beyond the most SQLite cannot count.
pub(super) const STORE_SIZES: RangeInclusive<u64> = 64 << 10..=1 << 50;

/// A text that is not empty.
pub(super) fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Text(text) | Value::Untyped(text) if !text.is_empty() => Ok(text.clone()),
        Value::Text(_) | Value::Untyped(_) => Err("is empty".into()),
        Value::Integer(_) | Value::Boolean(_) | Value::List(_) | Value::Other(_) => Err("is no text".into()),
    }
}

/// `true` or `false`.
pub(super) fn boolean(value: &Value) -> Result<bool, String> {
    match value {
        Value::Boolean(truth) => Ok(*truth),
        Value::Untyped(text) if text == "true" => Ok(true),
        Value::Untyped(text) if text == "false" => Ok(false),
        _ => Err("is neither true nor false".into()),
    }
}

/// A list of texts: an array in the file, separated by commas elsewhere; nothing at all is an empty list.
pub(super) fn list(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::List(items) => {
            let item = |item: &Value| match item {
                Value::Text(text) | Value::Untyped(text) => Ok(text.clone()),
                Value::Integer(_) | Value::Boolean(_) | Value::List(_) | Value::Other(_) => {
                    Err("of other things than texts".to_owned())
                }
            };
            items.iter().map(item).collect()
        }
        Value::Untyped(text) if text.trim().is_empty() => Ok(Vec::new()),
        Value::Untyped(text) => Ok(text.split(',').map(|item| item.trim().to_owned()).collect()),
        _ => Err("is no list".into()),
    }
}

/// `ip:port`.
pub(super) fn address(value: &Value) -> Result<SocketAddr, String> {
    text(value)?.parse().map_err(|_| "is no IP address with a port".into())
}

/// One of a closed set, by its name.
pub(super) fn one_of<T: Copy>(choices: &[(&str, T)]) -> impl FnOnce(&Value) -> Result<T, String> {
    move |value| {
        let text = text(value)?;
        let choice = choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice);
        choice.ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
            format!("is not one of {}", names.join(", "))
        })
    }
}

/// `"500ms"`, `"2s"`, `"5m"`, `"48h"`, within limits.
pub(super) fn duration(limits: RangeInclusive<Duration>) -> impl FnOnce(&Value) -> Result<Duration, String> {
    move |value| {
        let text = text(value)?;
        let milliseconds =
            with_unit(&text, &DURATION_UNITS).ok_or("is no duration such as \"2s\", \"5m\" or \"48h\"")?;
        within(Duration::from_millis(milliseconds), &limits, show_duration)
    }
}

/// Bytes as a number, or `"8GiB"`, within limits.
pub(super) fn size(limits: RangeInclusive<u64>) -> impl FnOnce(&Value) -> Result<u64, String> {
    move |value| {
        let bytes = match value {
            Value::Integer(bytes) => u64::try_from(*bytes).ok(),
            Value::Text(text) | Value::Untyped(text) => text.parse().ok().or_else(|| with_unit(text, &SIZE_UNITS)),
            Value::Boolean(_) | Value::List(_) | Value::Other(_) => None,
        };
        within(bytes.ok_or("is no size such as 65536 or \"8GiB\"")?, &limits, show_size)
    }
}

/// A whole number without a unit, within limits.
pub(super) fn count(limits: RangeInclusive<usize>) -> impl FnOnce(&Value) -> Result<usize, String> {
    move |value| {
        let number = match value {
            Value::Integer(number) => usize::try_from(*number).ok(),
            Value::Untyped(text) => text.parse().ok(),
            Value::Text(_) | Value::Boolean(_) | Value::List(_) | Value::Other(_) => None,
        };
        within(number.ok_or("is no whole number")?, &limits, |number| number.to_string())
    }
}

fn within<T: PartialOrd + Copy>(value: T, limits: &RangeInclusive<T>, show: fn(T) -> String) -> Result<T, String> {
    if limits.contains(&value) {
        Ok(value)
    } else {
        Err(format!("lies outside {} to {}", show(*limits.start()), show(*limits.end())))
    }
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// As [`duration`] reads it, in the largest unit that keeps it whole.
pub(super) fn show_duration(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show(milliseconds, &DURATION_UNITS).unwrap_or_else(|| format!("{milliseconds}ms"))
}

/// `http://` or `https://`, a host, and nothing behind it but a path.
pub(super) fn base_url(written: &str) -> Result<String, String> {
    let rest = written.strip_prefix("https://").or_else(|| written.strip_prefix("http://"));
    let legal = |byte: u8| byte.is_ascii_graphic() && !b"?#@".contains(&byte);
    match rest {
        Some(host) if !host.is_empty() && !host.starts_with('/') && host.bytes().all(legal) => {
            Ok(written.trim_end_matches('/').to_owned())
        }
        _ => Err("is no http:// or https:// address without a user, a query and a fragment".into()),
    }
}

/// As [`size`] reads it, in the largest unit that keeps it whole.
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, &SIZE_UNITS).unwrap_or_else(|| bytes.to_string())
}

fn show(value: u64, units: &[(&str, u64)]) -> Option<String> {
    let (name, factor) = units.iter().find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor))?;
    Some(format!("{}{name}", value / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_duration(text: &str) -> Result<Duration, String> {
        duration(Duration::ZERO..=Duration::from_hours(1000))(&Value::Text(text.into()))
    }

    fn read_size(value: &Value) -> Result<u64, String> {
        size(0..=u64::MAX)(value)
    }

    #[test]
    fn durations_are_a_whole_number_and_a_unit() {
        for (text, milliseconds) in [("500ms", 500), ("2s", 2000), ("5m", 300_000), ("48h", 172_800_000), ("0s", 0)] {
            assert_eq!(read_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "2", "s", "-2s", "2 s", "2S", "1.5s", "2d", "99999999999999999999s", "9999999999999999h"] {
            assert!(read_duration(text).is_err(), "{text}");
        }
        assert!(duration(Duration::ZERO..=Duration::MAX)(&Value::Integer(2)).is_err(), "a number has no unit");
    }

    #[test]
    fn sizes_are_bytes_or_a_number_and_a_binary_unit() {
        assert_eq!(read_size(&Value::Integer(65_536)), Ok(65_536));
        for (text, bytes) in [("65536", 65_536), ("64KiB", 65_536), ("8GiB", 8 << 30), ("1MiB", 1 << 20)] {
            assert_eq!(read_size(&Value::Text(text.into())), Ok(bytes), "{text}");
        }
        for text in ["", "8GB", "8G", "-1", "1.5GiB", "99999999TiB"] {
            assert!(read_size(&Value::Text(text.into())).is_err(), "{text}");
        }
        assert!(read_size(&Value::Integer(-1)).is_err());
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["500ms", "2s", "5m", "48h", "90s"] {
            assert_eq!(read_duration(text).map(show_duration).as_deref(), Ok(text));
        }
        for text in ["8GiB", "1000", "64KiB", "0"] {
            assert_eq!(read_size(&Value::Text(text.into())).map(show_size).as_deref(), Ok(text));
        }
    }

    #[test]
    fn text_of_the_environment_is_read_by_the_type_and_never_guessed() {
        let untyped = |text: &str| Value::Untyped(text.into());
        assert_eq!(text(&untyped("00123")).as_deref(), Ok("00123"));
        assert_eq!(text(&untyped("true")).as_deref(), Ok("true"));
        assert_eq!(boolean(&untyped("true")), Ok(true));
        assert_eq!(list(&untyped("a:1, b:2")), Ok(vec!["a:1".to_owned(), "b:2".to_owned()]));
        assert_eq!(list(&untyped("")), Ok(Vec::new()));
        assert!(boolean(&Value::Text("true".into())).is_err(), "in the file a boolean has no quotes");
        assert!(list(&Value::Text("a:1".into())).is_err(), "in the file a list has brackets");
    }
}
