//! A record's headers, in one buffer and in the form in which the spool keeps them: per header, a length and a name, a
//! length and a value. Made once, they are stored and sent without another copy.
//!
//! Does not depend on what a header means.

use std::{
    fmt::{self, Display},
    io::Write as _,
};

/// Bytes of a length: 32 bits, little-endian.
const LENGTH: usize = size_of::<u32>();
/// More than those of any card event have, so that the buffer is allocated once.
const USUAL_BYTES: usize = 512;

/// Names and values in the order they are sent. Values are UTF-8 here; Kafka carries bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers(Vec<u8>);

impl Headers {
    /// None yet, with room for the usual ones.
    #[must_use]
    pub fn new() -> Self {
        Self(Vec::with_capacity(USUAL_BYTES))
    }

    /// Adds a header at the end. A part of 4 GiB is not representable; nothing that is received is so long.
    pub fn push(&mut self, name: &str, value: &str) {
        self.push_joined(name, &[value]);
    }

    /// Adds a header whose value is these pieces together.
    pub(super) fn push_joined(&mut self, name: &str, value: &[&str]) {
        for part in [&[name], value] {
            let length = part.iter().map(|piece| piece.len()).sum::<usize>();
            self.0.extend_from_slice(&length_bytes(length));
            for piece in part {
                self.0.extend_from_slice(piece.as_bytes());
            }
        }
    }

    /// Adds a header whose value is this as text.
    pub(super) fn push_shown(&mut self, name: &str, value: impl Display) {
        self.push(name, "");
        let start = self.0.len();
        // Writing into a buffer does not fail.
        let _ = write!(self.0, "{value}");
        let length = length_bytes(self.0.len() - start);
        if let Some((_, place)) = self.0.get_mut(..start).and_then(<[u8]>::split_last_chunk_mut) {
            *place = length;
        }
    }

    /// Reads what [`as_bytes`](Self::as_bytes) gave; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            take(&mut rest)?;
            take(&mut rest)?;
        }
        Some(Self(bytes))
    }

    /// The buffer.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || Some((take(&mut rest)?, take(&mut rest)?)))
    }

    /// The first value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(headers: I) -> Self {
        headers.into_iter().fold(Self::new(), |mut all, (name, value)| {
            all.push(name, value);
            all
        })
    }
}

/// Shows names only: values can be personal.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

fn length_bytes(length: usize) -> [u8; LENGTH] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    let (part, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *bytes = rest;
    std::str::from_utf8(part).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_as_they_went_in() {
        let mut headers = Headers::new();
        headers.push_joined("ce_id", &["0", "1"]);
        headers.push_shown("ce_time", 23);
        headers.push("dlq_query", "");
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("ce_id", "01"), ("ce_time", "23"), ("dlq_query", "")]);
        assert_eq!((headers.get("ce_id"), headers.get("ce_type")), (Some("01"), None));
        assert_eq!(Headers::from_bytes(headers.as_bytes().to_vec()), Some(headers));
    }

    #[test]
    fn torn_headers_do_not_read() {
        let mut headers = Headers::new();
        headers.push("ce_id", "1");
        for cut in 1..headers.as_bytes().len() {
            assert_eq!(Headers::from_bytes(headers.as_bytes()[..cut].to_vec()), None, "cut at {cut}");
        }
        assert_eq!(Headers::from_bytes(vec![1, 0, 0, 0, 0xff, 0, 0, 0, 0]), None, "not UTF-8");
    }

    #[test]
    fn debug_shows_no_values() {
        let mut headers = Headers::new();
        headers.push("dlq_query", "openid=oSomebody");
        assert_eq!(format!("{headers:?}"), r#"["dlq_query"]"#);
    }
}
