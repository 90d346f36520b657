//! `kafka.format`: what stands on the topic in each encoding, read by others' tools; a schema registry that is away.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    application::{Application, Reply, reply},
    cardhook::{Service, Setup, Topics, run},
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
    assert_same(tailed(&kafka.bootstrap(), &topics.events));
}

/// What `cardhook tail --json` prints of a whole topic.
fn tailed(broker: &str, topic: &str) -> Vec<Value> {
    let place = ["tail", "--brokers", broker, "--topic", topic, "--from-beginning", "--until-end", "--json"];
    let output = run(&place);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
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
    assert_same(tailed(&kafka.bootstrap(), &topics.events));
}

#[test]
fn a_registry_that_goes_away_later_holds_nothing_up_until_a_restart_and_may_come_back_with_another_id() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let registry = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = registry.local_addr().unwrap();
    let lines = format!("format = \"avro\"\nschema_registry = \"http://{address}\"");
    let setup = Setup::new(kafka, &topics).set("kafka", &lines);
    let service = setup.serve_unready();
    answer(&registry, 1, 2);
    let up = |service: &Service| service.metric("cardhook_schema_registry_up", "");
    eventually("the registry counts as up", PATIENCE, || (up(&service) == 1).then_some(()));

    drop(registry);
    eventually("the metric says that it is away", PATIENCE, || (up(&service) == 0).then_some(()));
    let told = service.log();
    assert!(told.contains("the schema registry is away: events go on under the id known"), "{told}");
    post_all(service.public);
    service.wait_drained();
    let published = || tailed(&kafka.bootstrap(), &topics.events).len();
    assert_eq!(published(), EVENTS.len());

    // Without an id they wait: after a restart.
    assert!(service.stop(PATIENCE).success());
    let service = setup.serve_unready();
    let claim = fixture("user_view_card");
    assert!(Account::of(Mode::Secure).post(service.public, &claim).is_success());
    let notice = "the schema registry gives no id: events wait in the spool";
    eventually("the log says so", PATIENCE, || service.log().contains(notice).then_some(()));
    assert_eq!((published(), up(&service)), (EVENTS.len(), 0));
    assert_eq!(service.metric("cardhook_spool_records", ""), 1);

    let registry = TcpListener::bind(address).unwrap();
    answer(&registry, 2, 2);
    service.wait_drained();
    let schema = project("schemas/cardhook-events.v1.avsc").display().to_string();
    let read = python("read_avro.py", &[&kafka.bootstrap(), &topics.events, &schema]);
    let ids: BTreeSet<u64> = read.iter().map(|record| record["framing"][4].as_u64().unwrap()).collect();
    assert_eq!((read.len(), ids), (EVENTS.len() + 1, BTreeSet::from([1, 2])));
    eventually("the registry counts as up", PATIENCE, || (up(&service) == 1).then_some(()));
}

/// What `cardhook check --connect --json` finds of the registry.
fn checked(setup: &Setup) -> Vec<(String, String, String)> {
    let output = run(&["check", "--connect", "--json", "--config", &setup.write().display().to_string()]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["subject"] == "kafka.schema_registry")
        .map(|finding| (text(finding, "level"), text(finding, "found"), text(finding, "cure")))
        .collect()
}

#[test]
fn check_names_a_registry_that_is_away_or_takes_no_schema_with_its_cure() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let answers = Arc::new(Mutex::new(("200 OK", r#"{"is_compatible":true}"#)));
    let given = Arc::clone(&answers);
    let registry = Application::start(move |_| {
        let (status, body) = *given.lock().unwrap();
        Reply::Bytes(reply(status, "application/json", body.as_bytes()))
    });
    let lines = format!("format = \"avro\"\nschema_registry = \"{}\"", registry.url());
    let setup = Setup::new(kafka, &topics).set("kafka", &lines);
    for (status, body, level, cure) in [
        ("200 OK", r#"{"is_compatible":true}"#, "ok", ""),
        ("404 Not Found", r#"{"error_code":40401,"message":"Subject not found."}"#, "ok", ""),
        ("200 OK", r#"{"is_compatible":false}"#, "fail", "is the subject another program's?"),
        ("404 Not Found", "no such page", "fail", "/apis/ccompat/v7"),
        ("401 Unauthorized", "{}", "fail", "user and password"),
    ] {
        *answers.lock().unwrap() = (status, body);
        let found = checked(&setup);
        assert!(found[0].0 == level && found[0].2.contains(cure), "{status} {body}: {found:?}");
    }
    let asked = registry.stop();
    let path = format!("/app/compatibility/subjects/{}-value/versions/latest", topics.events);
    assert!(asked.iter().any(|asked| asked.target() == path), "{path}");
    let found = checked(&setup);
    assert_eq!((found.len(), found[0].0.as_str()), (1, "fail"));
    assert!(found[0].1.contains("no answer") && found[0].2.contains("start the registry"), "{found:?}");
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
    for (language, file) in [("en", "README.md"), ("zh-CN", "README.zh-CN.md")] {
        let output = run(&["schema", "--format", "catalogue", "--lang", language]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, std::fs::read(project(&format!("schemas/{file}"))).unwrap(), "{language}");
    }
}
