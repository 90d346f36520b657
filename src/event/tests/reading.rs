//! The field rules of contract §1.2, and what makes a push a card event (§1.1).

use serde_json::{Value, json};

use super::{RECEIPT, card, document, nested, other, published, push, read, text};
use crate::event::{CardEvent, Event, EventError, EventType, Receipt, read::read_document};

#[test]
fn every_event_has_its_type_whatever_its_case() {
    for row in EventType::ALL {
        let Some(event) = row.wechat_event() else { continue };
        assert_eq!(card(&push(event, &[])).event_type(), row.as_str());
        assert_eq!(published(&push(&event.to_uppercase(), &[]))["event_type"], row.as_str());
    }
    assert_eq!(published(&push("USER_get_card", &[]))["wechat_event"], "USER_get_card");
}

#[test]
fn a_whole_claim_is_the_json_of_the_contract() {
    let claim = push(
        "user_get_card",
        &[
            ("CardId", "pCard1"),
            ("IsGiveByFriend", "1"),
            ("UserCardCode", "000123"),
            ("FriendUserName", "oFriend"),
            ("OuterId", "007"),
            ("OldUserCardCode", "000122"),
            ("OutetStr", ""),
        ],
    );
    let expected = json!({
        "event_id": card(&claim).event_id().to_string(),
        "event_type": "card.received",
        "wechat_event": "user_get_card",
        "event_time": "2016-08-30T10:24:02Z",
        "event_time_ms": 1_472_552_642_000_i64,
        "received_at": "2016-08-30T10:24:03.045Z",
        "account": "shop",
        "account_id": "gh_invented",
        "openid": "oUser1",
        "body_authenticated": true,
        "text_repaired": false,
        "card_id": "pCard1",
        "code": "000123",
        "outer_str": null,
        "outer_id": "007",
        "is_give_by_friend": true,
        "friend_openid": "oFriend",
        "old_code": "000122",
        "is_restore_member_card": null,
        "is_recommend_by_friend": null,
        "source_scene": null,
        "union_id": null,
        "extra": {},
    });
    assert_eq!(published(&claim), expected);
}

#[test]
fn a_published_event_reads_back() {
    for row in EventType::ALL {
        let event =
            card(&push(row.wechat_event().unwrap_or("new_card_event"), &[&row.sample()[..], &[("New", "x")]].concat()));
        let read_back: CardEvent = serde_json::from_slice(&event.record().value).unwrap();
        assert!(read_back == event, "{}", row.as_str());
    }
}

#[test]
fn the_misspelt_outer_str_is_the_same_tag() {
    assert_eq!(published(&push("user_get_card", &[("OutetStr", "poster")]))["outer_str"], "poster");
    let both = published(&push("user_get_card", &[("OuterStr", "poster"), ("OutetStr", "")]));
    assert_eq!(both["outer_str"], "poster");
    assert_eq!(both["extra"], json!({ "OutetStr": [""] }));
}

#[test]
fn the_code_is_read_from_code_only_where_there_is_no_user_card_code() {
    let invoice = published(&push("update_invoice_status", &[("Status", "LOCK"), ("CardId", "p1"), ("Code", "001")]));
    assert_eq!((&invoice["event_type"], &invoice["code"]), (&json!("card.unknown"), &json!("001")));
    assert_eq!(invoice["extra"], json!({ "Status": "LOCK" }));
    let both = published(&push("user_del_card", &[("Code", "1"), ("UserCardCode", "2")]));
    assert_eq!((&both["code"], &both["extra"]), (&json!("2"), &json!({ "Code": "1" })));
}

#[test]
fn tags_are_matched_without_regard_to_case_and_repeats_go_to_extra() {
    let event =
        published(&push("user_del_card", &[("cardid", "p1"), ("CardId", "p2"), ("CARDID", "p3"), ("CardId", "p4")]));
    assert_eq!(event["card_id"], "p1");
    assert_eq!(event["extra"], json!({ "CardId": ["p2", "p4"], "CARDID": ["p3"] }));
    let unknown = published(&push("user_del_card", &[("New", "1"), ("Other", "2"), ("New", "3")]));
    assert_eq!(unknown["extra"], json!({ "New": ["1", "3"], "Other": "2" }));
    let envelope = published(&push("user_del_card", &[("FromUserName", "oUser2")]));
    assert_eq!((&envelope["openid"], &envelope["extra"]), (&json!("oUser1"), &json!({ "FromUserName": ["oUser2"] })));
}

#[test]
fn a_second_create_time_of_a_coin_order_is_its_order_time() {
    let older = published(&push("card_pay_order", &[("CreateTime", "1453295737"), ("PayFinishTime", "0")]));
    assert_eq!(older["event_time"], "2016-08-30T10:24:02Z");
    assert_eq!(older["create_order_time"], "2016-01-20T13:15:37Z");
    assert_eq!((&older["pay_finish_time"], &older["extra"]), (&Value::Null, &json!({})));
    let both = published(&push("card_pay_order", &[("CreateTime", "1"), ("CreateOrderTime", "1453295737")]));
    assert_eq!(both["create_order_time"], "2016-01-20T13:15:37Z");
    assert_eq!(both["extra"], json!({ "CreateTime": ["1"] }));
    let not_an_order = published(&push("user_del_card", &[("CreateTime", "1")]));
    assert_eq!(not_an_order["extra"], json!({ "CreateTime": ["1"] }));
}

#[test]
fn empty_and_absent_fields_are_null_and_an_empty_unknown_element_is_kept() {
    let event = published(&push("user_view_card", &[("CardId", ""), ("New", "")]));
    let fields = ["card_id", "code", "outer_str"].map(|field| event.as_object().unwrap().get(field));
    assert_eq!(fields, [Some(&Value::Null); 3]);
    assert_eq!(event["extra"], json!({ "New": "" }));
}

#[test]
fn what_does_not_parse_is_null_and_stands_in_extra() {
    let paid = published(&push("user_pay_from_pay_cell", &[("Fee", "abc"), ("OriginalFee", " +0100\n")]));
    assert_eq!((&paid["fee"], &paid["original_fee"]), (&Value::Null, &json!(100)));
    assert_eq!(paid["extra"], json!({ "Fee": "abc" }));
    let repeated = published(&push("user_pay_from_pay_cell", &[("Fee", "abc"), ("Fee", "5")]));
    assert_eq!((&repeated["fee"], &repeated["extra"]), (&Value::Null, &json!({ "Fee": ["abc", "5"] })));
    let gifted = published(&push("user_gifting_card", &[("IsChatRoom", "yes"), ("IsReturnBack", "true")]));
    assert_eq!((&gifted["is_chat_room"], &gifted["is_return_back"]), (&Value::Null, &json!(true)));
    assert_eq!(gifted["extra"], json!({ "IsChatRoom": "yes" }));
}

#[test]
fn ids_and_codes_keep_their_leading_zeros() {
    let event = published(&push("user_consume_card", &[("UserCardCode", "072975907291"), ("LocationId", "007")]));
    assert_eq!((&event["code"], &event["location_id"]), (&json!("072975907291"), &json!("007")));
}

#[test]
fn a_child_with_elements_is_no_field_but_stands_in_extra() {
    let mut claim = push("user_get_card", &[]);
    claim.children.push(nested("CardId", "<a>1</a>"));
    claim.children.push(nested("New", "<b/>"));
    let event = published(&claim);
    assert_eq!((&event["card_id"], &event["extra"]), (&Value::Null, &json!({ "CardId": "<a>1</a>", "New": "<b/>" })));
}

#[test]
fn encrypt_and_msg_type_are_never_in_extra() {
    let own = [("Encrypt", "abc"), ("encrypt", "def"), ("MsgType", "event"), ("msgtype", "x")];
    assert_eq!(published(&push("user_del_card", &own))["extra"], json!({}));
}

#[test]
fn names_are_read_trimmed_but_other_text_is_kept() {
    let spaced = document(&[
        ("ToUserName", " my-coffee-shop "),
        ("FromUserName", "\noUser1\n"),
        ("CreateTime", " 1472552642 "),
        ("Event", "\tuser_del_card "),
        ("UserCardCode", " 1 "),
    ]);
    let event = published(&spaced);
    assert_eq!((&event["account_id"], &event["openid"]), (&json!("my-coffee-shop"), &json!("oUser1")));
    assert_eq!((&event["wechat_event"], &event["code"]), (&json!("user_del_card"), &json!(" 1 ")));
}

#[test]
fn anything_about_a_card_is_a_card_event() {
    for event in ["some_new_CARD_event", "giftcard_expired"] {
        assert_eq!(published(&push(event, &[]))["event_type"], "card.unknown");
    }
    for tag in ["CardId", "UserCardCode", "usercardcode"] {
        assert_eq!(published(&push("something_new", &[(tag, "")]))["event_type"], "card.unknown");
    }
    let mut with_elements = push("something_new", &[]);
    with_elements.children.push(nested("CardId", "<a/>"));
    assert_eq!(published(&with_elements)["event_type"], "card.unknown");
    let text_message = document(&[
        ("ToUserName", "gh_invented"),
        ("FromUserName", "oUser1"),
        ("CreateTime", "1472552642"),
        ("MsgType", "text"),
        ("Event", "user_get_card"),
    ]);
    assert_eq!(published(&text_message)["event_type"], "card.received");
}

#[test]
fn a_card_event_without_a_required_element_is_not_guessed() {
    let whole =
        [("ToUserName", "gh"), ("FromUserName", "o"), ("CreateTime", "1"), ("Event", "user_del_card"), ("CardId", "p")];
    assert!(read(&document(&whole)).is_ok());
    for (index, (tag, _)) in whole.into_iter().take(4).enumerate() {
        let mut absent = document(&whole);
        absent.children.remove(index);
        assert_eq!(read(&absent), Err(EventError::MissingField(tag)));
        for unreadable in [text(tag, " "), nested(tag, "<a/>")] {
            let mut without = document(&whole);
            without.children[index] = unreadable;
            assert_eq!(read(&without), Err(EventError::MissingField(tag)));
        }
    }
    for time in ["abc", "-1", "253402300800", "1.5"] {
        let mut odd = document(&whole);
        odd.children[2] = text("CreateTime", time);
        assert_eq!(read(&odd), Err(EventError::MissingField("CreateTime")), "{time}");
    }
    for time in ["0", "253402300799"] {
        let mut edge = document(&whole);
        edge.children[2] = text("CreateTime", time);
        assert!(read(&edge).is_ok(), "{time}");
    }
}

#[test]
fn a_third_party_platforms_push_is_malformed() {
    let is_malformed = |children: &[(&str, &str)]| matches!(read(&document(children)), Err(EventError::Malformed(_)));
    assert!(is_malformed(&[("AppId", "wx1"), ("CreateTime", "1"), ("CardId", "p")]));
    assert!(is_malformed(&[("ToUserName", "gh"), ("InfoType", "card_merchant_auth_check_result")]));
    assert!(!is_malformed(&[
        ("ToUserName", "gh"),
        ("AppId", "wx1"),
        ("MsgType", "event"),
        ("Event", "user_authorize_invoice")
    ]));
}

#[test]
fn a_push_for_another_account_is_refused_whatever_it_is() {
    let strict = Receipt { account_id: Some("gh_other"), ..RECEIPT };
    for event in ["user_del_card", "subscribe"] {
        assert_eq!(
            read_document(&push(event, &[]), true, strict),
            Err(EventError::WrongAccount { found: "gh_invented".into(), expected: "gh_other".into() })
        );
    }
    let right = Receipt { account_id: Some("gh_invented"), ..RECEIPT };
    assert!(read_document(&push("user_del_card", &[]), true, right).is_ok());
}

#[test]
fn another_message_keeps_everything_in_extra() {
    let message = document(&[
        ("ToUserName", "gh_invented"),
        ("FromUserName", "oUser1"),
        ("CreateTime", "soon"),
        ("MsgType", "text"),
        ("Content", "hello"),
    ]);
    assert_eq!(other(&message).event_time(), 0);
    let json = published(&message);
    assert_eq!(
        (&json["event_type"], &json["msg_type"], &json["wechat_event"]),
        (&json!("other"), &json!("text"), &Value::Null)
    );
    assert_eq!((&json["event_time"], &json["event_time_ms"]), (&Value::Null, &Value::Null));
    assert_eq!(json["extra"], json!({ "Content": "hello", "CreateTime": "soon" }));
    assert_eq!(published(&push("subscribe", &[("EventKey", "")]))["wechat_event"], "subscribe");
}

#[test]
fn debug_output_shows_no_whole_personal_value() {
    let claim = push(
        "user_get_card",
        &[("UserCardCode", "072975907291"), ("FriendUserName", "oFriendFriend"), ("Phone", "13800000000")],
    );
    let event = card(&claim);
    let debug = format!("{event:?} {:?} {:?}", event.fields(), Event::Card(event.clone()));
    for personal in ["072975907291", "oFriendFriend", "oUser1", "13800000000"] {
        assert!(!debug.contains(personal), "{debug}");
    }
}
