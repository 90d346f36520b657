//! The callback's query string: WeChat's seven parameters, read strictly; everything else ignored.
//!
//! Does not depend on which parameters a request needs and what their values mean: values are opaque.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;

/// WeChat's parameters of one callback, percent-decoded. Absent ones are `None`; empty or doubled ones are errors.
///
/// A `+` stays a plus: WeChat's values hold no blanks, and the echostr must go back byte for byte.
/// Debug shows which parameters are there, not their values.
#[derive(Default, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    /// SHA-1 over token, timestamp and nonce; does not cover the body.
    pub signature: Option<Cow<'a, str>>,
    /// Unix seconds as sent; opaque.
    pub timestamp: Option<Cow<'a, str>>,
    /// Random decimal as sent; opaque.
    pub nonce: Option<Cow<'a, str>>,
    /// The sender's openid, unauthenticated.
    pub openid: Option<Cow<'a, str>>,
    /// `raw` or `aes`; not trusted for the choice of mode.
    pub encrypt_type: Option<Cow<'a, str>>,
    /// SHA-1 over token, timestamp, nonce and the ciphertext.
    pub msg_signature: Option<Cow<'a, str>>,
    /// The handshake's challenge; opaque.
    pub echostr: Option<Cow<'a, str>>,
}

/// What is wrong with a query. Carries the parameter's name, never its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A required parameter is absent.
    #[error("parameter {0} is missing")]
    Missing(&'static str),
    /// One of WeChat's parameters stands twice.
    #[error("parameter {0} stands more than once")]
    Doubled(&'static str),
    /// One of WeChat's parameters is empty.
    #[error("parameter {0} is empty")]
    Empty(&'static str),
    /// A percent-escape is broken, or the decoded bytes are not UTF-8.
    #[error("parameter {0} cannot be decoded")]
    Undecodable(&'static str),
}

impl<'a> Query<'a> {
    /// Reads the raw query string (without `?`). Names may be percent-encoded like values.
    ///
    /// # Errors
    /// When one of WeChat's seven parameters is doubled, empty or not decodable.
    pub fn parse(raw: &'a str) -> Result<Self, QueryError> {
        let mut query = Self::default();
        for pair in raw.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some((name, slot)) = decoded(name).and_then(|name| query.slot(&name)) else {
                continue;
            };
            if slot.is_some() {
                return Err(QueryError::Doubled(name));
            }
            if value.is_empty() {
                return Err(QueryError::Empty(name));
            }
            *slot = Some(decoded(value).ok_or(QueryError::Undecodable(name))?);
        }
        Ok(query)
    }

    fn slot(&mut self, name: &str) -> Option<(&'static str, &mut Option<Cow<'a, str>>)> {
        Some(match name {
            "signature" => ("signature", &mut self.signature),
            "timestamp" => ("timestamp", &mut self.timestamp),
            "nonce" => ("nonce", &mut self.nonce),
            "openid" => ("openid", &mut self.openid),
            "encrypt_type" => ("encrypt_type", &mut self.encrypt_type),
            "msg_signature" => ("msg_signature", &mut self.msg_signature),
            "echostr" => ("echostr", &mut self.echostr),
            _ => return None,
        })
    }
}

impl fmt::Debug for Query<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("signature", &self.signature.is_some())
            .field("timestamp", &self.timestamp.is_some())
            .field("nonce", &self.nonce.is_some())
            .field("openid", &self.openid.is_some())
            .field("encrypt_type", &self.encrypt_type.is_some())
            .field("msg_signature", &self.msg_signature.is_some())
            .field("echostr", &self.echostr.is_some())
            .finish()
    }
}

/// Percent-decodes; `None` when an escape is broken or the result is not UTF-8.
fn decoded(raw: &str) -> Option<Cow<'_, str>> {
    if memchr(b'%', raw.as_bytes()).is_none() {
        return Some(Cow::Borrowed(raw));
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            bytes.push(hex_value(rest.next()?)? << 4 | hex_value(rest.next()?)?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_seven_parameters_are_read_in_any_order_and_borrow() {
        let query =
            Query::parse("echostr=7&msg_signature=6&encrypt_type=5&openid=4&nonce=3&timestamp=2&signature=1").unwrap();
        let values = [
            query.signature,
            query.timestamp,
            query.nonce,
            query.openid,
            query.encrypt_type,
            query.msg_signature,
            query.echostr,
        ];
        assert_eq!(values.each_ref().map(Option::as_deref), ["1", "2", "3", "4", "5", "6", "7"].map(Some));
        assert!(values.iter().all(|value| matches!(value, Some(Cow::Borrowed(_)))));
    }

    #[test]
    fn names_and_values_are_percent_decoded_and_a_plus_stays_a_plus() {
        let query = Query::parse("%65chostr=a%2Bb+c%20%e5%8D%A1&non%63e=%3D").unwrap();
        assert_eq!(query.echostr.as_deref(), Some("a+b+c 卡"));
        assert_eq!(query.nonce.as_deref(), Some("="));
    }

    #[test]
    fn a_value_may_hold_an_equals_sign() {
        assert_eq!(Query::parse("echostr=a=b==").unwrap().echostr.as_deref(), Some("a=b=="));
    }

    #[test]
    fn each_of_the_seven_is_an_error_when_doubled_empty_or_not_decodable() {
        for name in ["signature", "timestamp", "nonce", "openid", "encrypt_type", "msg_signature", "echostr"] {
            let parse = |raw: String| Query::parse(&raw).map(|_| ());
            assert_eq!(parse(format!("{name}=1&x=2&{name}=1")), Err(QueryError::Doubled(name)));
            let escaped = format!("%{:02x}{}", name.as_bytes()[0], &name[1..]);
            assert_eq!(parse(format!("{name}=1&{escaped}=1")), Err(QueryError::Doubled(name)));
            for empty in ["", "=", "=&"] {
                assert_eq!(parse(format!("{name}{empty}")), Err(QueryError::Empty(name)));
            }
            for broken in ["%", "%4", "%zz", "a%2", "%FF", "%+1"] {
                assert_eq!(parse(format!("{name}={broken}")), Err(QueryError::Undecodable(name)), "{broken}");
            }
        }
    }

    #[test]
    fn other_parameters_are_ignored_however_they_look() {
        let raw = "user=1&user=2&bad=%zz&%zz=1&%FF&&=&empty=&Signature=x&NONCE=y&nonce=1&";
        let query = Query::parse(raw).unwrap();
        assert_eq!(query, Query { nonce: Some("1".into()), ..Query::default() });
        assert_eq!(Query::parse(""), Ok(Query::default()));
    }

    #[test]
    fn a_query_does_not_print_its_values() {
        let printed = format!("{:?}", Query::parse("openid=oPersonal&nonce=424242").unwrap());
        assert!(printed.contains("openid: true") && !printed.contains("oPersonal") && !printed.contains("424242"));
    }

    proptest! {
        #[test]
        fn no_text_panics_the_parser(raw in "\\PC*", dense in "[a-z=&%0-9]{0,40}") {
            let _ = Query::parse(&raw);
            let _ = Query::parse(&dense);
            let _ = Query::parse(&format!("nonce={raw}%"));
        }

        #[test]
        fn a_percent_encoded_value_comes_back(value in "\\PC{1,30}") {
            let encoded: Vec<String> = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let raw = format!("echostr={}", encoded.concat());
            let query = Query::parse(&raw).unwrap();
            prop_assert_eq!(query.echostr.as_deref(), Some(value.as_str()));
        }
    }
}
