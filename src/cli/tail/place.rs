//! Where reading begins, as the command line says it.

use crate::{cli::kafka_client::Start, clock};

/// `2h`, `30m`, or an RFC 3339 time; in Unix milliseconds.
pub(super) fn since(text: &str) -> Result<i64, String> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at.as_millisecond());
    }
    let ago: jiff::SignedDuration =
        text.parse().map_err(|_| "expected how long ago (2h, 30m) or a time (2026-08-30T10:24:02Z)")?;
    if ago.is_negative() {
        return Err("expected a duration that is not negative".to_owned());
    }
    i64::try_from(ago.as_millis())
        .ok()
        .and_then(|ago| clock::unix_millis().checked_sub(ago))
        .ok_or_else(|| "expected a shorter duration".to_owned())
}

/// `1200`: in every partition; `3:1200`: in partition 3, and nothing of the partitions that are not named.
pub(super) fn offset(text: &str) -> Result<(Option<i32>, i64), String> {
    let wrong = || "expected an offset (1200) or PARTITION:OFFSET (3:1200)".to_owned();
    let (partition, offset) = match text.split_once(':') {
        Some((partition, offset)) => (Some(partition.parse().map_err(|_| wrong())?), offset),
        None => (None, text),
    };
    let offset: i64 = offset.parse().map_err(|_| wrong())?;
    if offset < 0 || partition.is_some_and(|partition: i32| partition < 0) {
        return Err(wrong());
    }
    Ok((partition, offset))
}

/// The first of these that is given; else what arrives from now on.
pub(super) fn start(beginning: bool, since: Option<i64>, offsets: &[(Option<i32>, i64)]) -> Start {
    match since {
        _ if beginning => Start::Beginning,
        Some(at) => Start::Time(at),
        None if offsets.is_empty() => Start::Now,
        None => Start::Offsets(offsets.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_as_how_long_ago_or_as_it_is() {
        assert_eq!(since("2026-08-30T10:24:02Z"), Ok(1_788_085_442_000));
        let hour_ago = clock::unix_millis() - 3_600_000;
        assert!((since("1h").unwrap() - hour_ago).abs() < 10_000);
        for wrong in ["yesterday", "-2h", "", "2"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_offset_is_for_all_partitions_or_for_one() {
        assert_eq!(offset("1200"), Ok((None, 1200)));
        assert_eq!(offset("3:0"), Ok((Some(3), 0)));
        for wrong in ["", "-1", "3:", ":7", "a:1", "-3:1"] {
            assert!(offset(wrong).is_err(), "{wrong}");
        }
    }
}
