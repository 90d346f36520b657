//! The table of contract §2.1 line by line, rotation, and what a query must have.

mod opened;

use proptest::prelude::*;

use super::super::{AesKey, AppId, seal, secure_body, sign};
use super::*;

const CLEAR: &str =
    "<xml><ToUserName><![CDATA[gh_shop]]></ToUserName>\n<Event><![CDATA[user_get_card]]></Event>\n</xml>";
const INNER: &str =
    "<xml><ToUserName><![CDATA[gh_shop]]></ToUserName>\n<Event><![CDATA[user_del_card]]></Event>\n</xml>";
const RANDOM: &[u8; 16] = b"0123456789abcdef";
const TIMESTAMP: &str = "1700000000";
const NONCE: &str = "27055319";

fn key(letter: &str) -> AesKey {
    AesKey::parse(&letter.repeat(43)).unwrap()
}

fn app_id() -> AppId {
    AppId::new("wx00000000000000aa")
}

fn credentials(mode: Mode) -> Credentials {
    Credentials {
        mode,
        token: Token::new("now"),
        previous_token: None,
        aes_key: Some(key("b")),
        previous_aes_key: None,
        app_id: Some(app_id()),
    }
}

fn sealed_with(letter: &str) -> String {
    seal(&key(letter), &app_id(), RANDOM, INNER.as_bytes())
}

fn signature(token: &str) -> String {
    sign(&Token::new(token), &[TIMESTAMP, NONCE])
}

fn msg_signature(token: &str, encrypt: &str) -> String {
    sign(&Token::new(token), &[TIMESTAMP, NONCE, encrypt])
}

/// A query with these two parameters where they are given.
fn query(signature: Option<&str>, msg_signature: Option<&str>) -> String {
    let part = |name: &str, value: Option<&str>| value.map(|value| format!("&{name}={value}")).unwrap_or_default();
    format!(
        "timestamp={TIMESTAMP}&nonce={NONCE}{}{}",
        part("signature", signature),
        part("msg_signature", msg_signature)
    )
}

#[test]
fn only_what_msg_signature_does_not_cover_has_a_bare_signature() {
    let encrypt = sealed_with("b");
    let (signature, msg_signature) = (signature("now"), msg_signature("now", &encrypt));
    let body = secure_body("gh_shop", &encrypt);
    let bare = |mode, query: &str, body: &str| verify(query, body, &credentials(mode)).unwrap().bare_signature();
    let both = query(Some(&signature), Some(&msg_signature));
    assert_eq!(bare(Mode::Secure, &both, &body), None);
    assert_eq!(bare(Mode::Compat, &both, &body), None);
    for mode in [Mode::Compat, Mode::Plaintext] {
        assert!(bare(mode, &query(Some(&signature), None), CLEAR).is_some());
    }
}

fn verify<'a>(query: &'a str, body: &'a str, credentials: &Credentials) -> Result<VerifiedPush<'a>, VerifyError> {
    Callback::new(Query::parse(query)?, body.as_bytes()).verify(credentials)
}

fn refused(query: &str, body: &str, credentials: &Credentials) -> VerifyError {
    verify(query, body, credentials).map(|_| ()).unwrap_err()
}

/// What is read, and whether `msg_signature` covered it.
fn read(query: &str, body: &str, credentials: &Credentials) -> Result<(String, bool), OpenError> {
    let message = verify(query, body, credentials).unwrap().open(credentials)?;
    Ok((String::from_utf8(message.xml().to_vec()).unwrap(), message.body_authenticated()))
}

fn with_encrypt(encrypt: &str) -> String {
    CLEAR.replace("</xml>", &format!("<Encrypt><![CDATA[{encrypt}]]></Encrypt>\n</xml>"))
}

#[test]
fn a_secure_account_takes_only_encrypt_with_a_right_msg_signature() {
    let account = credentials(Mode::Secure);
    let encrypt = sealed_with("b");
    let (plain, covering) = (signature("now"), msg_signature("now", &encrypt));
    let body = secure_body("gh_shop", &encrypt);

    assert_eq!(read(&query(None, Some(&covering)), &body, &account), Ok((INNER.to_owned(), true)));
    // `signature` beside it is not looked at.
    assert_eq!(read(&query(Some("wrong"), Some(&covering)), &body, &account), Ok((INNER.to_owned(), true)));
    // The clear fields beside it are not read.
    assert_eq!(read(&query(None, Some(&covering)), &with_encrypt(&encrypt), &account), Ok((INNER.to_owned(), true)));

    for (query, body) in [
        (query(Some(&plain), None), body.as_str()),
        (query(Some(&plain), Some(&plain)), &body),
        (query(Some(&plain), Some(&covering)), CLEAR),
        (query(Some(&plain), None), CLEAR),
        (query(Some(&plain), Some(&covering)), "{\"ToUserName\":\"gh_shop\",\"Encrypt\":\"x\"}"),
        (query(Some(&plain), Some(&covering)), "not xml"),
        (query(Some(&plain), Some(&covering)), ""),
        (query(Some(&plain), Some(&covering)), &secure_body("gh_shop", &sealed_with("c"))),
    ] {
        assert_eq!(refused(&query, body, &account), VerifyError::Signature, "{query} {body}");
    }
}

#[test]
fn a_compat_account_reads_the_ciphertext_when_both_are_there() {
    let account = credentials(Mode::Compat);
    let encrypt = sealed_with("b");
    let (plain, covering) = (signature("now"), msg_signature("now", &encrypt));
    for body in [with_encrypt(&encrypt), secure_body("gh_shop", &encrypt)] {
        assert_eq!(read(&query(Some(&plain), Some(&covering)), &body, &account), Ok((INNER.to_owned(), true)));
        assert_eq!(read(&query(None, Some(&covering)), &body, &account), Ok((INNER.to_owned(), true)));
        // A right `signature` does not make up for a wrong `msg_signature`.
        assert_eq!(refused(&query(Some(&plain), Some(&plain)), &body, &account), VerifyError::Signature);
    }
}

#[test]
fn a_compat_account_reads_the_clear_fields_when_only_one_of_them_or_neither_is_there() {
    let account = credentials(Mode::Compat);
    let encrypt = sealed_with("b");
    let (plain, covering) = (signature("now"), msg_signature("now", &encrypt));
    let both = with_encrypt(&encrypt);
    for (query, body) in [
        (query(Some(&plain), None), both.as_str()),
        (query(Some(&plain), Some(&covering)), CLEAR),
        (query(Some(&plain), Some("wrong")), CLEAR),
        (query(Some(&plain), None), CLEAR),
    ] {
        assert_eq!(read(&query, body, &account), Ok((body.to_owned(), false)), "{query}");
    }
    assert_eq!(refused(&query(Some("wrong"), None), CLEAR, &account), VerifyError::Signature);
    // Where `signature` is to be verified and only `msg_signature` was sent.
    assert_eq!(refused(&query(None, Some(&covering)), CLEAR, &account), VerifyError::Signature);
}

#[test]
fn a_plaintext_account_verifies_signature_and_ignores_encrypt() {
    let mut account = credentials(Mode::Plaintext);
    (account.aes_key, account.app_id) = (None, None);
    let encrypt = sealed_with("b");
    let (plain, covering) = (signature("now"), msg_signature("now", &encrypt));
    let both = with_encrypt(&encrypt);
    for msg_signature in [None, Some(covering.as_str()), Some("wrong")] {
        for body in [CLEAR, &both] {
            assert_eq!(read(&query(Some(&plain), msg_signature), body, &account), Ok((body.to_owned(), false)));
            assert_eq!(refused(&query(Some("wrong"), msg_signature), body, &account), VerifyError::Signature);
        }
    }
    assert_eq!(refused(&query(None, Some(&covering)), &both, &account), VerifyError::Signature);
}

#[test]
fn the_previous_token_and_key_serve_while_rotating_and_each_with_either() {
    let rotating = |mode| Credentials {
        previous_token: Some(Token::new("before")),
        previous_aes_key: Some(key("c")),
        ..credentials(mode)
    };
    for token in ["now", "before"] {
        for letter in ["b", "c"] {
            let encrypt = sealed_with(letter);
            let query = query(None, Some(&msg_signature(token, &encrypt)));
            let body = secure_body("gh_shop", &encrypt);
            assert_eq!(read(&query, &body, &rotating(Mode::Secure)), Ok((INNER.to_owned(), true)), "{token} {letter}");
            let generation = |is_current| if is_current { Generation::Current } else { Generation::Previous };
            let callback = Callback::new(Query::parse(&query).unwrap(), body.as_bytes());
            let push = callback.verify(&rotating(Mode::Secure)).unwrap();
            assert_eq!(push.token(), Some(generation(token == "now")), "{token} {letter}");
            let message = push.open(&rotating(Mode::Secure)).unwrap();
            assert_eq!(message.key(), Some(generation(letter == "b")), "{token} {letter}");
        }
        let query = query(Some(&signature(token)), None);
        assert_eq!(read(&query, CLEAR, &rotating(Mode::Plaintext)), Ok((CLEAR.to_owned(), false)));
    }
    let gone = query(Some(&signature("long ago")), None);
    assert_eq!(refused(&gone, CLEAR, &rotating(Mode::Plaintext)), VerifyError::Signature);
    // Another AppID is named with the previous key too.
    let encrypt = seal(&key("c"), &AppId::new("wx00000000000000bb"), RANDOM, INNER.as_bytes());
    let query = query(None, Some(&msg_signature("now", &encrypt)));
    let error = read(&query, &secure_body("gh_shop", &encrypt), &rotating(Mode::Secure)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "decrypted, but made for another AppID: it says wx00000000000000bb, and app_id is wx00000000000000aa"
    );
}

#[test]
fn the_handshake_answers_the_echostr_byte_for_byte_in_every_mode() {
    for mode in [Mode::Plaintext, Mode::Compat, Mode::Secure] {
        let account = Credentials { previous_token: Some(Token::new("before")), ..credentials(mode) };
        for token in ["now", "before"] {
            let query = format!("{}&echostr=8641591277801631551%2b+%0A", query(Some(&signature(token)), None));
            let callback = Callback::new(Query::parse(&query).unwrap(), b"");
            assert_eq!(callback.handshake(&account), Ok("8641591277801631551++\n"));
        }
        let query = format!("{}&echostr=1", query(Some(&signature("other")), Some("x")));
        let callback = Callback::new(Query::parse(&query).unwrap(), b"");
        assert_eq!(callback.handshake(&account), Err(VerifyError::Signature));
    }
}

#[test]
fn what_a_handshake_or_a_push_needs_and_lacks_is_named() {
    let whole = "signature=1&timestamp=2&nonce=3&echostr=4";
    for (at, name) in ["signature", "timestamp", "nonce", "echostr"].into_iter().enumerate() {
        let mut pairs: Vec<&str> = whole.split('&').collect();
        pairs.remove(at);
        let lacking = pairs.join("&");
        let missing = VerifyError::Query(QueryError::Missing(name));
        let callback = Callback::new(Query::parse(&lacking).unwrap(), b"");
        assert_eq!(callback.handshake(&credentials(Mode::Secure)), Err(missing));
        for mode in [Mode::Plaintext, Mode::Compat, Mode::Secure] {
            let expected = if name == "echostr" { VerifyError::Signature } else { missing };
            assert_eq!(refused(&lacking, CLEAR, &credentials(mode)), expected, "{lacking}");
        }
    }
    let only_msg_signature = "msg_signature=1&timestamp=2&nonce=3&echostr=4";
    let callback = Callback::new(Query::parse(only_msg_signature).unwrap(), b"");
    let missing = VerifyError::Query(QueryError::Missing("signature"));
    assert_eq!(callback.handshake(&credentials(Mode::Plaintext)), Err(missing));
    assert_eq!(refused(only_msg_signature, CLEAR, &credentials(Mode::Plaintext)), VerifyError::Signature);
}

#[test]
fn no_stage_prints_what_it_holds() {
    let encrypt = sealed_with("b");
    let query = query(None, Some(&msg_signature("now", &encrypt)));
    let body = secure_body("gh_shop", &encrypt);
    let account = credentials(Mode::Secure);
    let callback = Callback::new(Query::parse(&query).unwrap(), body.as_bytes());
    let callback_printed = format!("{callback:?}");
    let push = callback.verify(&account).unwrap();
    let push_printed = format!("{push:?}");
    let message = push.open(&account).unwrap();
    let printed = format!("{callback_printed} {push_printed} {message:?} {account:?}");
    for secret in [NONCE, "gh_shop", "user_del_card", &encrypt[..10], "now", "\"b"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}

proptest! {
    #[test]
    fn any_order_of_the_parameters_verifies(order in Just([0, 1, 2, 3, 4, 5, 6, 7, 8]).prop_shuffle(), encoded: bool) {
        let encrypt = sealed_with("b");
        let parameters = [
            ("signature", signature("now")), ("timestamp", TIMESTAMP.to_owned()), ("nonce", NONCE.to_owned()),
            ("openid", "oUser".to_owned()), ("encrypt_type", "aes".to_owned()), ("msg_signature", msg_signature("now", &encrypt)),
            ("echostr", "1".to_owned()), ("own", "1".to_owned()), ("own", "2".to_owned()),
        ];
        let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
        let pairs = order.map(|at| {
            let (name, value) = &parameters[at];
            if encoded { format!("{}={}", percent(name), percent(value)) } else { format!("{name}={value}") }
        });
        let query = pairs.join("&");
        for (mode, body) in [(Mode::Secure, secure_body("gh_shop", &encrypt)), (Mode::Compat, with_encrypt(&encrypt)), (Mode::Plaintext, CLEAR.to_owned())] {
            prop_assert!(read(&query, &body, &credentials(mode)).is_ok());
        }
    }

    #[test]
    fn no_bytes_panic_the_way_to_a_message(body in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
        for mode in [Mode::Plaintext, Mode::Compat, Mode::Secure] {
            let account = credentials(mode);
            let covered = format!("<xml><Encrypt><![CDATA[{text}]]></Encrypt></xml>");
            let covering = msg_signature("now", text.trim_matches(BLANKS));
            let query = query(Some(&signature("now")), Some(&covering));
            for body in [body.as_slice(), text.as_bytes(), covered.as_bytes()] {
                if let Ok(push) = Callback::new(Query::parse(&query).unwrap(), body).verify(&account) {
                    let _ = push.open(&account);
                }
            }
        }
    }
}
