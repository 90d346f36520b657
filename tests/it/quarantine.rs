//! What is verified and cannot become an event goes to the DLQ topic, once, and is answered `success` (contract §3.2).

use crate::support::{
    cardhook::{Setup, Topics},
    consume::{Record, records},
    kafka::shared_broker,
    wechat::{Account, Mode, Push, fixture},
};

/// Posts each push twice and reads the DLQ topic.
fn quarantined(pushes: &[Push], lines: &str) -> Vec<Record> {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let account = Account::of(Mode::Secure);
    let service = Setup::new(kafka, &topics).replace_account(&account, lines).serve();
    for push in pushes {
        for _ in 0..2 {
            let answer = push.post(service.public);
            assert!(answer.is_success(), "{answer:?}");
        }
    }
    service.wait_drained();
    assert_eq!(records(kafka, &topics.events).len(), 0);
    records(kafka, &topics.dlq)
}

#[test]
fn each_reason_stands_in_the_header_of_the_body_as_received() {
    let account = Account::of(Mode::Secure);
    let get = fixture("user_get_card");
    let cases = [
        ("decrypt", Account { aes_key: "0123456789CARDHOOKcardhook0123456789CARDHOO", ..account.clone() }.push(&get)),
        ("app_id", Account { app_id: "wx00000000000000ff", ..account.clone() }.push(&get)),
        ("malformed", account.push("<xml><Event>user_get_card</Event>")),
        ("missing_field", account.push(&get.replace("oHarnessUser00000000000000A1", ""))),
        ("wrong_account", account.push(&get.replace("gh_0123456789ab", "gh_ffffffffffff"))),
    ];
    let pushes = cases.each_ref().map(|(_, push)| push.clone());
    let records = quarantined(&pushes, "account_id = \"gh_0123456789ab\"");
    assert_eq!(records.len(), cases.len(), "each once");
    for ((reason, push), record) in cases.iter().zip(&records) {
        assert_eq!(record.header("dlq_reason"), Some(*reason));
        assert_eq!(record.payload.as_bytes(), push.body, "{reason}");
        assert_eq!(record.key, None, "{reason}");
        assert_eq!(record.header("dlq_account"), Some("secure"), "{reason}");
        assert_eq!(record.header("dlq_mode"), Some("secure"), "{reason}");
        assert_eq!(record.header("dlq_query"), push.target.split_once('?').map(|(_, query)| query), "{reason}");
        assert!(record.header("dlq_detail").is_some_and(|detail| !detail.is_empty()), "{reason}");
        let received: jiff::Timestamp = record.header("dlq_received_at").unwrap().parse().unwrap();
        assert_eq!(received.as_millisecond(), record.timestamp_ms, "{reason}");
    }
}

#[test]
fn a_doctype_another_encoding_broken_markup_and_depth_are_malformed_and_the_detail_says_which() {
    let account = Account::of(Mode::Secure);
    let details = [
        "has a DOCTYPE",
        "is in another encoding than UTF-8",
        "not well-formed XML at byte 15",
        "has bytes in a tag at byte 5",
        "nested deeper than 8",
        "more than 256 elements",
        "a third-party platform's push",
        "",
    ];
    let bodies = [
        "<!DOCTYPE xml [<!ENTITY a \"b\">]><xml><CardId>&a;</CardId></xml>".to_owned(),
        "<?xml version=\"1.0\" encoding=\"GBK\"?><xml><CardId>1</CardId></xml>".to_owned(),
        "<xml><CardId>a & b</CardId></xml>".to_owned(),
        "<xml><CardId\u{1}>1</CardId\u{1}></xml>".to_owned(),
        format!("<xml>{}{}</xml>", "<a>".repeat(9), "</a>".repeat(9)),
        format!("<xml>{}</xml>", "<a/>".repeat(300)),
        "<xml><AppId>wx1</AppId><InfoType>component_verify_ticket</InfoType></xml>".to_owned(),
        "{\"ToUserName\": \"gh_0123456789ab\"}".to_owned(),
    ];
    let pushes: Vec<Push> = bodies.iter().map(|body| account.push(body)).collect();
    let records = quarantined(&pushes, "");
    assert_eq!(records.len(), bodies.len());
    for (record, detail) in records.iter().zip(details) {
        assert_eq!(record.header("dlq_reason"), Some("malformed"));
        assert!(record.header("dlq_detail").unwrap().contains(detail), "{detail} in {record:?}");
    }
}
