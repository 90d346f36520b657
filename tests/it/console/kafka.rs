//! What the console shows of Kafka: where a record stands, how the brokers are, what went wrong last.

use std::time::Duration;

use serde_json::Value;

use super::{api, wait_for};
use crate::support::{
    cardhook::{Setup, Topics},
    consume::records,
    kafka::{Kafka, shared_broker},
    wechat::{Account, Mode, claim},
};

/// The step `published` of an event, once it has a position.
fn position(service: &crate::support::cardhook::Service, id: &str) -> Value {
    let published = |event: &Value| -> Option<Value> {
        let steps = event["timeline"].as_array()?;
        steps.iter().find(|step| step["what"] == "published" && step["position"].is_object()).cloned()
    };
    published(&wait_for(service, &format!("events/{id}"), |event| published(event).is_some())).unwrap()
}

#[test]
fn the_timeline_says_where_the_record_stands_in_kafka_after_either_kind_of_answer() {
    let kafka = shared_broker();
    for answer_after in ["kafka", "disk"] {
        let topics = Topics::create(kafka);
        let service = Setup::new(kafka, &topics).set("delivery", &format!("answer_after = {answer_after:?}")).serve();
        let account = Account::of(Mode::Secure);
        for user in 0..12 {
            let openid = format!("oInventedPosition00000000{user:03}");
            assert!(account.post(service.public, &claim(&openid, "740000000042", 1_767_225_600)).is_success());
        }
        let other_key = Account { aes_key: "CARDHOOKcardhook0123456789CARDHOOKcardhookw", ..account.clone() };
        assert!(other_key.post(service.public, &claim("oInvented", "1", 1_767_225_600)).is_success(), "quarantined");
        service.wait_drained();
        let quarantined = api(&service, "events?result=quarantined")["events"][0]["event_id"].clone();
        let events = records(kafka, &topics.events).into_iter();
        let events = events.map(|record| (record.header("ce_id").unwrap().to_owned(), &topics.events, record.position));
        let dlq = records(kafka, &topics.dlq).into_iter();
        let dlq = dlq.map(|record| (quarantined.as_str().unwrap().to_owned(), &topics.dlq, record.position));
        let found: Vec<_> = events.chain(dlq).collect();
        assert_eq!(found.len(), 13);
        for (id, topic, (partition, offset)) in found {
            let step = position(&service, &id);
            let wanted = serde_json::json!({"topic": topic, "partition": partition, "offset": offset});
            assert_eq!(step["position"], wanted, "{answer_after} {id}");
            assert!(step["at"].is_i64(), "{step}");
        }
    }
}

#[test]
fn brokers_have_a_state_and_a_time_and_a_broker_that_is_gone_is_told_with_its_kind() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let service = Setup::new(&kafka, &topics).serve();
    let account = Account::of(Mode::Secure);
    assert!(account.post(service.public, &claim("oInvented", "740000000042", 1_767_225_600)).is_success());
    let is_up = |status: &Value| {
        let broker = &status["kafka"]["brokers"][0];
        broker["state"] == "UP" && broker["rtt_ms"].as_f64().is_some_and(|ms| ms > 0.0 && ms < 4000.0)
    };
    let status = wait_for(&service, "status", is_up);
    let brokers = status["kafka"]["brokers"].as_array().unwrap();
    assert_eq!((brokers.len(), &brokers[0]["address"]), (1, &kafka.bootstrap().into()), "{status}");
    assert_eq!((&brokers[0]["id"], &status["kafka"]["last_error"]), (&1.into(), &Value::Null));
    kafka.kill();
    let status = wait_for(&service, "status", |status| {
        status["kafka"]["brokers"][0]["state"] != "UP" && status["kafka"]["last_error"].is_object()
    });
    let error = &status["kafka"]["last_error"];
    assert!(["closed", "unreachable"].contains(&error["kind"].as_str().unwrap()), "{error}");
    assert!(error["at"].as_i64().unwrap() > 0 && !error["reason"].as_str().unwrap().is_empty(), "{error}");
    assert!(brokers[0]["rtt_ms"].is_f64());
    kafka.run();
    let status = wait_for(&service, "status", |status| status["kafka"]["brokers"][0]["state"] == "UP");
    let [broker] = &status["kafka"]["brokers"].as_array().unwrap()[..] else { panic!("one address: {status}") };
    assert_eq!(broker["address"], kafka.bootstrap());
    assert!(api(&service, "status")["kafka"]["last_error"].is_object(), "it stays to be read");
}

#[test]
fn a_refused_login_is_told_with_its_kind_and_without_the_password() {
    let setup = Setup::without_brokers().reset(
        "kafka",
        &format!(
            "brokers = [{:?}]\nsasl_password = \"wrongPassword0042\"\n[kafka.options]\n\
             \"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = \"nobody\"",
            shared_broker().bootstrap()
        ),
    );
    let service = setup.serve_unready();
    let limit = Duration::from_secs(20);
    let status = crate::support::eventually("the last error", limit, || {
        Some(api(&service, "status")).filter(|status| status["kafka"]["last_error"].is_object())
    });
    let error = &status["kafka"]["last_error"];
    assert_eq!(error["kind"], "authentication", "{error}");
    assert!(!status.to_string().contains("wrongPassword0042"));
}
