//! Odd text from the XML to what is published: `text_repaired` (contract §1.2).

use serde_json::{Value, json};

use super::{card, published, push};
use crate::{
    event::{CardEvent, largest_record},
    protocol::Document,
};

/// The published JSON of a push, from its XML.
fn published_from(xml: &[u8]) -> Value {
    let document = Document::parse(xml).unwrap();
    published(&document)
}

#[test]
fn odd_text_is_repaired_in_typed_fields_in_extra_and_in_fields_that_identify() {
    let xml = |openid: &[u8], outer_str: &[u8], new: &[u8]| {
        let pieces: [&[u8]; 7] = [
            b"<xml><ToUserName>gh_1</ToUserName><CreateTime>1472552642</CreateTime><Event>user_get_card</Event><FromUserName>",
            openid,
            b"</FromUserName><OuterStr><![CDATA[",
            outer_str,
            b"]]></OuterStr><New>",
            new,
            b"</New></xml>",
        ];
        published_from(&pieces.concat())
    };
    let odd = xml(b"o\xE5\x8D", b"spring\x1D", b"&#55357;&#56838;&nbsp;<T>&#0;</T>");
    assert_eq!(odd["text_repaired"], true);
    assert_eq!((&odd["openid"], &odd["outer_str"]), (&json!("o\u{FFFD}"), &json!("spring\u{FFFD}")));
    assert_eq!(odd["extra"], json!({ "New": "\u{1F606}&nbsp;<T>\u{FFFD}</T>" }));
    let same = xml("o\u{FFFD}".as_bytes(), "spring\u{FFFD}".as_bytes(), "\u{1F606}&nbsp;<T>\u{FFFD}</T>".as_bytes());
    assert_eq!(odd["event_id"], same["event_id"], "the id is made of the repaired text");
    let clean = xml(b"o", b"spring", b"1");
    assert_eq!(clean["text_repaired"], false);
    assert_ne!(odd["event_id"], clean["event_id"]);
}

#[test]
fn odd_text_is_repaired_before_the_question_whether_a_push_is_a_card_event() {
    let message = published_from(b"<xml><MsgType>text</MsgType><Content>a\x1Db</Content></xml>");
    assert_eq!((&message["event_type"], &message["text_repaired"]), (&json!("other"), &json!(true)));
    assert_eq!(message["extra"], json!({ "Content": "a\u{FFFD}b" }));
    let named = published_from(
        b"<xml><ToUserName>g</ToUserName><FromUserName>o</FromUserName><CreateTime>1</CreateTime><Event>card\xFF</Event></xml>",
    );
    assert_eq!((&named["event_type"], &named["wechat_event"]), (&json!("card.unknown"), &json!("card\u{FFFD}")));
}

#[test]
fn an_event_of_a_release_before_text_repaired_reads_back_as_not_repaired() {
    let event = card(&push("user_get_card", &[]));
    let mut older: Value = serde_json::from_slice(&event.record().value).unwrap();
    older.as_object_mut().unwrap().remove("text_repaired").unwrap();
    assert!(serde_json::from_value::<CardEvent>(older).unwrap() == event);
}

#[test]
fn no_push_of_a_size_becomes_a_record_larger_than_the_largest() {
    let begin = b"<xml><ToUserName>gh_1</ToUserName><FromUserName>o</FromUserName><CreateTime>1472552642</CreateTime>\
                  <MsgType>event</MsgType><Event>user_get_card</Event>";
    let of = |body: usize, filler: &[u8]| {
        let room = body - begin.len() - b"<OuterStr></OuterStr></xml>".len();
        let filling: Vec<u8> = filler.iter().copied().cycle().take(room / filler.len() * filler.len()).collect();
        let pieces: [&[u8]; 5] = [begin, b"<OuterStr>", &filling, b"</OuterStr>", b"</xml>"];
        let xml = pieces.concat();
        assert!(xml.len() <= body && xml.len() > body - filler.len() - 1);
        let document = Document::parse(&xml).unwrap();
        let record = card(&document).record().rejected("MessageSizeTooLarge", "shop", "plaintext", 1_472_552_643_045);
        let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        record.value.len() + headers + record.key.unwrap_or_default().len()
    };
    let body = 64 << 10;
    let largest = largest_record(body);
    // Bytes that are no text, forbidden characters, what JSON escapes.
    for filler in [b"\xFF".as_slice(), b"\x01", b"\"", b"\\", b"\t", b"x"] {
        assert!(of(body, filler) <= largest, "of {filler:?}");
    }
    assert!(of(body, b"\xFF") > largest - (20 << 10), "the limit is no larger than it must be");
}
