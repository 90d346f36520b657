//! The callback's query string: WeChat's seven parameters, read strictly; everything else ignored.

use std::borrow::Cow;

/// WeChat's parameters of one callback, percent-decoded. Absent ones are `None`; empty or doubled ones are errors.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
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
    /// Reads the raw query string (without `?`).
    ///
    /// # Errors
    /// When one of WeChat's seven parameters is doubled, empty or not decodable.
    pub fn parse(raw: &'a str) -> Result<Self, QueryError> {
        let _ = raw;
        unimplemented!()
    }
}
