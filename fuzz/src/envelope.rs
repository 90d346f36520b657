//! A whole callback in each mode, verified and opened: contract §2.1's table, no forgery, and one identity in every mode.

use cardhook::{
    event::{Event, EventError},
    protocol::{
        Callback, Document, Message, Mode, OpenError, Query, QueryError, Value, VerifyError, compat_body, open, seal,
        secure_body, sign,
    },
};

use super::{
    document::BLANKS,
    push::{SECRETS, credentials, in_clear, json, received, record},
};

const LONGEST: usize = 4096;
/// What is composed stays within the bounds of a document.
const ELEMENTS: usize = 120;
const TIMESTAMP: &str = "1700000000";
const NONCE: &str = "424242";
const RANDOM: [u8; 16] = *b"sixteen of those";

/// What a callback's query presents.
#[derive(Clone, Copy)]
struct Presented {
    signature: bool,
    msg_signature: bool,
}

/// The first byte says how the rest is sent: two bits the signatures, two the mode, one whether it is the body or is sealed
/// into one; 255 is a query and a body by a stranger, with a line feed between them.
pub fn check(data: &[u8]) {
    let Some((kind, rest)) = data.split_first().filter(|(_, rest)| rest.len() <= LONGEST) else { return };
    if *kind == 255 {
        return by_a_stranger(rest);
    }
    let presented = Presented { signature: kind & 1 != 0, msg_signature: kind & 2 != 0 };
    let mode = Mode::ALL[usize::from(kind >> 2 & 3) % 3];
    if kind & 16 == 0 {
        signed_body(rest, mode, presented);
    } else {
        sealed_document(rest, mode);
    }
}

/// Nobody without the token gets past, whatever the mode; and what the quarantine would keep opens or fails in peace.
fn by_a_stranger(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let Some(query) = std::str::from_utf8(&data[..end]).ok().and_then(|raw| Query::parse(raw).ok()) else { return };
    let body = &data[end + 1..];
    for mode in Mode::ALL {
        let callback = || Callback::new(query.clone(), body);
        assert!(callback().verify(credentials(mode)).is_err(), "forged");
        assert!(callback().handshake(credentials(mode)).is_err(), "forged");
        if let Some(push) = callback().verified_at_receipt(mode) {
            assert_eq!(push.bare_signature(), None, "nothing was verified now");
            let _ = push.open(credentials(mode)).map(|message| received(&message).is_ok());
        }
    }
}

fn signed_body(body: &[u8], mode: Mode, presented: Presented) {
    let encrypt = encrypt_of(body);
    let query = query(presented, encrypt.as_deref().unwrap_or_default());
    let covered = covered(mode, presented, encrypt.is_some());
    let verified = Callback::new(query, body).verify(credentials(mode));
    match (covered, verified) {
        (Ok(sealed), Ok(push)) => {
            assert_eq!(push.body_authenticated(), sealed);
            assert_eq!(push.bare_signature().is_some(), !sealed);
            let opened = push.open(credentials(mode)).map(|message| message.xml().to_vec());
            let expected = if sealed { decrypted(&encrypt.unwrap_or_default()) } else { clear(body, mode) };
            assert_eq!(opened, expected);
        }
        (Err(expected), Err(refused)) => assert_eq!(refused, expected),
        (covered, verified) => panic!("{verified:?} where {covered:?} is due"),
    }
}

fn encrypt_of(body: &[u8]) -> Option<String> {
    let document = Document::parse(body).ok()?;
    match &document.first("Encrypt")?.value {
        Value::Text(text) => Some(text.trim_matches(BLANKS).to_owned()),
        Value::Elements(_) => None,
    }
}

fn query(presented: Presented, encrypt: &str) -> Query<'static> {
    let signature = sign(&SECRETS.token, &[TIMESTAMP, NONCE]);
    let msg_signature = sign(&SECRETS.token, &[TIMESTAMP, NONCE, encrypt]);
    Query {
        signature: presented.signature.then(|| signature.into()),
        msg_signature: presented.msg_signature.then(|| msg_signature.into()),
        timestamp: Some(TIMESTAMP.into()),
        nonce: Some(NONCE.into()),
        ..Query::default()
    }
}

/// Whether the sealed content is read, or the clear one.
fn covered(mode: Mode, presented: Presented, has_encrypt: bool) -> Result<bool, VerifyError> {
    match (mode, presented) {
        (_, Presented { signature: false, msg_signature: false }) => Err(QueryError::Missing("signature").into()),
        (Mode::Secure | Mode::Compat, Presented { msg_signature: true, .. }) if has_encrypt => Ok(true),
        (Mode::Compat | Mode::Plaintext, Presented { signature: true, .. }) => Ok(false),
        (Mode::Secure | Mode::Compat | Mode::Plaintext, _) => Err(VerifyError::Signature),
    }
}

fn decrypted(encrypt: &str) -> Result<Vec<u8>, OpenError> {
    let (app_id, keys) = (&SECRETS.app_id, [&SECRETS.key, &SECRETS.previous_key]);
    let opened = keys.map(|key| open(key, app_id, encrypt));
    let of_another = |opened: &Result<Vec<u8>, OpenError>| {
        opened.as_ref().err().copied().filter(|error| *error != OpenError::Decrypt)
    };
    let failure = opened.iter().filter_map(of_another).next_back().unwrap_or(OpenError::Decrypt);
    opened.into_iter().find_map(Result::ok).ok_or(failure)
}

fn clear(body: &[u8], mode: Mode) -> Result<Vec<u8>, OpenError> {
    let document = Document::parse(body)?;
    let sealed = mode == Mode::Plaintext && document.first("Encrypt").is_some();
    let failure = if sealed { OpenError::EncryptedPush } else { OpenError::NothingToRead };
    let beside = |tag: &str| !tag.eq_ignore_ascii_case("ToUserName") && !tag.eq_ignore_ascii_case("Encrypt");
    document.children.iter().any(|child| beside(&child.tag)).then(|| body.to_vec()).ok_or(failure)
}

fn sealed_document(xml: &[u8], mode: Mode) {
    let encrypt = seal(&SECRETS.key, &SECRETS.app_id, &RANDOM, xml);
    let body = secure_body("gh_fuzzed", &encrypt);
    let only = Presented { signature: false, msg_signature: true };
    match mode {
        Mode::Secure | Mode::Compat => {
            let push = Callback::new(query(only, &encrypt), body.as_bytes()).verify(credentials(mode));
            let message =
                push.expect("it is signed").open(credentials(mode)).expect("it is sealed with the account's key");
            assert_eq!((message.xml(), message.body_authenticated()), (xml, true));
            // Without a clear field there is nothing to compare.
            if let Ok(clear) = in_clear(xml) {
                assert_eq!(outcome(&message), outcome(&clear), "the mode counts");
            }
        }
        Mode::Plaintext => side_by_side(xml, &encrypt),
    }
    tampered(&encrypt, only);
}

/// Another ciphertext, by one character, under the same signature.
fn tampered(encrypt: &str, presented: Presented) {
    let (first, rest) = encrypt.split_at(1);
    let other = if first == "A" { "B" } else { "A" };
    let body = secure_body("gh_fuzzed", &format!("{other}{rest}"));
    let verified = Callback::new(query(presented, encrypt), body.as_bytes()).verify(credentials(Mode::Secure));
    assert_eq!(verified.err(), Some(VerifyError::Signature));
}

/// Clear fields and ciphertext of one push: whichever is read, it is the same event.
fn side_by_side(xml: &[u8], encrypt: &str) {
    let elements = xml.split(|byte| *byte == b'<').count();
    let Some(document) = Document::parse(xml).ok().filter(|_| elements <= ELEMENTS) else { return };
    let body = compat_body(&document, encrypt);
    let signature = Presented { signature: true, msg_signature: false };
    let push = Callback::new(query(signature, ""), body.as_bytes()).verify(credentials(Mode::Compat));
    let push = push.expect("it is signed");
    if let Ok(alone) = in_clear(xml) {
        let beside = push.open(credentials(Mode::Compat)).expect("it has the same clear fields");
        // What is written beside the ciphertext here was read before: most of it is clean.
        let unmarked = |outcome: Result<serde_json::Value, EventError>| {
            outcome.map(|mut published| {
                published["text_repaired"] = serde_json::Value::Null;
                published
            })
        };
        assert_eq!(
            unmarked(outcome(&beside)),
            unmarked(outcome(&alone)),
            "the clear fields beside the ciphertext say something else"
        );
    }
}

/// What is published, less what tells the modes apart.
fn outcome(message: &Message<'_>) -> Result<serde_json::Value, EventError> {
    let incoming: Event = received(message)?;
    let mut published = json(&record(&incoming));
    published["body_authenticated"] = serde_json::Value::Null;
    Ok(published)
}
