//! Why a callback is refused, and why a verified push cannot be opened.

use super::super::{AppIdText, QueryError, XmlError};

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
    /// The ciphertext does not decrypt.
    #[error("cannot be decrypted with the account's current or previous EncodingAESKey")]
    Decrypt,
    /// Only `signature` counts, and there is nothing but `Encrypt` to read: the account's mode is not the console's. No key was
    /// tried.
    #[error(
        "encrypted_push: the account is in plaintext mode here and gets encrypted pushes: set its mode to \"secure\" with the \
         EncodingAESKey and the AppID, or choose 明文模式 in WeChat's console"
    )]
    EncryptedPush,
    /// Only `signature` was sent, and the body has no clear fields to read.
    #[error("nothing to read: no clear fields beside ToUserName and Encrypt, and no msg_signature in the query")]
    NothingToRead,
    /// It decrypts, but for another AppID.
    #[error("decrypted, but made for another AppID: {}", ids(*found, *expected))]
    AppId {
        /// What stands behind the message; `None` when that has not the form of an AppID: it may be a part of the message.
        found: Option<AppIdText>,
        /// The account's, when it has that form.
        expected: Option<AppIdText>,
    },
    /// The body with the clear fields cannot be read. A decrypted document is not looked at here.
    #[error("malformed: {0}")]
    Malformed(#[from] XmlError),
}

impl OpenError {
    /// Metric label, `dlq_reason` header and log field.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Decrypt | Self::EncryptedPush | Self::NothingToRead => "decrypt",
            Self::AppId { .. } => "app_id",
            Self::Malformed(_) => "malformed",
        }
    }
}

fn ids(found: Option<AppIdText>, expected: Option<AppIdText>) -> String {
    let shown = |id: Option<AppIdText>| id.map_or_else(|| "no AppID".to_owned(), |id| id.to_string());
    format!("it says {}, and app_id is {}", shown(found), shown(expected))
}
