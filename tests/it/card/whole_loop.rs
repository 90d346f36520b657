//! The loop: a card put out under a channel, claimed, seen on the topic with its channel, redeemed, seen on the topic.

use std::time::Duration;

use super::{card, done, done_json, text};
use crate::support::{
    card_api::{CARD, CODE, CardApi, OPENID},
    cardhook::{Setup, Topics},
    consume::records,
    eventually,
    kafka::shared_broker,
    unix_seconds,
    wechat::{Account, Mode, claim, fixture},
};

#[test]
fn a_card_is_put_out_claimed_and_redeemed_and_the_topic_tells_its_channel() {
    let (kafka, api) = (shared_broker(), CardApi::start());
    let topics = Topics::create(kafka);
    let setup = api.lead(Setup::new(kafka, &topics));
    let service = setup.serve();
    let wechat = Account::of(Mode::Secure);

    let made = done_json(&setup, &["qrcode", CARD, "--outer-str", "poster-7"]);
    // A customer scans the code: WeChat knows the channel by the code's address.
    let channel = api.channel_of(made["url"].as_str().unwrap());
    let claimed = claim(OPENID, CODE, unix_seconds()).replace("<![CDATA[harness]]>", &format!("<![CDATA[{channel}]]>"));
    assert!(wechat.post(service.public, &claimed).is_success());
    let on_topic = |event_type: &str| {
        eventually(event_type, Duration::from_mins(1), || {
            records(kafka, &topics.events).into_iter().find(|record| record.text("event_type") == event_type)
        })
    };
    let received = on_topic("card.received");
    assert_eq!(received.json()["outer_str"], "poster-7");
    assert_eq!(received.json()["code"], CODE);

    done(&setup, &["consume", CODE, "--outer-str", "till-2"]);
    let tag = |xml: &str, name: &str, value: &str| {
        let (before, rest) = xml.split_once(&format!("<{name}>")).unwrap();
        let (_, after) = rest.split_once(&format!("</{name}>")).unwrap();
        format!("{before}<{name}><![CDATA[{value}]]></{name}>{after}")
    };
    let redeemed = api.redeemed();
    let consumed = tag(&tag(&fixture("user_consume_card"), "UserCardCode", CODE), "OuterStr", &redeemed[0]);
    assert!(wechat.post(service.public, &consumed).is_success());
    assert_eq!(on_topic("card.consumed").json()["outer_str"], "till-2");

    let again = card(&setup, &["consume", CODE]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again).1.contains("40099"), "{}", text(&again).1);
    let log = service.log();
    assert!(!log.contains(CODE) && !log.contains(OPENID), "{log}");
}
