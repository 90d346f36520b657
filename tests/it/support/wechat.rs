//! The WeChat side: accounts, their pushes in each mode, and posting them.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

pub use cardhook::protocol::Mode;
use cardhook::protocol::{AesKey, AppId, Token, seal, sign};

use super::{
    http::{Answer, Connection},
    project, unix_seconds,
};

/// WeChat's side of an account.
#[derive(Debug, Clone)]
pub struct Account {
    pub name: &'static str,
    pub mode: Mode,
    pub token: &'static str,
    pub aes_key: &'static str,
    pub app_id: &'static str,
}

/// A push as it goes over the wire.
#[derive(Debug, Clone)]
pub struct Push {
    /// Path and query.
    pub target: String,
    pub body: Vec<u8>,
}

impl Account {
    /// The test account of a mode.
    pub fn of(mode: Mode) -> Self {
        Self {
            name: mode.name(),
            mode,
            token: "harnesstoken0042",
            // Its last character carries surplus bits, as three of four real keys do.
            aes_key: "cardhookCARDHOOK0123456789cardhookCARDHOOKx",
            app_id: "wx00c0ffee00c0ffee",
        }
    }

    /// Signs and wraps a clear document at a timestamp of now with a nonce of its own.
    pub fn push(&self, xml: &(impl AsRef<[u8]> + ?Sized)) -> Push {
        let (timestamp, nonce) = (unix_seconds().to_string(), nonce());
        self.push_at(xml, &timestamp, &nonce)
    }

    /// Signs and wraps a clear document.
    pub fn push_at(&self, xml: &(impl AsRef<[u8]> + ?Sized), timestamp: &str, nonce: &str) -> Push {
        let xml: &[u8] = xml.as_ref();
        let token = Token::new(self.token);
        let signature = sign(&token, &[timestamp, nonce]);
        let clear = format!("/wechat/{}?signature={signature}&timestamp={timestamp}&nonce={nonce}", self.name);
        if self.mode == Mode::Plaintext {
            return Push { target: clear, body: xml.to_vec() };
        }
        let encrypt = self.seal(xml);
        let msg_signature = sign(&token, &[timestamp, nonce, &encrypt]);
        let envelope = match self.mode {
            // The clear fields beside a ciphertext are not read.
            Mode::Compat => compat_envelope(&String::from_utf8_lossy(xml), &encrypt),
            Mode::Secure | Mode::Plaintext => secure_envelope(&encrypt),
        };
        let target = format!("{clear}&encrypt_type=aes&msg_signature={msg_signature}");
        Push { target, body: envelope.into_bytes() }
    }

    /// The base64 text of an `Encrypt` element.
    pub fn seal(&self, xml: &(impl AsRef<[u8]> + ?Sized)) -> String {
        let key = AesKey::parse(self.aes_key).unwrap();
        seal(&key, &AppId::new(self.app_id), b"0f1e2d3c4b5a6978", xml.as_ref())
    }

    /// Wraps and posts over a connection of its own, as WeChat does.
    pub fn post(&self, to: SocketAddr, xml: &(impl AsRef<[u8]> + ?Sized)) -> Answer {
        self.push(xml).post(to)
    }
}

impl Push {
    /// Posts over a connection of its own.
    pub fn post(&self, to: SocketAddr) -> Answer {
        Connection::open(to).unwrap().post(&self.target, &self.body).unwrap()
    }
}

/// A body of `tests/fixtures`, one per event: `user_get_card`.
pub fn fixture(event: &str) -> String {
    std::fs::read_to_string(project("tests/fixtures").join(format!("{event}.xml"))).unwrap()
}

/// A claim by `user`, one second's worth of it told apart by the card code.
pub fn claim(user: &str, code: &str, create_time: i64) -> String {
    format!(
        "<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName>\n\
         <FromUserName><![CDATA[{user}]]></FromUserName>\n\
         <CreateTime>{create_time}</CreateTime>\n\
         <MsgType><![CDATA[event]]></MsgType>\n\
         <Event><![CDATA[user_get_card]]></Event>\n\
         <CardId><![CDATA[pHarnessCard0000000000000001]]></CardId>\n\
         <IsGiveByFriend>0</IsGiveByFriend>\n\
         <UserCardCode><![CDATA[{code}]]></UserCardCode>\n\
         <FriendUserName><![CDATA[]]></FriendUserName>\n\
         <OuterId>0</OuterId>\n\
         <OldUserCardCode><![CDATA[]]></OldUserCardCode>\n\
         <OuterStr><![CDATA[harness]]></OuterStr>\n\
         <IsRestoreMemberCard>0</IsRestoreMemberCard>\n\
         <IsRecommendByFriend>0</IsRecommendByFriend>\n\
         <SourceScene><![CDATA[SOURCE_SCENE_QRCODE]]></SourceScene>\n\
         </xml>"
    )
}

fn nonce() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1_000_000_000);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}

/// The indented form with a trailing LF that WeChat sends (protocol §2.4).
fn secure_envelope(encrypt: &str) -> String {
    format!(
        "<xml>\n    <ToUserName><![CDATA[gh_0123456789ab]]></ToUserName>\n    <Encrypt><![CDATA[{encrypt}]]></Encrypt>\n</xml>\n"
    )
}

/// The clear elements, indented, and the ciphertext behind them.
fn compat_envelope(xml: &str, encrypt: &str) -> String {
    let clear = xml.trim_start_matches("<xml>").trim_end_matches("</xml>").trim();
    let mut envelope = String::from("<xml>\n");
    for line in clear.lines() {
        envelope.push_str("    ");
        envelope.push_str(line.trim());
        envelope.push('\n');
    }
    envelope + "    <Encrypt><![CDATA[" + encrypt + "]]></Encrypt>\n</xml>\n"
}
