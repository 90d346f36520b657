//! Public signature and cipher vectors and sample bodies, read from `../shared` (or `CARDHOOK_SHARED`).
//!
//! They are not part of the project: without the folder these tests say so and check nothing.

use cardhook::protocol::{
    AesKey, AppId, Callback, Credentials, Document, Mode, OpenError, Query, Token, VerifyError, open, seal,
    secure_body, sign,
};
use serde_json::Value;

use crate::support::shared;

const SOME_CLEAR_BODY: &str = "<xml><ToUserName>gh_shop</ToUserName><MsgType>text</MsgType></xml>";

struct Vector<'a>(&'a Value);

impl<'a> Vector<'a> {
    fn get(&self, field: &str) -> Option<&'a str> {
        self.0.get(field).and_then(Value::as_str)
    }

    fn text(&self, field: &str) -> &'a str {
        self.get(field).unwrap_or_default()
    }

    fn credentials(&self, mode: Mode) -> Credentials {
        Credentials {
            mode,
            token: Token::new(self.text("token")),
            previous_token: None,
            aes_key: self.get("key").and_then(|key| AesKey::parse(key).ok()),
            previous_aes_key: None,
            app_id: self.get("appid").map(AppId::new),
        }
    }

    /// The query WeChat would send, with `signature` or `msg_signature` as given.
    fn query(&self, name: &str, signature: &str) -> String {
        let (timestamp, nonce) = (self.text("timestamp"), self.text("nonce"));
        let echostr = self.get("echostr").map(|echostr| format!("&echostr={echostr}")).unwrap_or_default();
        format!("{name}={signature}{echostr}&timestamp={timestamp}&nonce={nonce}")
    }

    /// Through the front door: verify and open; `None` where the vector has no key.
    fn open_push(&self, mode: Mode, query: &str, body: &str) -> Result<Result<Vec<u8>, OpenError>, VerifyError> {
        let credentials = self.credentials(mode);
        let push = Callback::new(Query::parse(query)?, body.as_bytes()).verify(&credentials)?;
        Ok(push.open(&credentials).map(|message| message.xml().to_vec()))
    }
}

/// Changes one hex digit.
fn altered(signature: &str) -> String {
    let last = if signature.ends_with('0') { "1" } else { "0" };
    format!("{}{last}", signature.get(..39).unwrap_or_default())
}

#[test]
fn every_public_vector_verifies_and_decrypts_and_the_negative_ones_are_refused() {
    let Some(path) = shared("vectors.json") else { return };
    let vectors: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for vector in vectors.iter().map(Vector) {
        let checks = check_signature(&vector) + check_message(&vector) + check_cipher(&vector) + check_card(&vector);
        assert!(checks > 0, "{}: nothing checked", vector.text("id"));
    }
    assert!(vectors.len() >= 33, "{} vectors", vectors.len());
}

/// `signature`: handshakes and clear pushes.
fn check_signature(vector: &Vector) -> u32 {
    let Some(signature) = vector.get("signature") else { return 0 };
    let id = vector.text("id");
    let query = vector.query("signature", signature);
    let wrong = vector.query("signature", &altered(signature));
    if vector.get("echostr").is_some() {
        let answer = |raw: &str| {
            let callback = Callback::new(Query::parse(raw)?, b"");
            callback.handshake(&vector.credentials(Mode::Secure)).map(str::to_owned)
        };
        assert_eq!(answer(&query), Ok(vector.text("echostr").to_owned()), "{id}");
        assert_eq!(answer(&wrong), Err(VerifyError::Signature), "{id}");
    } else {
        let body = vector.get("body").filter(|_| vector.get("encrypt").is_none()).unwrap_or(SOME_CLEAR_BODY);
        let read = vector.open_push(Mode::Plaintext, &query, body);
        assert_eq!(read, Ok(Ok(body.as_bytes().to_vec())), "{id}");
        assert_eq!(vector.open_push(Mode::Plaintext, &wrong, body), Err(VerifyError::Signature), "{id}");
        assert_eq!(vector.open_push(Mode::Secure, &query, body), Err(VerifyError::Signature), "{id}");
    }
    1
}

/// `msg_signature`: pushes with a ciphertext, through the front door.
fn check_message(vector: &Vector) -> u32 {
    let (id, encrypt) = (vector.text("id"), vector.text("encrypt"));
    let own = secure_body("gh_shop", encrypt);
    let body = vector.get("body").filter(|body| body.contains("<Encrypt>")).unwrap_or(&own);
    let mut checks = 0;
    if let Some(signature) = vector.get("msg_signature") {
        let expected = match vector.get("plaintext") {
            Some(plaintext) => Ok(plaintext.as_bytes().to_vec()),
            None => Err(OpenError::Decrypt),
        };
        let query = vector.query("msg_signature", signature);
        assert_eq!(vector.open_push(Mode::Secure, &query, body), Ok(expected.clone()), "{id}");
        assert_eq!(vector.open_push(Mode::Compat, &query, body), Ok(expected), "{id}");
        let wrong = vector.query("msg_signature", &altered(signature));
        assert_eq!(vector.open_push(Mode::Secure, &wrong, body), Err(VerifyError::Signature), "{id}");
        checks += 1;
    }
    if let Some(signature) = vector.get("expect_bad_msg_signature") {
        let query = vector.query("msg_signature", signature);
        assert_eq!(vector.open_push(Mode::Secure, &query, body), Err(VerifyError::Signature), "{id}");
        checks += 1;
    }
    checks
}

/// Encrypting and decrypting, whatever the message is.
fn check_cipher(vector: &Vector) -> u32 {
    let (id, encrypt) = (vector.text("id"), vector.text("encrypt"));
    let (Some(plaintext), Some(app_id)) = (vector.get("plaintext"), vector.get("appid").map(AppId::new)) else {
        return 0;
    };
    let key = AesKey::parse(vector.text("key"));
    let opened = |app_id: &AppId| key.as_ref().map(|key| open(key, app_id, encrypt));
    assert_eq!(opened(&app_id), Ok(Ok(plaintext.as_bytes().to_vec())), "{id}");
    assert!(matches!(opened(&AppId::new("wx0")), Ok(Err(OpenError::AppId { .. }))), "{id}");
    let random = vector.text("random").as_bytes().first_chunk();
    let sealed = key.as_ref().ok().zip(random).map(|(key, random)| seal(key, &app_id, random, plaintext.as_bytes()));
    assert_eq!(sealed.as_deref(), Some(encrypt), "{id}");
    let wrong = AesKey::parse(vector.get("wrong_key").unwrap_or(&"A1".repeat(22)[..43]));
    assert_eq!(wrong.map(|key| open(&key, &app_id, encrypt)), Ok(Err(OpenError::Decrypt)), "{id}");
    1
}

/// The signatures of card links are the same sum over other values.
fn check_card(vector: &Vector) -> u32 {
    let Some(values) = vector.0.get("card_values").and_then(Value::as_array) else { return 0 };
    let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
    let [first, rest @ ..] = values.as_slice() else { return 0 };
    assert_eq!(sign(&Token::new(*first), rest), vector.text("card_sign"), "{}", vector.text("id"));
    1
}

#[test]
fn every_public_sample_that_is_well_formed_is_read_and_the_others_are_refused() {
    let Some(folder) = shared("fixtures") else { return };
    let index = std::fs::read_to_string(folder.join("INDEX.tsv")).unwrap();
    for line in index.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let body = std::fs::read(folder.join(columns[0])).unwrap();
        let document = Document::parse(&body);
        assert_eq!(document.is_ok(), columns[5] == "yes", "{}: {document:?}", columns[0]);
        if columns[3] != "no" {
            assert!(document.is_ok_and(|document| document.first("Encrypt").is_some()), "{}", columns[0]);
        }
    }
}
