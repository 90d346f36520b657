//! From a callback to a message: which mode (contract §2.1), verify, open.

use std::borrow::Cow;

use super::{AesKey, AppId, Query, QueryError, Token, XmlError};

/// How an account receives its pushes, as chosen in WeChat's console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// 明文模式: clear fields, `signature` does not cover the body.
    Plaintext,
    /// 兼容模式: clear fields and ciphertext side by side.
    Compat,
    /// 安全模式: only ciphertext.
    Secure,
}

/// What verifies and opens an account's pushes. Current ones stand before previous ones (rotation).
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The account's mode.
    pub mode: Mode,
    /// The current token, and the previous one while rotating.
    pub token: Token,
    /// See `token`.
    pub previous_token: Option<Token>,
    /// Required in compat and secure mode.
    pub aes_key: Option<AesKey>,
    /// See `aes_key`.
    pub previous_aes_key: Option<AesKey>,
    /// Required in compat and secure mode.
    pub app_id: Option<AppId>,
}

/// A callback as it arrived, unverified: query and body.
#[derive(Debug)]
pub struct Callback<'a> {
    query: Query<'a>,
    body: &'a [u8],
}

/// A push whose signature is right. Only [`Callback::verify`] makes one.
#[derive(Debug)]
pub struct VerifiedPush<'a> {
    _private: std::marker::PhantomData<&'a ()>,
}

/// A push's document in clear. Only [`VerifiedPush::open`] makes one.
#[derive(Debug)]
pub struct Message<'a> {
    xml: Cow<'a, [u8]>,
    body_authenticated: bool,
}

/// Why a callback is refused before its content counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The query is malformed or lacks a parameter: status 400.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The signature is wrong, or the push is not of the account's mode: status 403.
    #[error("the signature is wrong")]
    Signature,
}

/// Why a verified push cannot be read: quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The ciphertext does not decrypt, or there is nothing to read beside it.
    #[error("cannot be decrypted with the account's current or previous EncodingAESKey")]
    Decrypt,
    /// It decrypts, but for another AppID.
    #[error("decrypted, but made for another AppID")]
    AppId,
    /// The document cannot be read.
    #[error("malformed: {0}")]
    Malformed(#[from] XmlError),
}

impl OpenError {
    /// Metric label, `dlq_reason` header and log field.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Decrypt => "decrypt",
            Self::AppId => "app_id",
            Self::Malformed(_) => "malformed",
        }
    }
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
        let _ = (credentials, &self.query, self.body);
        unimplemented!()
    }

    /// Verifies a push by contract §2.1, with the current and then the previous token, in constant time.
    ///
    /// # Errors
    /// A missing parameter, a wrong signature, or a push that the account's mode forbids.
    pub fn verify(self, credentials: &Credentials) -> Result<VerifiedPush<'a>, VerifyError> {
        let _ = credentials;
        unimplemented!()
    }
}

impl<'a> VerifiedPush<'a> {
    /// Whether `msg_signature` covered what will be read.
    #[must_use]
    pub fn body_authenticated(&self) -> bool {
        unimplemented!()
    }

    /// Decrypts (current key, then previous) or takes the clear document.
    ///
    /// # Errors
    /// What cannot be decrypted, is for another AppID, or has nothing to read.
    pub fn open(self, credentials: &Credentials) -> Result<Message<'a>, OpenError> {
        let _ = credentials;
        unimplemented!()
    }
}

impl Message<'_> {
    /// The clear XML document.
    #[must_use]
    pub fn xml(&self) -> &[u8] {
        &self.xml
    }

    /// True when `msg_signature` covered it; false when only `signature` was there.
    #[must_use]
    pub fn body_authenticated(&self) -> bool {
        self.body_authenticated
    }
}
