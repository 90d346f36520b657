//! What one event costs from query and body to its Kafka record: time and allocations, without HTTP and delivery.
//!
//! One claim of the usual size, in secure mode and in clear. `cargo bench --locked --no-default-features --bench pipeline`.
#![expect(clippy::expect_used, reason = "a push that does not read is no measurement")]

use std::alloc::System;

use cardhook::{
    event::{Event, Receipt, Record, read},
    protocol::{AesKey, AppId, Callback, Credentials, Mode, Query, Token, seal, secure_body, sign},
};
use divan::{AllocProfiler, Bencher};

#[global_allocator]
static ALLOCATOR: AllocProfiler<System> = AllocProfiler::system();

const CLAIM: &str = "<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName>\n\
    <FromUserName><![CDATA[oBenchUser000000000000000042]]></FromUserName>\n\
    <CreateTime>1767225600</CreateTime>\n\
    <MsgType><![CDATA[event]]></MsgType>\n\
    <Event><![CDATA[user_get_card]]></Event>\n\
    <CardId><![CDATA[pBenchCard000000000000000001]]></CardId>\n\
    <IsGiveByFriend>0</IsGiveByFriend>\n\
    <UserCardCode><![CDATA[000000000042]]></UserCardCode>\n\
    <FriendUserName><![CDATA[]]></FriendUserName>\n\
    <OuterId>0</OuterId>\n\
    <OldUserCardCode><![CDATA[]]></OldUserCardCode>\n\
    <OuterStr><![CDATA[bench]]></OuterStr>\n\
    <IsRestoreMemberCard>0</IsRestoreMemberCard>\n\
    <IsRecommendByFriend>0</IsRecommendByFriend>\n\
    <SourceScene><![CDATA[SOURCE_SCENE_QRCODE]]></SourceScene>\n\
    </xml>";
const TIMESTAMP: &str = "1767225600";
const NONCE: &str = "1234567890";

fn main() {
    divan::main();
}

#[divan::bench(args = [Mode::Secure, Mode::Plaintext], sample_count = 1000, sample_size = 100)]
fn claim(bencher: Bencher<'_, '_>, mode: Mode) {
    let credentials = Credentials {
        mode,
        token: Token::new("benchtoken0042"),
        previous_token: None,
        aes_key: Some(AesKey::parse("cardhookCARDHOOK0123456789cardhookCARDHOOKx").expect("a key")),
        previous_aes_key: None,
        app_id: Some(AppId::new("wx00c0ffee00c0ffee")),
    };
    let (query, body) = push(&credentials);
    bencher.bench(|| record(&credentials, &query, body.as_bytes()));
}

/// As the HTTP workers do it.
fn record(credentials: &Credentials, query: &str, body: &[u8]) -> Record {
    let push = Callback::new(Query::parse(query).expect("a query"), body).verify(credentials).expect("signed");
    let message = push.open(credentials).expect("sealed");
    let receipt = Receipt { account: "shop", account_id: None, received_at_ms: 1_767_225_600_345 };
    match read(&message, receipt).expect("an event") {
        Event::Card(event) => event.record(),
        Event::Other(message) => message.record(),
    }
}

/// Query and body as WeChat sends them.
fn push(credentials: &Credentials) -> (String, String) {
    let (key, app_id) = (credentials.aes_key.as_ref().expect("a key"), credentials.app_id.as_ref().expect("an AppID"));
    let signature = sign(&credentials.token, &[TIMESTAMP, NONCE]);
    let query =
        format!("signature={signature}&timestamp={TIMESTAMP}&nonce={NONCE}&openid=oBenchUser000000000000000042");
    if credentials.mode == Mode::Plaintext {
        return (query, CLAIM.to_owned());
    }
    let encrypt = seal(key, app_id, b"0f1e2d3c4b5a6978", CLAIM.as_bytes());
    let msg_signature = sign(&credentials.token, &[TIMESTAMP, NONCE, &encrypt]);
    let query = format!("{query}&encrypt_type=aes&msg_signature={msg_signature}");
    (query, secure_body("gh_0123456789ab", &encrypt))
}
