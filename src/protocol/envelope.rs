//! From a callback to a message: which mode (contract §2.1), verify, open.
//!
//! Each stage has only the stage before it as its constructor, so that no check can be left out. Does not depend on what the
//! message says, and answers every failed verification alike.

mod error;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use super::xml::BLANKS;
use super::{Credentials, Digest, Document, Generation, Mode, Query, QueryError, Token, Value, XmlError, open};

pub use error::{OpenError, VerifyError};

/// A callback as it arrived, unverified: query and body.
pub struct Callback<'a> {
    query: Query<'a>,
    body: &'a [u8],
}

/// A push whose signature is right: now ([`Callback::verify`]), or when it was received ([`Callback::verified_at_receipt`]).
pub struct VerifiedPush<'a> {
    content: Content<'a>,
    /// What verified it now: the signature, and whose it is.
    verified: Option<(Digest, Generation)>,
}

enum Content<'a> {
    /// The text of `Encrypt`, covered by `msg_signature`.
    Sealed(Cow<'a, str>),
    /// The body with its clear fields, which no signature covers.
    Clear(&'a [u8]),
}

/// A push's document in clear. Only [`VerifiedPush::open`] makes one.
pub struct Message<'a> {
    clear: Clear<'a>,
    body_authenticated: bool,
    key: Option<Generation>,
}

enum Clear<'a> {
    /// Not read yet.
    Decrypted(Vec<u8>),
    /// As it came, and read.
    Received(&'a [u8], Document<'a>),
}

impl<'a> Callback<'a> {
    /// Puts query and body together.
    #[must_use]
    pub fn new(query: Query<'a>, body: &'a [u8]) -> Self {
        Self { query, body }
    }

    /// The GET handshake: the echostr to answer, byte for byte, when `signature` is right.
    ///
    /// # Errors
    /// A missing parameter, or a wrong signature.
    pub fn handshake(&self, credentials: &Credentials) -> Result<&str, VerifyError> {
        let signature = required(self.query.signature.as_deref(), "signature")?;
        let timestamp = required(self.query.timestamp.as_deref(), "timestamp")?;
        let nonce = required(self.query.nonce.as_deref(), "nonce")?;
        let echostr = required(self.query.echostr.as_deref(), "echostr")?;
        let signed = credentials.tokens().any(|token| token.signed(timestamp, nonce, signature).is_some());
        if signed { Ok(echostr) } else { Err(VerifyError::Signature) }
    }

    /// Verifies a push by contract §2.1, with the current and then the previous token, in constant time.
    ///
    /// # Errors
    /// A missing parameter, a wrong signature, or a push that the account's mode forbids.
    pub fn verify(self, credentials: &Credentials) -> Result<VerifiedPush<'a>, VerifyError> {
        let timestamp = required(self.query.timestamp.as_deref(), "timestamp")?;
        let nonce = required(self.query.nonce.as_deref(), "nonce")?;
        if self.query.signature.is_none() && self.query.msg_signature.is_none() {
            return Err(QueryError::Missing("signature").into());
        }
        let (content, presented) = self.covered(credentials.mode).ok_or(VerifyError::Signature)?;
        let signed = |token: &Token| match &content {
            Content::Sealed(encrypt) => token.signed_message(timestamp, nonce, encrypt.trim_matches(BLANKS), presented),
            Content::Clear(_) => token.signed(timestamp, nonce, presented),
        };
        let mut tokens = credentials.tokens().zip(Generation::BOTH);
        let verified = tokens.find_map(|(token, generation)| Some((signed(token)?, generation)));
        Ok(VerifiedPush { content, verified: Some(verified.ok_or(VerifyError::Signature)?) })
    }

    /// A push that was verified when it was received, in `mode`, and has been kept since: what was covered then is read now.
    /// No signature is looked at again, since the token may have changed meanwhile. Only for what the quarantine kept.
    ///
    /// `None` for what can never have been verified in `mode`.
    #[must_use]
    pub fn verified_at_receipt(self, mode: Mode) -> Option<VerifiedPush<'a>> {
        let (content, _) = self.covered(mode)?;
        Some(VerifiedPush { content, verified: None })
    }

    /// What is to be read, and the signature that has to cover it, by contract §2.1.
    fn covered(&self, mode: Mode) -> Option<(Content<'a>, &str)> {
        let Query { signature, msg_signature, .. } = &self.query;
        let sealed = match mode {
            Mode::Secure | Mode::Compat => {
                msg_signature.as_deref().and_then(|presented| Some((presented, encrypted(self.body)?)))
            }
            Mode::Plaintext => None,
        };
        match (sealed, signature, mode) {
            (Some((presented, encrypt)), _, _) => Some((Content::Sealed(encrypt), presented)),
            (None, Some(presented), Mode::Compat | Mode::Plaintext) => Some((Content::Clear(self.body), presented)),
            (None, None, _) | (None, _, Mode::Secure) => None,
        }
    }
}

impl<'a> VerifiedPush<'a> {
    /// Whether `msg_signature` covered what will be read.
    #[must_use]
    pub fn body_authenticated(&self) -> bool {
        match self.content {
            Content::Sealed(_) => true,
            Content::Clear(_) => false,
        }
    }

    /// The signature of timestamp and nonce, where it alone was verified, and now. Its parts are joined without separators
    /// before they are hashed: other timestamps and nonces can have the same one, and nobody without the token another.
    #[must_use]
    pub fn bare_signature(&self) -> Option<Digest> {
        match self.content {
            Content::Sealed(_) => None,
            Content::Clear(_) => self.verified.map(|(signature, _)| signature),
        }
    }

    /// Whose signature it has; `None` where that was looked at when it was received.
    #[must_use]
    pub fn token(&self) -> Option<Generation> {
        self.verified.map(|(_, generation)| generation)
    }

    /// Decrypts (current key, then previous) or takes the clear document.
    ///
    /// # Errors
    /// What cannot be decrypted, is for another AppID, or has nothing to read.
    pub fn open(self, credentials: &Credentials) -> Result<Message<'a>, OpenError> {
        let body_authenticated = self.body_authenticated();
        let (clear, key) = match self.content {
            Content::Sealed(encrypt) => {
                let (message, key) = decrypted(credentials, &encrypt)?;
                (Clear::Decrypted(message), Some(key))
            }
            Content::Clear(body) => {
                let document = Document::parse(body)?;
                let beside = |tag: &str| !["ToUserName", "Encrypt"].iter().any(|own| own.eq_ignore_ascii_case(tag));
                if !document.children.iter().any(|child| beside(&child.tag)) {
                    let sealed = document.first("Encrypt").is_some() && credentials.mode == Mode::Plaintext;
                    return Err(if sealed { OpenError::EncryptedPush } else { OpenError::NothingToRead });
                }
                (Clear::Received(body, document), None)
            }
        };
        Ok(Message { clear, body_authenticated, key })
    }
}

impl Message<'_> {
    /// The clear XML document.
    #[must_use]
    pub fn xml(&self) -> &[u8] {
        match &self.clear {
            Clear::Decrypted(xml) => xml,
            Clear::Received(xml, _) => xml,
        }
    }

    /// The same, read.
    ///
    /// # Errors
    /// When what was decrypted cannot be read.
    pub fn document(&self) -> Result<Cow<'_, Document<'_>>, XmlError> {
        match &self.clear {
            Clear::Decrypted(xml) => Document::parse(xml).map(Cow::Owned),
            Clear::Received(_, document) => Ok(Cow::Borrowed(document)),
        }
    }

    /// True when `msg_signature` covered it; false when only `signature` was there.
    #[must_use]
    pub fn body_authenticated(&self) -> bool {
        self.body_authenticated
    }

    /// Which key has decrypted it; `None`: it came in clear.
    #[must_use]
    pub fn key(&self) -> Option<Generation> {
        self.key
    }
}

/// What stands in a query or body is personal: none of the stages prints it.
impl fmt::Debug for Callback<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("query", &self.query).field("body_bytes", &self.body.len()).finish()
    }
}

impl fmt::Debug for VerifiedPush<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedPush").field("body_authenticated", &self.body_authenticated()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("xml_bytes", &self.xml().len())
            .field("body_authenticated", &self.body_authenticated)
            .finish()
    }
}

fn required<'q>(value: Option<&'q str>, name: &'static str) -> Result<&'q str, QueryError> {
    value.ok_or(QueryError::Missing(name))
}

/// The text of the body's `Encrypt`. A body that cannot be read has none.
pub(super) fn encrypted(body: &[u8]) -> Option<Cow<'_, str>> {
    let document = Document::parse(body).ok()?;
    let encrypt = document.children.into_iter().find(|child| child.tag.eq_ignore_ascii_case("Encrypt"))?;
    match encrypt.value {
        Value::Text(text) => Some(text),
        Value::Elements(_) => None,
    }
}

fn decrypted(credentials: &Credentials, encrypt: &str) -> Result<(Vec<u8>, Generation), OpenError> {
    let app_id = credentials.app_id.as_ref().ok_or(OpenError::Decrypt)?;
    let mut failure = OpenError::Decrypt;
    for (key, generation) in credentials.keys() {
        match open(key, app_id, encrypt) {
            Ok(message) => return Ok((message, generation)),
            Err(OpenError::Decrypt) => {}
            Err(other) => failure = other,
        }
    }
    Err(failure)
}
