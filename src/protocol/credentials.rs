//! What an account verifies and opens its pushes with.
//!
//! Does not depend on what a push is.

use super::{AesKey, AppId, Token};

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

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Plaintext, Self::Compat, Self::Secure];

    /// `plaintext`, `compat` or `secure`, as in the configuration and in `dlq_mode`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Compat => "compat",
            Self::Secure => "secure",
        }
    }
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

/// Which of two tokens or keys it was, while they are exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// The one in force.
    Current,
    /// The one before it.
    Previous,
}

impl Generation {
    pub(super) const BOTH: [Self; 2] = [Self::Current, Self::Previous];
}

impl Credentials {
    pub(super) fn tokens(&self) -> impl Iterator<Item = &Token> {
        std::iter::once(&self.token).chain(&self.previous_token)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = (&AesKey, Generation)> {
        [&self.aes_key, &self.previous_aes_key]
            .into_iter()
            .zip(Generation::BOTH)
            .filter_map(|(key, generation)| Some((key.as_ref()?, generation)))
    }
}
