//! A record's headers as bytes in the spool: per header, a length and a name, a length and a value.

use std::borrow::Cow;

use crate::event::Header;

/// Lengths are 32-bit little-endian; a header of 4 GiB is not representable and not sent.
pub(super) fn encode_headers(headers: &[Header], into: &mut Vec<u8>) {
    into.clear();
    for (name, value) in headers {
        for part in [name.as_bytes(), value.as_bytes()] {
            into.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
            into.extend_from_slice(part);
        }
    }
}

/// `None` when the bytes are no headers.
pub(super) fn decode_headers(mut bytes: &[u8]) -> Option<Vec<Header>> {
    let mut headers = Vec::with_capacity(8);
    while !bytes.is_empty() {
        let name = take(&mut bytes)?;
        let value = take(&mut bytes)?;
        headers.push((Cow::Owned(name), value));
    }
    Some(headers)
}

fn take(bytes: &mut &[u8]) -> Option<String> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (part, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *bytes = rest;
    String::from_utf8(part.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_as_they_went_in() {
        let headers = vec![(Cow::Borrowed("ce_id"), "1".to_owned()), (Cow::Borrowed("dlq_query"), String::new())];
        let mut bytes = vec![9];
        encode_headers(&headers, &mut bytes);
        assert_eq!(decode_headers(&bytes), Some(headers));
    }

    #[test]
    fn torn_headers_do_not_read() {
        let mut bytes = Vec::new();
        encode_headers(&[(Cow::Borrowed("ce_id"), "1".to_owned())], &mut bytes);
        for cut in 1..bytes.len() {
            assert_eq!(decode_headers(&bytes[..cut]), None, "cut at {cut}");
        }
    }
}
