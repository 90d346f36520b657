//! An account of the fuzzers' own, and the pushes it receives.

use std::sync::LazyLock;

use cardhook::{
    event::{Event, EventError, Receipt, Record, read},
    protocol::{AesKey, AppId, Callback, Credentials, Message, Mode, OpenError, Query, Token},
};

/// 2023-11-14T22:13:20Z
pub const RECEIVED_S: i64 = 1_700_000_000;

/// The current secrets of the account.
pub struct Secrets {
    pub token: Token,
    pub app_id: AppId,
    pub key: AesKey,
    pub previous_key: AesKey,
}

pub static SECRETS: LazyLock<Secrets> = LazyLock::new(|| Secrets {
    token: Token::new("fuzzers-token"),
    app_id: AppId::new("wx0000000000000fed"),
    key: AesKey::parse(&"K".repeat(43)).unwrap(),
    previous_key: AesKey::parse(&"P".repeat(43)).unwrap(),
});

static CREDENTIALS: LazyLock<[Credentials; 3]> = LazyLock::new(|| {
    Mode::ALL.map(|mode| Credentials {
        mode,
        token: SECRETS.token.clone(),
        previous_token: Some(Token::new("fuzzers-previous-token")),
        aes_key: Some(SECRETS.key.clone()),
        previous_aes_key: Some(SECRETS.previous_key.clone()),
        app_id: Some(SECRETS.app_id.clone()),
    })
});

/// The account in this mode.
pub fn credentials(mode: Mode) -> &'static Credentials {
    &CREDENTIALS[mode as usize]
}

/// A push in clear, verified.
pub fn in_clear(xml: &[u8]) -> Result<Message<'_>, OpenError> {
    let query = Query { signature: Some("looked at before".into()), ..Query::default() };
    let verified = Callback::new(query, xml).verified_at_receipt(Mode::Plaintext);
    verified.expect("a body and a signature").open(credentials(Mode::Plaintext))
}

/// Reads a message as the receiver does.
pub fn received<'m>(message: &'m Message<'_>) -> Result<Event<'m>, EventError> {
    read(message, Receipt { account: "shop", account_id: None, received_at_ms: RECEIVED_S * 1000 + 45 })
}

/// What is published.
pub fn record(incoming: &Event<'_>) -> Record {
    match incoming {
        Event::Card(event) => event.record(),
        Event::Other(message) => message.record(),
    }
}

/// The JSON of what is published.
pub fn json(record: &Record) -> serde_json::Value {
    serde_json::from_slice(&record.value).expect("the value is JSON")
}
