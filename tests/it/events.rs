//! Each event type in each mode: in by HTTP, out from a real broker, every part of the record compared.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};

use crate::support::{
    cardhook::{Setup, Topics},
    consume::{Record, python, records},
    kafka::shared_broker,
    project,
    wechat::{Account, Mode, fixture},
};

/// Every row of contract §1.1, and an event newer than this release.
const CARD_EVENTS: [&str; 18] = [
    "card_pass_check",
    "card_not_pass_check",
    "user_get_card",
    "user_gifting_card",
    "user_del_card",
    "user_consume_card",
    "user_pay_from_pay_cell",
    "user_view_card",
    "user_enter_session_from_card",
    "update_member_card",
    "submit_membercard_user_info",
    "card_sku_remind",
    "card_pay_order",
    "card_merchant_check_result",
    "giftcard_pay_done",
    "giftcard_send_to_friend",
    "giftcard_user_accept",
    "user_lend_card",
];

/// What the Python reading of the contract expects of our fixtures, in the order of [`CARD_EVENTS`].
fn expectations() -> Vec<Value> {
    let files = CARD_EVENTS.map(|event| project(&format!("tests/fixtures/{event}.xml")).display().to_string());
    python("expect.py", &files.each_ref().map(String::as_str))
}

/// Posts every fixture in every mode, and reads the topic.
fn published() -> (Topics, Vec<Record>) {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let service = Setup::new(kafka, &topics).serve();
    for mode in Mode::ALL {
        for event in CARD_EVENTS.into_iter().chain(["text"]) {
            let answer = Account::of(mode).post(service.public, &fixture(event));
            assert!(answer.is_success(), "{event} in {mode:?}: {answer:?}");
        }
    }
    service.wait_drained();
    let records = records(kafka, &topics.events);
    (topics, records)
}

#[test]
fn each_event_type_in_each_mode_stands_on_the_topic_as_the_contract_says() {
    let (_, records) = published();
    let expectations = expectations();
    assert_eq!(records.len(), CARD_EVENTS.len() * Mode::ALL.len(), "every card event once, and no text message");
    let found: BTreeMap<(String, String), &Record> =
        records.iter().map(|record| ((record.text("account"), record.text("event_id")), record)).collect();
    let schema = schema();
    for mode in Mode::ALL {
        for expected in &expectations {
            let id = expected["value"]["event_id"].as_str().unwrap();
            let what = format!("{} in {mode:?}", expected["value"]["event_type"]);
            let record = found.get(&(mode.name().to_owned(), id.to_owned())).unwrap_or_else(|| panic!("no {what}"));
            assert_eq!(record.key.as_deref(), expected["key"].as_str(), "key of {what}");
            assert_eq!(Some(record.timestamp_ms), expected["timestamp_ms"].as_i64(), "timestamp of {what}");
            assert_eq!(record.headers, headers(&expected["value"]), "headers of {what}");
            let value = record.json();
            assert_eq!(value, complete(&expected["value"], mode, &value), "value of {what}");
            let errors: String = schema.iter_errors(&value).fold(String::new(), |mut errors, error| {
                writeln!(errors, "{error}").unwrap();
                errors
            });
            assert!(errors.is_empty(), "{what} breaks its schema: {errors}");
        }
    }
}

#[test]
fn the_cloudevents_sdk_of_python_reads_every_record_and_each_lies_where_java_puts_its_key() {
    let (topics, records) = published();
    let events = python("read_cloudevents.py", &[&shared_broker().bootstrap(), &topics.events]);
    assert_eq!(events.len(), records.len());
    for event in &events {
        let (attributes, data) = (&event["attributes"], &event["data"]);
        let event_type = data["event_type"].as_str().unwrap();
        assert_eq!(attributes["id"], data["event_id"]);
        assert_eq!(attributes["type"], format!("com.qq.weixin.{event_type}.v1"));
        assert_eq!(attributes["source"], "/wechat/gh_0123456789ab");
        assert_eq!(attributes["datacontenttype"], "application/json");
        assert_eq!(attributes["dataschema"], format!("urn:cardhook:{event_type}:v1"));
        assert_eq!(event["time"].as_str().unwrap().replace("+00:00", "Z"), data["event_time"]);
        assert_eq!(attributes.get("subject"), data.get("card_id").filter(|card_id| !card_id.is_null()));
        assert_eq!(event["partition"], event["java_partition"]);
    }
}

#[test]
fn a_custom_account_id_is_percent_encoded_in_the_source_and_a_card_without_id_has_no_key() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let service = Setup::new(kafka, &topics).serve();
    let xml =
        fixture("card_pass_check").replace("gh_0123456789ab", "咖啡 shop").replace("pHarnessCard0000000000000001", "");
    assert!(Account::of(Mode::Secure).post(service.public, &xml).is_success());
    service.wait_drained();
    let events = python("read_cloudevents.py", &[&kafka.bootstrap(), &topics.events]);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["key"], Value::Null);
    assert_eq!(events[0]["attributes"]["source"], "/wechat/%E5%92%96%E5%95%A1%20shop");
    assert_eq!(events[0]["attributes"].get("subject"), None);
}

#[test]
fn other_messages_go_to_their_topic_when_the_account_publishes_them() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let secure = Account::of(Mode::Secure);
    let service = Setup::new(kafka, &topics).replace_account(&secure, "other = \"publish\"").serve();
    assert!(secure.post(service.public, &fixture("text")).is_success());
    assert!(secure.post(service.public, &fixture("text")).is_success());
    service.wait_drained();
    let records = records(kafka, &topics.other);
    assert_eq!(records.len(), 1, "a re-delivered message is published once");
    let value = records[0].json();
    assert_eq!(value["event_type"], "other");
    assert_eq!(value["msg_type"], "text");
    assert_eq!(value["wechat_event"], Value::Null);
    assert_eq!(value["extra"], json!({"Content": "你好", "MsgId": "29000000000000001"}));
    assert_eq!(records[0].key.as_deref(), Some("oHarnessUser00000000000000A1"));
}

/// The value that was expected, and what only the receiver knows.
fn complete(expected: &Value, mode: Mode, value: &Value) -> Value {
    let received: jiff::Timestamp = value["received_at"].as_str().unwrap().parse().unwrap();
    let age = jiff::Timestamp::now().duration_since(received);
    assert!(age.as_secs().abs() < 120, "received_at is {age} from now");
    let mut expected = expected.clone();
    expected["received_at"] = value["received_at"].clone();
    expected["account"] = mode.name().into();
    expected["body_authenticated"] = (mode != Mode::Plaintext).into();
    expected
}

fn headers(value: &Value) -> Vec<(String, String)> {
    let text = |field: &str| value[field].as_str().unwrap().to_owned();
    let event_type = text("event_type");
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", text("event_id")),
        ("ce_type", format!("com.qq.weixin.{event_type}.v1")),
        ("ce_source", format!("/wechat/{}", text("account_id"))),
        ("ce_time", text("event_time")),
    ];
    if let Some(card_id) = value["card_id"].as_str() {
        headers.push(("ce_subject", card_id.to_owned()));
    }
    headers.push(("ce_dataschema", format!("urn:cardhook:{event_type}:v1")));
    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn schema() -> jsonschema::Validator {
    let text = std::fs::read_to_string(project("schemas/cardhook-events.v1.schema.json")).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}
