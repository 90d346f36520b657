//! `signature` and `msg_signature`: SHA-1 over the bytewise sorted, concatenated parts.

/// The account's token. Prints as `[redacted]`.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Takes a token as configured. Rules of shape (3–32 characters) are the configuration's business.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The 40 lower-case hex digits over token and `parts`: (timestamp, nonce) for `signature`, (timestamp, nonce, ciphertext in base64) for `msg_signature`.
#[must_use]
pub fn sign(token: &Token, parts: &[&str]) -> String {
    let _ = (token, parts);
    unimplemented!()
}
