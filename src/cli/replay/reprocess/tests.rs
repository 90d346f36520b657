use rdkafka::Timestamp;

use super::*;
use crate::{
    config::{OtherPolicy, SecretFiles},
    delivery::kafka_headers,
    event::Quarantine,
    protocol::{AesKey, AppId, Credentials, Document, Token, compat_body, seal, secure_body},
};

const RECEIVED_MS: i64 = 1_700_000_000_123;
const RIGHT_KEY: &str = "cardhookCARDHOOK0123456789cardhookCARDHOOKx";
const WRONG_KEY: &str = "0123456789CARDHOOKcardhook0123456789CARDHOO";
const SEALED: &str = "timestamp=1&nonce=2&signature=then&msg_signature=then";
const CLEAR: &str = "timestamp=1&nonce=2&signature=then";

fn account(aes_key: &str, other: OtherPolicy) -> Account {
    Account {
        name: "shop".to_owned(),
        path: "/wechat/shop".to_owned(),
        account_id: Some("gh_1".to_owned()),
        credentials: Credentials {
            mode: Mode::Plaintext,
            token: Token::new("changed-since"),
            previous_token: None,
            aes_key: Some(AesKey::parse(aes_key).unwrap()),
            previous_aes_key: None,
            app_id: Some(AppId::new("wx1")),
        },
        secret_files: SecretFiles::default(),
        max_age: None,
        other,
        upstream: None,
        app_secret: None,
        access_token_file: None,
    }
}

fn push(event: &str) -> String {
    format!(
        "<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>1600000000</CreateTime>\
         <MsgType>event</MsgType><Event>{event}</Event></xml>"
    )
}

fn encrypted(clear: &str) -> String {
    seal(&AesKey::parse(RIGHT_KEY).unwrap(), &AppId::new("wx1"), b"0f1e2d3c4b5a6978", clear.as_bytes())
}

fn message(record: Record) -> OwnedMessage {
    let headers = kafka_headers(&record);
    let Record { key, timestamp_ms, value, .. } = record;
    let timestamp = Timestamp::CreateTime(timestamp_ms);
    OwnedMessage::new(
        Some(value.to_vec()),
        key.map(String::into_bytes),
        "dlq".to_owned(),
        timestamp,
        0,
        0,
        Some(headers),
    )
}

fn quarantined(reason: &'static str, mode: Mode, query: &str, body: &str) -> OwnedMessage {
    let (detail, account, body) = ("then", "shop", body.as_bytes());
    let quarantine =
        Quarantine { reason, detail, account, mode: mode.name(), received_at_ms: RECEIVED_MS, query, body };
    message(quarantine.record())
}

fn judged(account: Account, reasons: &[Reason], message: &OwnedMessage) -> Verdict {
    Judge::new(&[account], reasons).judge(message)
}

fn published(verdict: Verdict) -> (Destination, &'static str, Record) {
    match verdict {
        Verdict::Publish { destination, event_type, record } => (destination, event_type, record),
        Verdict::Ignore | Verdict::Return(_) => panic!("{verdict:?}"),
    }
}

fn field(record: &Record, name: &str) -> serde_json::Value {
    serde_json::from_slice::<serde_json::Value>(&record.value).unwrap()[name].clone()
}

#[test]
fn a_push_is_read_by_its_mode_at_receipt_whatever_token_and_mode_are_now() {
    let clear = push("user_view_card");
    let sealed = encrypted(&clear);
    let secure = secure_body("gh_1", &sealed);
    let compat = compat_body(&Document::parse(clear.as_bytes()).unwrap(), &sealed);
    let mut ids = Vec::new();
    for (mode, query, body, authenticated) in [
        (Mode::Secure, SEALED, &secure, true),
        (Mode::Compat, SEALED, &compat, true),
        (Mode::Compat, CLEAR, &compat, false),
        (Mode::Plaintext, SEALED, &compat, false),
    ] {
        let message = quarantined("decrypt", mode, query, body);
        let (destination, event_type, record) =
            published(judged(account(RIGHT_KEY, OtherPolicy::Ignore), &[], &message));
        assert_eq!((destination, event_type), (Destination::Events, "card.viewed"));
        assert_eq!(field(&record, "body_authenticated"), authenticated, "{mode:?} {query}");
        assert_eq!(field(&record, "received_at"), "2023-11-14T22:13:20.123Z");
        assert_eq!(record.timestamp_ms, 1_600_000_000_000);
        ids.push(field(&record, "event_id"));
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn what_still_cannot_be_read_is_returned_for_the_reason_of_today() {
    let other_account = push("user_view_card").replace("gh_1", "gh_2");
    let no_user = push("user_view_card").replace("o1", "");
    for (key, clear, reason) in [
        (WRONG_KEY, push("user_view_card"), "decrypt"),
        (RIGHT_KEY, other_account, "wrong_account"),
        (RIGHT_KEY, no_user, "missing_field"),
        (RIGHT_KEY, "<xml>".to_owned(), "malformed"),
    ] {
        let message = quarantined("app_id", Mode::Secure, SEALED, &secure_body("gh_1", &encrypted(&clear)));
        assert_eq!(judged(account(key, OtherPolicy::Ignore), &[], &message), Verdict::Return(reason));
    }
}

#[test]
fn a_reused_nonce_is_replayed_only_when_asked_for() {
    let message = quarantined("nonce_reused", Mode::Plaintext, CLEAR, &push("user_view_card"));
    let judge = |reasons: &[Reason]| judged(account(RIGHT_KEY, OtherPolicy::Ignore), reasons, &message);
    assert_eq!(judge(&[]), Verdict::Return("nonce_reused"));
    assert_eq!(judge(&[Reason::Decrypt]), Verdict::Return("nonce_reused"));
    assert_eq!(published(judge(&[Reason::Decrypt, Reason::NonceReused])).1, "card.viewed");
}

#[test]
fn other_messages_go_to_their_own_topic_or_nowhere() {
    let message = quarantined("malformed", Mode::Plaintext, CLEAR, &push("subscribe"));
    assert_eq!(judged(account(RIGHT_KEY, OtherPolicy::Ignore), &[], &message), Verdict::Ignore);
    let (destination, event_type, _) = published(judged(account(RIGHT_KEY, OtherPolicy::Publish), &[], &message));
    assert_eq!((destination, event_type), (Destination::Other, "other"));
}

#[test]
fn a_rejected_record_goes_out_as_it_was() {
    let message_of_event = quarantined("decrypt", Mode::Plaintext, CLEAR, &push("user_view_card"));
    let (_, _, record) = published(judged(account(RIGHT_KEY, OtherPolicy::Ignore), &[], &message_of_event));
    let rejected = message(record.clone().rejected("too_large", "gone", "secure", RECEIVED_MS));
    let again = published(judged(account(WRONG_KEY, OtherPolicy::Ignore), &[], &rejected));
    assert_eq!(again, (Destination::Events, "card.viewed", record));
}

#[test]
fn a_rejected_message_that_is_no_card_event_keeps_its_topic() {
    let text = quarantined("malformed", Mode::Plaintext, CLEAR, &push("subscribe"));
    let (_, _, record) = published(judged(account(RIGHT_KEY, OtherPolicy::Publish), &[], &text));
    let rejected = message(record.rejected("too_large", "shop", "secure", RECEIVED_MS));
    assert_eq!(published(judged(account(RIGHT_KEY, OtherPolicy::Ignore), &[], &rejected)).0, Destination::Other);
}

#[test]
fn what_cardhook_did_not_write_is_returned() {
    let judge = |message: &OwnedMessage| judged(account(RIGHT_KEY, OtherPolicy::Ignore), &[], message);
    let bare = OwnedMessage::new(None, None, "dlq".to_owned(), Timestamp::NotAvailable, 0, 0, None);
    assert_eq!(judge(&bare), Verdict::Return(FOREIGN));
    for (reason, mode, query) in
        [("invented", Mode::Plaintext, CLEAR), ("decrypt", Mode::Secure, CLEAR), ("decrypt", Mode::Plaintext, "nonce=")]
    {
        let message = quarantined(reason, mode, query, &push("user_view_card"));
        assert_eq!(judge(&message), Verdict::Return(FOREIGN), "{reason} {mode:?} {query}");
    }
}

#[test]
fn an_account_that_is_gone_is_named_as_the_reason() {
    let renamed = Account { name: "shop-2".to_owned(), ..account(RIGHT_KEY, OtherPolicy::Ignore) };
    let message = quarantined("decrypt", Mode::Plaintext, CLEAR, &push("user_view_card"));
    assert_eq!(judged(renamed, &[], &message), Verdict::Return(UNKNOWN_ACCOUNT));
}

#[test]
fn every_reason_is_asked_for_by_its_header_s_name() {
    for reason in Reason::value_variants() {
        assert_eq!(reason.to_possible_value().unwrap().get_name(), reason.name());
    }
}
