//! `cardhook replay`: what was quarantined is published once it can be read, and nothing is lost (contract §3.2).

mod stops;
mod unverified;

use std::{collections::BTreeSet, time::Duration};

use cardhook::{
    event::Quarantine,
    protocol::{Token, sign},
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use serde_json::Value;

use crate::support::{
    cardhook::{Setup, Topics, run},
    consume::{Record, records},
    kafka::{Kafka, shared_broker},
    unix_seconds,
    wechat::{Account, Mode, claim, fixture},
};

const WRONG_KEY: &str = "0123456789CARDHOOKcardhook0123456789CARDHOO";
const RECEIVED: [&str; 5] = ["user_get_card", "user_del_card", "user_consume_card", "card_pass_check", "text"];
const LIMIT: Duration = Duration::from_mins(1);

/// Runs `cardhook replay` to its end: standard output and standard error.
fn replay(setup: &Setup, flags: &[&str]) -> (String, String) {
    let config = setup.write().display().to_string();
    let output = run(&[&["replay", "--config", &config], flags].concat());
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    (out, err)
}

/// The number that the report gives.
fn reported(report: &str, what: &str) -> usize {
    let line = report.lines().find_map(|line| line.trim().strip_prefix(what)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{what} in {report}")).parse().unwrap()
}

/// Puts claims into the quarantine, as a plaintext account's service would have done.
fn quarantine(broker: &str, topics: &Topics, reason: &'static str, bodies: &[impl AsRef<[u8]>]) {
    let account = Account::of(Mode::Plaintext);
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", broker).create().unwrap();
    for body in bodies {
        let push = account.push(body);
        let record = Quarantine {
            reason,
            detail: "a test",
            account: account.name,
            mode: account.mode.name(),
            received_at_ms: unix_seconds() * 1000,
            query: push.target.split_once('?').unwrap().1,
            body: &push.body,
        }
        .record();
        let headers = record
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
        let record = BaseRecord::<(), _>::to(&topics.dlq)
            .payload(&*record.value)
            .timestamp(record.timestamp_ms)
            .headers(headers);
        producer.send(record).unwrap();
    }
    producer.flush(LIMIT).unwrap();
}

fn claims(count: usize) -> Vec<String> {
    let now = unix_seconds();
    (0..count).map(|number| claim("oReplayUser0000000000000001", &format!("{number:012}"), now)).collect()
}

/// Makes claims unreadable.
fn undated(claims: Vec<String>) -> Vec<String> {
    claims.into_iter().map(|claim| claim.replace("<CreateTime>", "<CreateTime>not ")).collect()
}

/// Changes one setting of a topic; old records are kept where it is not the retention.
fn set(kafka: &Kafka, topic: &str, name: &str, value: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", kafka.bootstrap()).create().unwrap();
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set("retention.ms", "-1").set(name, value);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = AdminOptions::new().request_timeout(Some(LIMIT));
    runtime.block_on(admin.alter_configs([&change], &options)).unwrap().remove(0).unwrap();
}

fn ids(records: &[Record]) -> Vec<String> {
    let mut ids: Vec<String> = records.iter().map(|record| record.header("ce_id").unwrap().to_owned()).collect();
    ids.sort();
    ids
}

/// Key, headers and value.
type Content = (Option<String>, Vec<(String, String)>, String);

fn contents(records: &[Record]) -> BTreeSet<Content> {
    records.iter().map(|record| (record.key.clone(), record.headers.clone(), record.payload.clone())).collect()
}

/// The end of a topic, in records: those that were replayed stay where they are.
fn behind(records: Vec<Record>, count: usize) -> Vec<Record> {
    records.into_iter().skip(count).collect()
}

/// What the DLQ topic and the events' topics hold once an account with that key has received a push of each kind.
fn received(kafka: &Kafka, topics: &Topics, mode: Mode, aes_key: &'static str) -> Setup {
    let wechat = Account::of(mode);
    let setup =
        Setup::new(kafka, topics).replace_account(&Account { aes_key, ..wechat.clone() }, "other = \"publish\"");
    let service = setup.serve();
    for event in RECEIVED {
        assert!(wechat.post(service.public, &fixture(event)).is_success());
    }
    service.wait_drained();
    setup
}

/// A record less the time of its receipt.
fn timeless(record: &Record) -> (Option<String>, i64, Vec<(String, String)>, Value) {
    let mut json = record.json();
    json.as_object_mut().unwrap().remove("received_at").unwrap();
    (record.key.clone(), record.timestamp_ms, record.headers.clone(), json)
}

#[test]
fn a_wrong_key_corrected_and_replayed_loses_nothing_and_changes_no_id() {
    let kafka = shared_broker();
    for mode in [Mode::Secure, Mode::Compat] {
        let right_key = Account::of(mode).aes_key;
        let right = Topics::create(kafka);
        received(kafka, &right, mode, right_key);

        let wrong = Topics::create(kafka);
        let setup = received(kafka, &wrong, mode, WRONG_KEY);
        let quarantined = records(kafka, &wrong.dlq);
        assert_eq!(quarantined.len(), RECEIVED.len());
        assert!(quarantined.iter().all(|record| record.header("dlq_reason") == Some("decrypt")));

        let setup = setup.replace_account(&Account::of(mode), "other = \"publish\"");
        let (report, _) = replay(&setup, &[]);
        assert_eq!((reported(&report, "read"), reported(&report, "published")), (5, 5), "{report}");
        assert_eq!((reported(&report, "card.received"), reported(&report, "other")), (1, 1), "{report}");
        assert_eq!((reported(&report, "returned"), reported(&report, "ignored")), (0, 0), "{report}");

        for (replayed, as_if_right) in [(&wrong.events, &right.events), (&wrong.other, &right.other)] {
            let sorted = |topic| {
                let mut records = records(kafka, topic);
                records.sort_by(|a, b| a.header("ce_id").cmp(&b.header("ce_id")));
                records
            };
            let [replayed, as_if_right] = [sorted(replayed), sorted(as_if_right)];
            assert_eq!(replayed.len(), as_if_right.len());
            for (event, twin) in replayed.iter().zip(&as_if_right) {
                assert_eq!(timeless(event), timeless(twin));
                let received_at = event.text("received_at");
                let receipt = |record: &Record| record.header("dlq_received_at") == Some(&received_at);
                assert!(quarantined.iter().any(receipt), "{received_at}");
            }
        }

        let (again, _) = replay(&setup, &[]);
        assert_eq!(reported(&again, "read"), 0, "the place is kept");
    }
}

#[test]
fn what_still_cannot_be_read_goes_back_unchanged_and_a_later_run_finds_it() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    quarantine(&kafka.bootstrap(), &topics, "missing_field", &[undated(claims(3)), claims(2)].concat());
    let before = records(kafka, &topics.dlq);
    let setup = Setup::new(kafka, &topics);

    let (report, _) = replay(&setup, &[]);
    assert_eq!((reported(&report, "read"), reported(&report, "published")), (5, 2), "{report}");
    assert_eq!((reported(&report, "returned"), reported(&report, "missing_field")), (3, 3), "{report}");
    let returned = behind(records(kafka, &topics.dlq), before.len());
    assert_eq!(returned.len(), 3);
    assert_eq!(contents(&returned), contents(&before[..3]));
    assert!(returned.iter().all(|record| record.timestamp_ms == before[0].timestamp_ms));

    let (report, _) = replay(&setup, &[]);
    assert_eq!((reported(&report, "read"), reported(&report, "returned")), (3, 3), "{report}");
    assert_eq!(contents(&behind(records(kafka, &topics.dlq), before.len() + 3)), contents(&returned));
    assert_eq!(records(kafka, &topics.events).len(), 2);
}

#[test]
fn what_an_older_release_quarantined_for_an_odd_character_is_published_repaired() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let odd: Vec<Vec<u8>> = claims(4)
        .iter()
        .zip([b"cut \xE5\x8D".as_slice(), b"a\x1D", b"]]>&nbsp;<![CDATA[", b"\0"])
        .map(|(claim, odd)| {
            let (before, behind) = claim.split_once("harness").unwrap();
            [before.as_bytes(), odd, behind.as_bytes()].concat()
        })
        .collect();
    quarantine(&kafka.bootstrap(), &topics, "malformed", &odd);

    let (report, _) = replay(&Setup::new(kafka, &topics), &[]);
    assert_eq!((reported(&report, "published"), reported(&report, "returned")), (4, 0), "{report}");
    let events = records(kafka, &topics.events);
    let channels: BTreeSet<String> = events.iter().map(|event| event.text("outer_str")).collect();
    assert_eq!(channels, ["cut \u{FFFD}", "a\u{FFFD}", "&nbsp;", "\u{FFFD}"].map(str::to_owned).into());
    assert!(events.iter().all(|event| event.json()["text_repaired"] == true));
}

#[test]
fn a_reused_nonce_is_replayed_only_when_asked_for() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    quarantine(&kafka.bootstrap(), &topics, "nonce_reused", &claims(2));
    let setup = Setup::new(kafka, &topics);

    let (report, _) = replay(&setup, &[]);
    assert_eq!((reported(&report, "published"), reported(&report, "nonce_reused")), (0, 2), "{report}");
    assert_eq!(records(kafka, &topics.events).len(), 0);

    let (report, _) = replay(&setup, &["--reason", "nonce_reused"]);
    assert_eq!((reported(&report, "card.received"), reported(&report, "returned")), (2, 0), "{report}");
    assert_eq!(records(kafka, &topics.events).len(), 2);
}

#[test]
fn events_older_than_the_topic_s_retention_wait_for_a_choice() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    set(kafka, &topics.events, "retention.ms", "86400000");
    let old = claim("oReplayUser0000000000000002", "000000000001", 1_472_552_642);
    quarantine(&kafka.bootstrap(), &topics, "decrypt", &[claims(1), vec![old]].concat());
    let setup = Setup::new(kafka, &topics);

    let (report, said) = replay(&setup, &[]);
    assert_eq!((reported(&report, "published"), reported(&report, "retention")), (1, 1), "{report}");
    assert!(said.contains("retention.ms = 86400000") && said.contains("--timestamp now"), "{said}");

    let (report, said) = replay(&setup, &["--timestamp", "now"]);
    assert_eq!((reported(&report, "published"), reported(&report, "returned")), (1, 0), "{report}");
    assert!(!said.contains("retention.ms"), "{said}");
    let events = records(kafka, &topics.events);
    let event = events.iter().find(|event| event.text("event_time") == "2016-08-30T10:24:02Z").unwrap();
    assert!((unix_seconds() * 1000 - event.timestamp_ms).abs() < 60_000, "{}", event.timestamp_ms);
}

#[test]
fn a_rejected_record_is_sent_again_as_it_was_and_goes_back_while_it_is_refused() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let size = |bytes: &str| set(kafka, &topics.events, "max.message.bytes", bytes);
    size("400");
    let setup = Setup::new(kafka, &topics);
    let service = setup.serve();
    assert!(Account::of(Mode::Secure).post(service.public, &claims(1)[0]).is_success());
    service.wait_drained();
    drop(service);
    let rejected = records(kafka, &topics.dlq);
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].header("dlq_reason"), Some("rejected"));

    let (report, _) = replay(&setup, &[]);
    assert_eq!((reported(&report, "published"), reported(&report, "rejected")), (0, 1), "{report}");
    let returned = behind(records(kafka, &topics.dlq), 1);
    assert_eq!(contents(&returned), contents(&rejected));

    size("1048588");
    let (report, _) = replay(&setup, &[]);
    assert_eq!(reported(&report, "card.received"), 1, "{report}");
    let event = &records(kafka, &topics.events)[0];
    assert_eq!((&event.key, &event.payload), (&rejected[0].key, &rejected[0].payload));
    assert!(event.headers.iter().all(|(name, _)| !name.starts_with("dlq_")), "{:?}", event.headers);
    assert_eq!(event.timestamp_ms, event.json()["event_time_ms"].as_i64().unwrap());
}

#[test]
fn one_record_that_is_too_large_holds_up_no_other() {
    let kafka = shared_broker();
    let topics = Topics { events: kafka.create_topic("events", 1), ..Topics::create(kafka) };
    set(kafka, &topics.events, "max.message.bytes", "2500");
    let mut claims = claims(30);
    // Signatures do not compress.
    let noise: String = (0..200).map(|number| sign(&Token::new("noise"), &[&number.to_string()])).collect();
    claims[7] = claims[7].replace("harness", &noise);
    quarantine(&kafka.bootstrap(), &topics, "decrypt", &claims);
    let (report, _) = replay(&Setup::new(kafka, &topics), &[]);
    assert_eq!((reported(&report, "published"), reported(&report, "rejected")), (29, 1), "{report}");
    assert_eq!(BTreeSet::from_iter(ids(&records(kafka, &topics.events))).len(), 29);
    assert_eq!(behind(records(kafka, &topics.dlq), 30)[0].payload, claims[7]);
}

#[test]
fn what_is_replayed_is_written_as_kafka_format_says() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let setup = Setup::new(kafka, &topics).set("kafka", "format = \"cloudevents\"");
    quarantine(&kafka.bootstrap(), &topics, "malformed", &claims(2));
    let (report, _) = replay(&setup, &[]);
    assert_eq!(reported(&report, "published"), 2, "{report}");
    let published = records(kafka, &topics.events);
    assert_eq!(published.len(), 2);
    for record in published {
        assert_eq!(record.header("content-type"), Some("application/cloudevents+json"));
        assert_eq!(record.json()["type"], "com.qq.weixin.card.received.v1");
    }
}
