//! AES-256-CBC as WeChat does it: 32-byte PKCS#7, a length field, the AppID behind the message.

/// The account's AppID (`wx…`): what must stand behind every decrypted message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppId(String);

impl AppId {
    /// Takes an AppID as configured.
    #[must_use]
    pub fn new(app_id: impl Into<String>) -> Self {
        Self(app_id.into())
    }

    /// The AppID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A decoded EncodingAESKey: 32 bytes; its first 16 are the IV. Prints as `[redacted]`, zeroed on drop.
#[derive(Clone)]
pub struct AesKey([u8; 32]);

/// Why a text is no EncodingAESKey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 43 characters.
    #[error("an EncodingAESKey has 43 characters, this has {0}")]
    Length(usize),
    /// A character outside base64's alphabet.
    #[error("an EncodingAESKey has only letters, digits, + and /")]
    Alphabet,
}

impl AesKey {
    /// Reads the 43 characters of the console, surrounding white space trimmed; the two surplus bits may be anything (protocol §2.5).
    ///
    /// # Errors
    /// When it is not 43 characters of base64.
    pub fn parse(encoded: &str) -> Result<Self, KeyError> {
        let _ = encoded;
        unimplemented!()
    }
}

impl std::fmt::Debug for AesKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Encrypts as WeChat does: base64 of AES(random ‖ length ‖ message ‖ AppID, padded to 32).
#[must_use]
pub fn seal(key: &AesKey, app_id: &AppId, random: &[u8; 16], message: &[u8]) -> String {
    let _ = (key, app_id, random, message);
    unimplemented!()
}
