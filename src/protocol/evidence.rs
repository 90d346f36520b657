//! What a refused push gives away about why it was refused: which of its signatures a token made, and what its body is.
//!
//! For the operator's log only: nothing here verifies a push, and nothing that it finds makes one acceptable. Does not
//! depend on the account's mode, on HTTP or on what is logged.

use std::borrow::Cow;

use super::{
    Credentials, Query,
    envelope::encrypted,
    xml::{BLANKS, Broken, Piece, Scanner},
};

/// What a body is, seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// No byte but blanks.
    Empty,
    /// It begins as XML and ends before its root element does.
    Cut,
    /// It begins as XML, and has an `Encrypt` element with text.
    Encrypted,
    /// It begins as XML, and has no `Encrypt` element, or cannot be read.
    Clear,
    /// It begins as a JSON object or array.
    Json,
    /// None of these: compressed, a form, something else.
    Unknown,
}

impl Shape {
    /// Looks at a body.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        match first_byte(body) {
            None => Self::Empty,
            Some(b'<') if encrypted(body).is_some() => Self::Encrypted,
            Some(b'<') if ends_early(body) => Self::Cut,
            Some(b'<') => Self::Clear,
            Some(b'{' | b'[') => Self::Json,
            Some(_) => Self::Unknown,
        }
    }
}

/// Whether a body is empty, or begins as XML and ends before its root element does: damaged on its way.
#[must_use]
pub fn is_damaged(body: &[u8]) -> bool {
    match first_byte(body) {
        None => true,
        Some(b'<') => ends_early(body),
        Some(_) => false,
    }
}

/// Whether a body begins as XML does: with `<`, a BOM and blanks before it allowed.
#[must_use]
pub fn begins_as_xml(body: &[u8]) -> bool {
    first_byte(body) == Some(b'<')
}

/// Whether a body begins as a JSON object or array does.
pub(super) fn begins_as_json(body: &[u8]) -> bool {
    matches!(first_byte(body), Some(b'{' | b'['))
}

/// The first byte that is neither part of a BOM nor a blank.
fn first_byte(body: &[u8]) -> Option<u8> {
    let body = body.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(body);
    body.iter().copied().find(|byte| !BLANKS.contains(&char::from(*byte)))
}

/// Whether XML ends within markup, or with an element open. Other faults of it are not looked for.
fn ends_early(body: &[u8]) -> bool {
    // What is cut may be cut within a character; what stands there instead is no markup.
    let text = String::from_utf8_lossy(body);
    let mut scanner = Scanner::new(&text);
    let (mut depth, mut elements) = (0_u32, 0_u32);
    loop {
        match scanner.next() {
            Ok(Some(Piece::Start { empty, .. })) => {
                (depth, elements) = (depth.saturating_add(u32::from(!empty)), elements.saturating_add(1));
            }
            Ok(Some(Piece::End { .. })) if depth == 0 => return false,
            Ok(Some(Piece::End { .. })) => depth -= 1,
            Ok(Some(_)) => {}
            Ok(None) => return depth > 0 || elements == 0,
            Err(broken) => return broken == Broken::Cut,
        }
        if depth == 0 && elements > 0 {
            return false;
        }
    }
}

/// Which of a request's signatures an account's tokens made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vouched {
    /// `signature`, over timestamp and nonce.
    pub signature: bool,
    /// `msg_signature`, over the body's `Encrypt` too.
    pub msg_signature: bool,
}

impl Vouched {
    /// Whether either is.
    #[must_use]
    pub fn any(self) -> bool {
        self.signature || self.msg_signature
    }
}

/// A request's signatures and what they cover, read once and asked about several accounts.
pub struct Evidence<'a> {
    query: &'a Query<'a>,
    encrypt: Option<Cow<'a, str>>,
}

impl<'a> Evidence<'a> {
    /// Of a request; a handshake has an empty body.
    #[must_use]
    pub fn of(query: &'a Query<'a>, body: &'a [u8]) -> Self {
        Self { query, encrypt: encrypted(body) }
    }

    /// Which signatures one of these credentials' tokens made, the previous one included.
    #[must_use]
    pub fn vouched_by(&self, credentials: &Credentials) -> Vouched {
        let Query { timestamp, nonce, signature, msg_signature, .. } = self.query;
        let (Some(timestamp), Some(nonce)) = (timestamp, nonce) else {
            return Vouched { signature: false, msg_signature: false };
        };
        let by_any = |presented: &Option<Cow<'_, str>>, encrypt: Option<&str>| {
            presented.as_deref().is_some_and(|presented| {
                credentials.tokens().any(|token| match encrypt {
                    None => token.signed(timestamp, nonce, presented).is_some(),
                    Some(encrypt) => token.signed_message(timestamp, nonce, encrypt, presented).is_some(),
                })
            })
        };
        let encrypt = self.encrypt.as_deref().map(|encrypt| encrypt.trim_matches(BLANKS));
        Vouched {
            signature: by_any(signature, None),
            msg_signature: encrypt.is_some() && by_any(msg_signature, encrypt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Mode, Token, sign};

    fn credentials(token: &str, previous: Option<&str>) -> Credentials {
        Credentials {
            mode: Mode::Secure,
            token: Token::new(token),
            previous_token: previous.map(Token::new),
            aes_key: None,
            previous_aes_key: None,
            app_id: None,
        }
    }

    #[test]
    fn each_body_has_its_shape() {
        for (body, shape) in [
            ("", Shape::Empty),
            (" \r\n", Shape::Empty),
            ("\u{FEFF}\n", Shape::Empty),
            ("<", Shape::Cut),
            ("<xml", Shape::Cut),
            ("<?xml version", Shape::Cut),
            ("<xml><ToUserName>", Shape::Cut),
            ("<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o", Shape::Cut),
            ("<xml><A>a &amp", Shape::Cut),
            ("<xml><A>1</A>", Shape::Cut),
            ("<xml><A>1</A></xm", Shape::Cut),
            ("<xml><A>1</A></xml>", Shape::Clear),
            ("<xml><A>1</A></xml> <", Shape::Clear),
            ("<xml/>", Shape::Clear),
            ("<xml><A>a & b</A></xml>", Shape::Clear),
            ("<xml><A></B></xml>", Shape::Clear),
            ("\u{FEFF} <xml><Encrypt>a</Encrypt></xml>", Shape::Encrypted),
            ("<xml><Encrypt>a</Encr", Shape::Cut),
            ("{\"ToUserName\":\"gh_1\"}", Shape::Json),
            ("\n[1]", Shape::Json),
            ("\u{1f}\u{8b}", Shape::Unknown),
            ("a=b", Shape::Unknown),
        ] {
            assert_eq!(Shape::of(body.as_bytes()), shape, "{body}");
            assert_eq!(is_damaged(body.as_bytes()), [Shape::Empty, Shape::Cut].contains(&shape), "{body}");
        }
        assert_eq!(Shape::of("<xml><A>卡".as_bytes().split_last().unwrap().1), Shape::Cut, "within a character");
    }

    #[test]
    fn every_beginning_of_a_push_is_cut_and_the_whole_is_not() {
        let whole = "<xml>\n<ToUserName><![CDATA[gh_1]]></ToUserName>\n<!-- a --><Event>a &lt; b</Event>\n</xml>";
        for length in 1..whole.len() {
            assert_eq!(Shape::of(&whole.as_bytes()[..length]), Shape::Cut, "{}", &whole[..length]);
        }
        assert_eq!(Shape::of(whole.as_bytes()), Shape::Clear);
    }

    #[test]
    fn each_signature_is_told_apart_with_either_token() {
        let (token, body) = (Token::new("today"), b"<xml><Encrypt> abc </Encrypt></xml>");
        let raw = format!(
            "timestamp=1&nonce=2&signature={}&msg_signature={}",
            sign(&token, &["1", "2"]),
            sign(&token, &["1", "2", "abc"])
        );
        let query = Query::parse(&raw).unwrap();
        let evidence = Evidence::of(&query, body);
        for credentials in [credentials("today", None), credentials("tomorrow", Some("today"))] {
            assert_eq!(evidence.vouched_by(&credentials), Vouched { signature: true, msg_signature: true });
        }
        assert!(!evidence.vouched_by(&credentials("tomorrow", None)).any());
        let changed = Evidence::of(&query, b"<xml><Encrypt>abd</Encrypt></xml>");
        assert_eq!(changed.vouched_by(&credentials("today", None)), Vouched { signature: true, msg_signature: false });
        let without = Evidence::of(&query, b"");
        assert_eq!(without.vouched_by(&credentials("today", None)), Vouched { signature: true, msg_signature: false });
    }
}
