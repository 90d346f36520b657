//! Signatures of the JS-SDK: `cardExt` (`wx.addCard`), `cardSign` (`wx.chooseCard`) and the page's own.
//!
//! Does not depend on where a ticket comes from. Source: WeChat's pages of the JS-SDK and of cards, 附录4-卡券扩展字段及签名生成算法.

use serde_json::json;
use sha1::{Digest as _, Sha1};

/// What `wx.addCard` puts into a customer's wallet. Empty texts stand for what is not used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CardExt<'a> {
    /// The card.
    pub card_id: &'a str,
    /// Its code, for a card with custom codes.
    pub code: &'a str,
    /// Who may claim it, for a card bound to an openid.
    pub openid: &'a str,
    /// Unix seconds; another one for each claim.
    pub timestamp: &'a str,
    /// At random; another one for each claim.
    pub nonce_str: &'a str,
    /// The amount in cents (分), of a red packet.
    pub balance: &'a str,
    /// The channel; no part of the signature.
    pub outer_str: &'a str,
}

impl CardExt<'_> {
    /// The JSON string that `wx.addCard` takes as `cardExt`.
    #[must_use]
    pub fn to_json(&self, signature: &str) -> String {
        let mut value = json!({
            "code": self.code,
            "openid": self.openid,
            "timestamp": self.timestamp,
            "nonce_str": self.nonce_str,
            "signature": signature,
            "outer_str": self.outer_str,
        });
        if let (false, Some(object)) = (self.balance.is_empty(), value.as_object_mut()) {
            object.insert("balance".to_owned(), self.balance.into());
        }
        value.to_string()
    }
}

/// What `wx.chooseCard` lets a customer choose from. Empty texts stand for what is not used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChooseCard<'a> {
    /// The account.
    pub app_id: &'a str,
    /// The shop.
    pub location_id: &'a str,
    /// Unix seconds.
    pub timestamp: &'a str,
    /// At random.
    pub nonce_str: &'a str,
    /// One card only.
    pub card_id: &'a str,
    /// One type only: `GROUPON`, `DISCOUNT`, …
    pub card_type: &'a str,
}

/// The `signature` of a `cardExt`: 40 hexadecimal digits. `api_ticket` is of type `wx_card`.
///
/// ```
/// use cardhook::wechat_api::{CardExt, sign_card_ext};
///
/// let card_ext = CardExt {
///     card_id: "pjZ8Yt1XGILfi-FUsewpnnolGgZk",
///     code: "jonyqin_1434008071",
///     timestamp: "1404896688",
///     nonce_str: "jonyqin",
///     outer_str: "poster-7",
///     ..CardExt::default()
/// };
/// let signature = sign_card_ext("ojZ8YtyVyr30HheH3CM73y7h4jJE", &card_ext);
/// assert_eq!(signature, "2b4d29b5f60fa4be37522ddfd9583c329446d3e3");
/// ```
#[must_use]
pub fn sign_card_ext(api_ticket: &str, card_ext: &CardExt) -> String {
    let CardExt { card_id, code, openid, timestamp, nonce_str, balance, outer_str: _ } = *card_ext;
    sorted_digest(&mut [api_ticket, card_id, code, openid, timestamp, nonce_str, balance])
}

/// The `cardSign` of `wx.chooseCard`: 40 hexadecimal digits. `api_ticket` is of type `wx_card`.
///
/// ```
/// use cardhook::wechat_api::{ChooseCard, sign_choose_card};
///
/// let choose = ChooseCard { app_id: "b", timestamp: "1", nonce_str: "a", ..ChooseCard::default() };
/// assert_eq!(sign_choose_card("c", &choose), "61ad43d75ba33f5f8a8956ad2118d0b62f840fa2");
/// ```
#[must_use]
pub fn sign_choose_card(api_ticket: &str, choose: &ChooseCard) -> String {
    let ChooseCard { app_id, location_id, timestamp, nonce_str, card_id, card_type } = *choose;
    sorted_digest(&mut [api_ticket, app_id, location_id, timestamp, nonce_str, card_id, card_type])
}

/// The `signature` of `wx.config`: 40 hexadecimal digits. `url` is the page's own, without what follows `#`.
///
/// ```
/// use cardhook::wechat_api::sign_jsapi;
///
/// let ticket = "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg";
/// let signature = sign_jsapi(ticket, "Wm3WZYTPz0wzccnW", "1414587457", "http://mp.weixin.qq.com?params=value");
/// assert_eq!(signature, "0f9de62fce790f9a083d5c99e95740ceb90c27ed");
/// ```
#[must_use]
pub fn sign_jsapi(jsapi_ticket: &str, nonce_str: &str, timestamp: &str, url: &str) -> String {
    digest(&[format!("jsapi_ticket={jsapi_ticket}&noncestr={nonce_str}&timestamp={timestamp}&url={url}").as_str()])
}

/// SHA-1 over the values in the order of their bytes.
pub(super) fn sorted_digest(values: &mut [&str]) -> String {
    values.sort_unstable();
    digest(values)
}

fn digest(values: &[&str]) -> String {
    let mut sha1 = Sha1::new();
    for value in values {
        sha1.update(value.as_bytes());
    }
    sha1.finalize().iter().fold(String::with_capacity(40), |mut hex, byte| {
        // Writing to a `String` cannot fail.
        let _ = std::fmt::Write::write_fmt(&mut hex, format_args!("{byte:02x}"));
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wechats_printed_card_ext_signature_needs_the_blank_that_its_example_has() {
        let card_ext = CardExt {
            card_id: "pjZ8Yt1XGILfi-FUsewpnnolGgZk",
            code: "jonyqin_1434008071",
            timestamp: "1404896688",
            nonce_str: "jonyqin",
            ..CardExt::default()
        };
        let with_blank = sign_card_ext("ojZ8YtyVyr30HheH3CM73y7h4jJE ", &card_ext);
        assert_eq!(with_blank, "6b81fbf6af16e856334153b39737556063c82689");
    }

    #[test]
    fn a_channel_changes_no_signature_and_a_balance_does() {
        let plain = CardExt { card_id: "p1", timestamp: "1", nonce_str: "n", ..CardExt::default() };
        let signature = sign_card_ext("t", &plain);
        assert_eq!(sign_card_ext("t", &CardExt { outer_str: "poster", ..plain }), signature);
        assert_ne!(sign_card_ext("t", &CardExt { balance: "100", ..plain }), signature);
        assert!(plain.to_json(&signature).starts_with("{\"code\":\"\",\"openid\":\"\",\"timestamp\":\"1\""));
    }
}
