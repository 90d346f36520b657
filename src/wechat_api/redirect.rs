//! Redirect links: what WeChat appends to a merchant's page (`custom_url`, custom cells, `activate_url`) when a customer
//! opens it from a card.
//!
//! Does not depend on a web framework. Source: WeChat's pages of cards, 自定义跳转外链.

use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq as _;

use super::{AppSecret, sign::sorted_digest};

/// What a redirect link carries, URL-decoded exactly once: what [`super::Api::decrypt_code`] wants. `None`: not in the link.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    /// The card's code, encrypted by WeChat (base64).
    pub encrypt_code: Option<String>,
    /// The card.
    pub card_id: Option<String>,
    /// The customer; on member cards' pages.
    pub openid: Option<String>,
    /// The channel; on member cards' pages.
    pub outer_str: Option<String>,
    /// Of `activate_url`.
    pub activate_ticket: Option<String>,
    signature: Option<String>,
}

/// A link that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Without `card_id` and `encrypt_code`.
    #[error(
        "no redirect link of WeChat's: it has neither card_id nor encrypt_code (in quotes on a command line: & ends it)"
    )]
    NoneOfWeChats,
    /// One parameter twice: which one is meant cannot be told.
    #[error("the link has the parameter {0} twice")]
    Twice(&'static str),
    /// Percent signs that decode to no UTF-8.
    #[error("the link's parameter {0} is not UTF-8 when URL-decoded")]
    NotUtf8(&'static str),
}

/// What became of a link's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkSignature {
    /// The link has none.
    Absent,
    /// It was made with the AppSecret.
    Valid,
    /// It was not: do not trust the link.
    Invalid,
}

impl Link {
    /// Reads a link. A `+` stays one: in base64 it is a digit, and WeChat writes blanks as `%20`.
    ///
    /// ```
    /// use cardhook::wechat_api::redirect::Link;
    ///
    /// let link = Link::parse("https://shop.example/card?id=7&encrypt_code=XXIz%2BVd%3D&card_id=p1Pj9jgj&outer_str=12b")?;
    /// assert_eq!(link.encrypt_code.as_deref(), Some("XXIz+Vd="));
    /// assert_eq!(link.outer_str.as_deref(), Some("12b"));
    /// # Ok::<(), cardhook::wechat_api::redirect::LinkError>(())
    /// ```
    ///
    /// # Errors
    /// See [`LinkError`].
    pub fn parse(url: &str) -> Result<Self, LinkError> {
        let query = url.split_once('?').map_or(url, |(_, query)| query);
        let query = query.split_once('#').map_or(query, |(query, _)| query);
        let value = |name: &'static str| {
            let mut found = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
            let first = found.next();
            if found.next().is_some() {
                return Err(LinkError::Twice(name));
            }
            let decoded = first.map(|(_, value)| percent_decode_str(value).decode_utf8());
            decoded.transpose().map(|value| value.map(Into::into)).map_err(|_| LinkError::NotUtf8(name))
        };
        let link = Self {
            encrypt_code: value("encrypt_code")?,
            card_id: value("card_id")?,
            openid: value("openid")?,
            outer_str: value("outer_str")?,
            activate_ticket: value("activate_ticket")?,
            // WeChat's page prints the second spelling.
            signature: value("signature")?.or(value("sinature")?),
        };
        if link.card_id.is_none() && link.encrypt_code.is_none() { Err(LinkError::NoneOfWeChats) } else { Ok(link) }
    }

    /// Checks the signature: SHA-1 over AppSecret, `encrypt_code` and `card_id`, in the order of their bytes.
    #[must_use]
    pub fn check(&self, app_secret: &AppSecret) -> LinkSignature {
        let Some(signature) = &self.signature else { return LinkSignature::Absent };
        let text = |value: &'_ Option<String>| value.clone().unwrap_or_default();
        let (encrypt_code, card_id) = (text(&self.encrypt_code), text(&self.card_id));
        let expected = sorted_digest(&mut [app_secret.expose(), &encrypt_code, &card_id]);
        let equal = bool::from(expected.as_bytes().ct_eq(signature.to_ascii_lowercase().as_bytes()));
        if equal { LinkSignature::Valid } else { LinkSignature::Invalid }
    }

    /// Whether the link has a signature at all.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.signature.is_some()
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("card_id", &self.card_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wechats_example_of_a_signed_link_holds() {
        let signature = "f7c3bc1d808e04732adf679965ccc34ca7ae3441";
        for name in ["signature", "sinature"] {
            let link = Link::parse(&format!("http://a.b/?encrypt_code=456&card_id=123&{name}={signature}")).unwrap();
            assert_eq!(link.check(&AppSecret::new("789")), LinkSignature::Valid);
            assert_eq!(link.check(&AppSecret::new("780")), LinkSignature::Invalid);
        }
        let unsigned = Link::parse("http://a.b/?encrypt_code=456&card_id=123").unwrap();
        assert_eq!(unsigned.check(&AppSecret::new("789")), LinkSignature::Absent);
    }

    #[test]
    fn a_link_is_decoded_exactly_once() {
        let link = Link::parse("http://a.b/?encrypt_code=a%2Bb+c%252F&card_id=p&openid=o#encrypt_code=x").unwrap();
        assert_eq!(link.encrypt_code.as_deref(), Some("a+b+c%2F"));
    }

    #[test]
    fn a_link_that_cannot_be_read_says_why() {
        assert_eq!(Link::parse("http://a.b/?x=1"), Err(LinkError::NoneOfWeChats));
        assert_eq!(Link::parse("http://a.b/?card_id=1&card_id=2"), Err(LinkError::Twice("card_id")));
        assert_eq!(Link::parse("http://a.b/?card_id=%ff"), Err(LinkError::NotUtf8("card_id")));
    }
}
