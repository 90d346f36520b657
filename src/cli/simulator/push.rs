//! A clear body into a push: query and body as WeChat writes them in each mode (wire facts §2).

use std::fmt::Write as _;

use bytes::Bytes;

use super::customer::Random;
use crate::protocol::{Credentials, Mode, seal, sign};

/// A clear body, and what its push says about it.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Clear {
    /// The document.
    pub(in crate::cli) xml: Vec<u8>,
    /// The query's `openid`.
    pub(in crate::cli) openid: Option<String>,
    /// The query's `timestamp`, Unix seconds.
    pub(in crate::cli) timestamp: i64,
}

/// Ready to post, as often as needed: a re-delivery has the same query and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Push {
    pub(in crate::cli) query: String,
    pub(in crate::cli) body: Bytes,
}

impl Push {
    /// Signs and, as the account's mode says, encrypts. `seed` decides the nonce and the random bytes.
    ///
    /// Without a key or an AppID the push is a clear one, whatever the mode.
    pub(in crate::cli) fn compose(clear: Clear, credentials: &Credentials, to_user: &str, seed: u64) -> Self {
        let Clear { xml, openid, timestamp } = clear;
        let mut random = Random::new(seed);
        let (timestamp, nonce) = (timestamp.to_string(), (random.next() >> 32).to_string());
        let token = &credentials.token;
        let mut query = format!("signature={}&timestamp={timestamp}&nonce={nonce}", sign(token, &[&timestamp, &nonce]));
        if let Some(openid) = openid {
            query.push_str("&openid=");
            percent_encode(&openid, &mut query);
        }
        let (Some(key), Some(app_id)) = (&credentials.aes_key, &credentials.app_id) else {
            return Self { query, body: xml.into() };
        };
        // WeChat's own ciphertexts begin with sixteen hex digits.
        let mut filler = [0; 16];
        for byte in &mut filler {
            *byte = random.pick(b"0123456789abcdef");
        }
        let encrypted = || seal(key, app_id, &filler, &xml);
        let (encrypted, body) = match credentials.mode {
            Mode::Plaintext => return Self { query, body: xml.into() },
            Mode::Secure => {
                let encrypted = encrypted();
                let body = secure_envelope(to_user, &encrypted);
                (encrypted, body)
            }
            Mode::Compat => {
                let encrypted = encrypted();
                let body = compat_envelope(&xml, &encrypted);
                (encrypted, body)
            }
        };
        query.push_str("&encrypt_type=aes&msg_signature=");
        query.push_str(&sign(token, &[&timestamp, &nonce, &encrypted]));
        Self { query, body: body.into() }
    }
}

fn secure_envelope(to_user: &str, encrypted: &str) -> Vec<u8> {
    format!(
        "<xml>\n    <ToUserName><![CDATA[{to_user}]]></ToUserName>\n    <Encrypt><![CDATA[{encrypted}]]></Encrypt>\n</xml>\n"
    )
    .into_bytes()
}

/// The clear elements, each on an indented line, and the ciphertext beside them.
///
/// What does not look like WeChat's clear body is left as it is, with the ciphertext before its last tag.
fn compat_envelope(xml: &[u8], encrypted: &str) -> Vec<u8> {
    const END: &[u8] = b"</xml>";
    let end = xml.windows(END.len()).rposition(|window| window == END).unwrap_or(xml.len());
    let (elements, _) = xml.split_at(end);
    let mut body = match elements.strip_prefix(b"<xml><") {
        Some(first) => [b"<xml>\n<", first].concat(),
        None => elements.to_vec(),
    };
    body.extend_from_slice(format!("<Encrypt><![CDATA[{encrypted}]]></Encrypt>\n</xml>\n").as_bytes());
    body
}

/// Leaves what may stand in a query as it is (RFC 3986's unreserved characters).
fn percent_encode(text: &str, query: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            query.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(query, "%{byte:02X}");
        }
    }
}
