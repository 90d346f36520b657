//! One odd character does not cost a verified card event: contract §1.2, `text_repaired`.

use serde_json::{Value, json};

use crate::support::{
    cardhook::{Setup, Topics, run},
    consume::{Record, records},
    kafka::shared_broker,
    wechat::{Account, Mode, claim},
};

/// A claim with these bytes in place of the channel, and `more` behind it.
fn odd_claim(code: &str, outer_str: &[u8], more: &[u8]) -> Vec<u8> {
    let claim = claim("oOddUser000000000000000001", code, 1_767_225_600);
    let (before, behind) = claim.split_once("harness").unwrap();
    let behind = behind.strip_suffix("</xml>").unwrap();
    [before.as_bytes(), outer_str, behind.as_bytes(), more, b"</xml>"].concat()
}

#[test]
fn odd_text_is_published_repaired_and_marked_in_every_mode_under_one_id() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let service = Setup::new(kafka, &topics).serve();
    let cases: [(Vec<u8>, &str, Value); 4] = [
        (odd_claim("072000000001", b"cut \xE5\x8D", b""), "cut \u{FFFD}", json!({})),
        (odd_claim("072000000002", b"a\x1Db\0", b""), "a\u{FFFD}b\u{FFFD}", json!({})),
        (odd_claim("072000000003", b"]]>&#55357;&#56838;&nbsp;<![CDATA[", b""), "\u{1F606}&nbsp;", json!({})),
        (
            odd_claim("07200000\u{1}004", b"poster", b"<New>&#0;</New><Deep><T>\xFF</T></Deep>"),
            "poster",
            json!({ "New": "\u{FFFD}", "Deep": "<T>\u{FFFD}</T>" }),
        ),
    ];
    for mode in Mode::ALL {
        for (xml, ..) in &cases {
            let answer = Account::of(mode).post(service.public, xml);
            assert!(answer.is_success(), "{mode:?}: {answer:?}");
        }
    }
    service.wait_drained();
    assert_eq!(records(kafka, &topics.dlq).len(), 0, "nothing is quarantined");
    let events = records(kafka, &topics.events);
    assert_eq!(events.len(), cases.len() * Mode::ALL.len());
    for (_, outer_str, extra) in &cases {
        let same: Vec<Value> =
            events.iter().map(Record::json).filter(|event| event["outer_str"] == *outer_str).collect();
        assert_eq!(same.len(), Mode::ALL.len(), "{outer_str}");
        for event in &same {
            assert_eq!(
                (&event["text_repaired"], &event["event_id"]),
                (&json!(true), &same[0]["event_id"]),
                "{outer_str}"
            );
            for (tag, value) in extra.as_object().unwrap() {
                assert_eq!(event["extra"][tag], *value);
            }
        }
    }
    assert!(events.iter().any(|event| event.text("code") == "07200000\u{FFFD}004"), "a field that identifies");
}

#[test]
fn a_secure_push_of_nearly_a_mebibyte_is_read_where_the_limit_allows_it() {
    let setup = Setup::without_brokers().set("server", "max_body_bytes = \"1MiB\"");
    let service = setup.serve();
    let secure = Account::of(Mode::Secure);
    let channel = "p".repeat(700_000);
    let answer = secure.post(service.public, &odd_claim("072000000001", channel.as_bytes(), b""));
    assert!(answer.is_success(), "{answer:?}");
    assert_eq!(service.metric("cardhook_callbacks_total", "account=\"secure\",result=\"accepted\""), 1);
    let larger = odd_claim("072000000002", "p".repeat(800_000).as_bytes(), b"");
    assert_eq!(secure.post(service.public, &larger).status, 413, "its ciphertext is over the limit");
}

#[test]
fn line_ends_of_unicode_end_no_line_of_an_export() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    let xml = odd_claim("072000000001", "a\u{2028}b\u{2029}c\u{85}".as_bytes(), b"");
    assert!(Account::of(Mode::Secure).post(service.public, &xml).is_success());
    let output = run(&["spool", "export", "--path", &setup.spool().display().to_string()]);
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(!lines.contains(['\u{85}', '\u{2028}', '\u{2029}']), "{lines}");
    let event: Value = serde_json::from_str(&lines).unwrap();
    assert_eq!((&event["outer_str"], &event["text_repaired"]), (&json!("a\u{2028}b\u{2029}c\u{85}"), &json!(false)));
}

#[test]
fn a_message_with_odd_text_is_no_card_event_and_ignored_as_any_other() {
    let service = Setup::without_brokers().serve();
    let message = "<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>1767225600</CreateTime>\
                   <MsgType>text</MsgType><Content><![CDATA[a\u{1d}b]]></Content><MsgId>1</MsgId></xml>";
    let answer = Account::of(Mode::Secure).post(service.public, message);
    assert!(answer.is_success(), "{answer:?}");
    let count =
        |result: &str| service.metric("cardhook_callbacks_total", &format!("account=\"secure\",result=\"{result}\""));
    assert_eq!((count("other"), count("quarantined")), (1, 0));
}
