//! A clear body into a push: query and body as WeChat writes them in each mode (wire facts §2).

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::customer::Random;
use crate::protocol::{Credentials, Document, Mode, compat_body, seal, secure_body, sign};

/// All but what may stand in a query as it is (RFC 3986's unreserved characters).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A clear body, and what its push says about it.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Clear {
    /// The document.
    pub(in crate::cli) xml: Vec<u8>,
    /// `ToUserName`
    pub(in crate::cli) to_user: String,
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
    pub(in crate::cli) fn compose(clear: Clear, credentials: &Credentials, seed: u64) -> Self {
        let Clear { xml, to_user, openid, timestamp } = clear;
        let mut random = Random::new(seed);
        let (timestamp, nonce) = (timestamp.to_string(), (random.next() >> 32).to_string());
        let token = &credentials.token;
        let mut query = format!("signature={}&timestamp={timestamp}&nonce={nonce}", sign(token, &[&timestamp, &nonce]));
        if let Some(openid) = openid {
            query.push_str("&openid=");
            query.extend(utf8_percent_encode(&openid, RESERVED));
        }
        let (Some(key), Some(app_id)) = (&credentials.aes_key, &credentials.app_id) else {
            return Self { query, body: xml.into() };
        };
        // WeChat's own ciphertexts begin with sixteen hex digits.
        let mut filler = [0; 16];
        for byte in &mut filler {
            *byte = random.pick(b"0123456789abcdef");
        }
        let encrypt = || seal(key, app_id, &filler, &xml);
        let (encrypt, body) = match credentials.mode {
            Mode::Plaintext => return Self { query, body: xml.into() },
            Mode::Secure => {
                let encrypt = encrypt();
                let body = secure_body(&to_user, &encrypt);
                (encrypt, body)
            }
            Mode::Compat => {
                let encrypt = encrypt();
                // What is no XML has no clear elements to stand beside the ciphertext.
                let body = Document::parse(&xml)
                    .map_or_else(|_| secure_body(&to_user, &encrypt), |clear| compat_body(&clear, &encrypt));
                (encrypt, body)
            }
        };
        query.push_str("&encrypt_type=aes&msg_signature=");
        query.push_str(&sign(token, &[&timestamp, &nonce, &encrypt]));
        Self { query, body: body.into() }
    }
}
