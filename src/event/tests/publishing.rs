//! The Kafka record of contract §1.3 and the quarantine's of §3.2.

use super::{RECEIPT, card, document, other, push};
use crate::event::{EventType, Quarantine, Record};

fn header<'r>(record: &'r Record, name: &str) -> Option<&'r str> {
    record.headers.get(name)
}

#[test]
fn the_headers_are_those_of_cloud_events_in_order() {
    let event = card(&push("user_get_card", &[("CardId", "pCard1")]));
    let expected = [
        ("content-type", "application/json"),
        ("ce_specversion", "1.0"),
        ("ce_id", &event.event_id().to_string()),
        ("ce_type", "com.qq.weixin.card.received.v1"),
        ("ce_source", "/wechat/gh_invented"),
        ("ce_time", "2016-08-30T10:24:02Z"),
        ("ce_subject", "pCard1"),
        ("ce_dataschema", "urn:cardhook:card.received:v1"),
    ];
    let record = event.record();
    let headers: Vec<_> = record.headers.iter().collect();
    assert_eq!(headers, expected);
}

#[test]
fn the_subject_is_left_out_when_there_is_no_card() {
    assert_eq!(header(&card(&push("user_get_card", &[("CardId", "")])).record(), "ce_subject"), None);
    assert_eq!(header(&card(&push("giftcard_pay_done", &[])).record(), "ce_subject"), None);
}

#[test]
fn the_source_escapes_all_but_unreserved_characters() {
    let shop =
        [("ToUserName", "my shop/茶-._~"), ("FromUserName", "o"), ("CreateTime", "1"), ("Event", "user_del_card")];
    assert_eq!(header(&card(&document(&shop)).record(), "ce_source"), Some("/wechat/my%20shop%2F%E8%8C%B6-._~"));
}

#[test]
fn the_key_is_the_one_of_the_table_and_never_empty() {
    let key = |event, own: &[_]| card(&push(event, own)).record().key;
    for event in ["card_pass_check", "card_not_pass_check", "card_sku_remind"] {
        assert_eq!(key(event, &[("CardId", "p1")]).as_deref(), Some("p1"));
        assert_eq!(key(event, &[("CardId", "")]), None);
    }
    assert_eq!(key("card_pay_order", &[("OrderId", "4001")]).as_deref(), Some("4001"));
    assert_eq!(key("card_pay_order", &[]), None);
    assert_eq!(key("card_merchant_check_result", &[]).as_deref(), Some("gh_invented"));
    let by_user = EventType::ALL.iter().filter(|row| {
        card(&push(row.wechat_event().unwrap_or("new_card"), &row.sample())).record().key.as_deref() == Some("oUser1")
    });
    assert_eq!(by_user.count(), EventType::ALL.len() - 5);
}

#[test]
fn the_timestamp_is_the_events_unless_it_lies_more_than_five_minutes_ahead() {
    let timestamp = |seconds: i64| {
        let time = seconds.to_string();
        let push =
            [("ToUserName", "gh"), ("FromUserName", "o"), ("CreateTime", time.as_str()), ("Event", "user_del_card")];
        card(&document(&push)).record().timestamp_ms
    };
    let received = RECEIPT.received_at_ms / 1000;
    assert_eq!(timestamp(0), 0);
    assert_eq!(timestamp(received + 300), (received + 300) * 1000);
    assert_eq!(timestamp(received + 301), RECEIPT.received_at_ms);
}

#[test]
fn another_message_is_published_alike() {
    let subscribe = other(&push("subscribe", &[])).record();
    assert_eq!(subscribe.key.as_deref(), Some("oUser1"));
    assert_eq!(header(&subscribe, "ce_type"), Some("com.qq.weixin.other.v1"));
    assert_eq!(header(&subscribe, "ce_time"), Some("2016-08-30T10:24:02Z"));
    let bare = other(&document(&[("ToUserName", "gh"), ("MsgType", "text")])).record();
    assert_eq!((bare.key.as_deref(), bare.timestamp_ms), (None, RECEIPT.received_at_ms));
    assert_eq!(header(&bare, "ce_time"), None);
}

#[test]
fn a_quarantined_push_goes_out_as_received() {
    let quarantine = Quarantine {
        reason: "decrypt",
        detail: "cannot be decrypted",
        account: "shop",
        mode: "secure",
        received_at_ms: RECEIPT.received_at_ms,
        query: "timestamp=1&nonce=2",
        body: b"\xff\xfe",
    };
    let record = quarantine.record();
    assert_eq!(
        (record.key.as_deref(), record.timestamp_ms, &*record.value),
        (None, RECEIPT.received_at_ms, &b"\xff\xfe"[..])
    );
    let expected = [
        ("dlq_reason", "decrypt"),
        ("dlq_detail", "cannot be decrypted"),
        ("dlq_account", "shop"),
        ("dlq_mode", "secure"),
        ("dlq_received_at", "2016-08-30T10:24:03.045Z"),
        ("dlq_query", "timestamp=1&nonce=2"),
    ];
    assert_eq!(record.headers.iter().collect::<Vec<_>>(), expected);
    assert!(!format!("{quarantine:?} {record:?}").contains("nonce"));
}

#[test]
fn a_refused_record_keeps_value_key_and_headers() {
    let refused = card(&push("user_del_card", &[])).record();
    let rejected = refused.clone().rejected("message too large", "shop", "secure", 7);
    assert_eq!((&rejected.key, &rejected.value, rejected.timestamp_ms), (&refused.key, &refused.value, 7));
    let (kept, headers): (Vec<_>, Vec<_>) = (refused.headers.iter().collect(), rejected.headers.iter().collect());
    let (before, added) = headers.split_at(kept.len());
    assert_eq!(before, kept);
    assert_eq!(added[..2], [("dlq_reason", "rejected"), ("dlq_detail", "message too large")]);
    assert!(!added.iter().any(|(name, _)| *name == "dlq_query"));
}
