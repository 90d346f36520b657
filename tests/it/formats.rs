//! `kafka.format`: what stands on the topic in each encoding, read by others' tools; a schema registry that is away.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    cardhook::{Setup, Topics, run},
    consume::{python, records},
    eventually,
    kafka::shared_broker,
    project,
    wechat::{Account, Mode, fixture},
};

const PATIENCE: Duration = Duration::from_mins(1);

const EVENTS: [&str; 4] = ["user_get_card", "user_consume_card", "card_pay_order", "user_lend_card"];

/// What the same pushes are as JSON, less the time of receipt, by `event_id`.
fn expected() -> Vec<Value> {
    let files = EVENTS.map(|event| project(&format!("tests/fixtures/{event}.xml")).display().to_string());
    let mut expected: Vec<Value> = python("expect.py", &files.each_ref().map(String::as_str));
    for event in &mut expected {
        *event = event["value"].take();
    }
    sorted(expected)
}

fn sorted(mut events: Vec<Value>) -> Vec<Value> {
    events.sort_by_key(|event| event["event_id"].as_str().unwrap().to_owned());
    events
}

fn assert_same(found: Vec<Value>) {
    let expected = expected();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in sorted(found).iter().zip(&expected) {
        for (field, value) in expected.as_object().unwrap() {
            // They depend on the account and the clock.
            if !["account", "received_at", "body_authenticated"].contains(&field.as_str()) {
                assert_eq!(&found[field], value, "{field} of {}", expected["event_type"]);
            }
        }
    }
}

fn post_all(public: std::net::SocketAddr) {
    for event in EVENTS {
        let answer = Account::of(Mode::Secure).post(public, &fixture(event));
        assert!(answer.is_success(), "{event}: {answer:?}");
    }
}

#[test]
fn a_structured_record_reads_with_the_cloud_events_sdk() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let service = Setup::new(kafka, &topics).set("kafka", "format = \"cloudevents\"").serve();
    post_all(service.public);
    service.wait_drained();
    for record in records(kafka, &topics.events) {
        assert_eq!(record.header("content-type"), Some("application/cloudevents+json"));
        assert_eq!(record.header("ce_id"), None, "a structured record has its attributes in its value");
        let document = record.json();
        assert_eq!(document["id"], document["data"]["event_id"]);
        assert_eq!(
            (&document["specversion"], &document["datacontenttype"]),
            (&json!("1.0"), &json!("application/json"))
        );
    }
    let read = python("read_cloudevents.py", &[&kafka.bootstrap(), &topics.events]);
    assert_same(read.into_iter().map(|mut event| event["data"].take()).collect());
}

#[test]
fn events_wait_for_a_schema_registry_that_is_away_and_are_right_when_it_is_back() {
    const ID: u32 = 0x0102_0304;
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    // Bound, and answered only later: nothing else takes the port meanwhile.
    let registry = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = registry.local_addr().unwrap();
    let lines = format!("format = \"avro\"\nschema_registry = \"http://{address}/base\"");
    let service = Setup::new(kafka, &topics).set("kafka", &lines).serve_unready();
    post_all(service.public);
    let failures = || service.metric("cardhook_publish_errors_total", "reason=\"schema_registry_unavailable\"");
    eventually("the metric counts", PATIENCE, || (failures() > 0).then_some(()));
    drop(registry.accept().unwrap());
    let notice = "the schema registry gives no id: events wait in the spool";
    eventually("the log says so", PATIENCE, || service.log().contains(notice).then_some(()));
    assert_eq!(records(kafka, &topics.events).len(), 0);

    let subjects = answer(&registry, ID, 2);
    assert_eq!(subjects, [&topics.events, &topics.other].map(|topic| format!("/base/subjects/{topic}-value/versions")));
    service.wait_drained();
    let schema = project("schemas/cardhook-events.v1.avsc").display().to_string();
    let read = python("read_avro.py", &[&kafka.bootstrap(), &topics.events, &schema]);
    for record in &read {
        assert_eq!(record["framing"], json!([0, 1, 2, 3, 4]));
        assert_eq!(record["headers"]["content-type"], "application/avro");
        assert_eq!(record["headers"]["ce_id"], record["value"]["event_id"]);
    }
    assert_same(read.into_iter().map(|mut record| record["value"].take()).collect());
}

/// Answers so many registrations with this id; gives their paths.
fn answer(registry: &TcpListener, id: u32, count: usize) -> Vec<String> {
    let schema: Value = serde_json::from_str(&printed("avro")).unwrap();
    let mut paths = Vec::new();
    while paths.len() < count {
        let (mut connection, _) = registry.accept().unwrap();
        let mut request = Vec::new();
        let mut piece = [0; 4096];
        let body = loop {
            let length = connection.read(&mut piece).unwrap();
            request.extend_from_slice(&piece[..length]);
            let text = String::from_utf8_lossy(&request);
            let body = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<Value>(body).ok());
            if body.is_some() || length == 0 {
                break body;
            }
        };
        // A connection that the service gave up while nobody answered.
        let Some(body) = body else { continue };
        assert_eq!(body["schemaType"], "AVRO");
        assert_eq!(serde_json::from_str::<Value>(body["schema"].as_str().unwrap()).unwrap(), schema);
        let text = String::from_utf8_lossy(&request);
        paths.push(text.split(' ').nth(1).unwrap().to_owned());
        let answer = format!("{{\"id\":{id}}}");
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json";
        write!(connection, "{head}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).unwrap();
    }
    paths
}

fn printed(format: &str) -> String {
    let output = run(&["schema", "--format", format]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_format_of_the_schema_is_printed_as_it_stands_in_its_file() {
    for (format, file) in [
        ("json-schema", "cardhook-events.v1.schema.json"),
        ("asyncapi", "cardhook-events.v1.asyncapi.json"),
        ("avro", "cardhook-events.v1.avsc"),
    ] {
        assert_eq!(printed(format), std::fs::read_to_string(project(&format!("schemas/{file}"))).unwrap(), "{format}");
    }
}
