//! `signature` and `msg_signature`: SHA-1 over the bytewise sorted, concatenated parts.
//!
//! Does not depend on what the parts mean: they are opaque, and a signature of another shape is simply wrong.

use secrecy::{ExposeSecret as _, SecretString};
use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq;

/// A SHA-1.
pub type Digest = [u8; 20];
/// Forty lower-case hex digits.
type HexDigest = [u8; 40];

/// The account's token. Prints as `[redacted]`, zeroed on drop. Compared with another configuration's, never with what a request
/// presents.
#[derive(Clone)]
pub struct Token(SecretString);

impl Token {
    /// Takes a token as configured. Rules of shape (3–32 characters) are the configuration's business.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(SecretString::from(token.into()))
    }

    /// The signature over this token and `timestamp`, `nonce`, when it is what was `presented`.
    pub(super) fn signed(&self, timestamp: &str, nonce: &str, presented: &str) -> Option<Digest> {
        let digest = digest(&mut [self.0.expose_secret(), timestamp, nonce]);
        same(&hex(&digest), presented).then_some(digest)
    }

    /// The signature over this token, `timestamp`, `nonce` and the ciphertext, when it is what was `presented`.
    pub(super) fn signed_message(
        &self,
        timestamp: &str,
        nonce: &str,
        encrypt: &str,
        presented: &str,
    ) -> Option<Digest> {
        let digest = digest(&mut [self.0.expose_secret(), timestamp, nonce, encrypt]);
        same(&hex(&digest), presented).then_some(digest)
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for Token {}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The 40 lower-case hex digits over token and `parts`: (timestamp, nonce) for `signature`, (timestamp, nonce, ciphertext in base64) for `msg_signature`.
#[must_use]
pub fn sign(token: &Token, parts: &[&str]) -> String {
    let mut parts = [&[token.0.expose_secret()], parts].concat();
    hex(&digest(&mut parts)).map(char::from).iter().collect()
}

fn digest(parts: &mut [&str]) -> Digest {
    parts.sort_unstable();
    let mut hash = Sha1::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

fn hex(digest: &Digest) -> HexDigest {
    let mut hex = [0; 40];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(digest) {
        pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 0x0F)]);
    }
    hex
}

fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + (nibble - 10) }
}

/// Takes the same time wherever the two differ.
fn same(expected: &HexDigest, presented: &str) -> bool {
    expected.as_slice().ct_eq(presented.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_sorted_bytewise_before_they_are_hashed() {
        let token = Token::new("b");
        let sorted = sign(&token, &["a", "c"]);
        assert_eq!(sorted, "a9993e364706816aba3e25717850c26c9cd0d89d", "SHA-1 of abc");
        assert_eq!(sign(&token, &["c", "a"]), sorted);
    }

    #[test]
    fn what_is_signed_verifies_and_nothing_else_does() {
        let token = Token::new("shop-token");
        let (plain, sealed) = (sign(&token, &["1", "2"]), sign(&token, &["1", "2", "+/x="]));
        assert!(token.signed("1", "2", &plain).is_some());
        assert!(token.signed_message("1", "2", "+/x=", &sealed).is_some());
        assert!(token.signed("1", "2", &sealed).is_none());
        assert!(token.signed_message("1", "2", "+/y=", &sealed).is_none());
        assert!(Token::new("other").signed("1", "2", &plain).is_none());
    }

    #[test]
    fn a_signature_of_another_shape_is_wrong() {
        let token = Token::new("shop-token");
        let right = sign(&token, &["1", "2"]);
        for wrong in ["", "x", &right[..39], &format!("{right}0"), &right.to_uppercase(), "签名"] {
            assert!(token.signed("1", "2", wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn digits_moved_between_timestamp_and_nonce_keep_the_signature() {
        let token = Token::new("shop-token");
        let right = sign(&token, &["1700000000", "1800000001"]);
        let digest = token.signed("1700000000", "1800000001", &right);
        assert!(digest.is_some());
        assert_eq!(token.signed("17000000001", "800000001", &right), digest, "why a nonce is known by its signature");
    }

    #[test]
    fn a_token_does_not_print() {
        assert_eq!(format!("{:?}", Token::new("shop-token")), "[redacted]");
    }
}
