//! OpenTelemetry: what a push leaves at a collector, which is a double here (`tests/deploy.sh` has a real one).

use std::{collections::BTreeMap, net::TcpListener, time::Duration};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind},
};
use prost::Message as _;

use crate::support::{
    application::{Application, Reply, reply},
    cardhook::{Service, Setup, Topics, run},
    consume::{Record, records},
    eventually,
    http::Connection,
    kafka::{Kafka, shared_broker},
    wechat::{Account, Mode, claim, fixture},
};

const PATIENCE: Duration = Duration::from_secs(30);
const USER: &str = "oInventedOpenidOfATest00001x";
const CODE: &str = "012345678901";

/// Answers as a collector does.
fn collector() -> Application {
    Application::start(|_| Reply::Bytes(reply("200 OK", "application/x-protobuf", b"")))
}

fn traced(setup: &Setup, collector: &Application) -> Service {
    let service = setup.serve_with(|command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.address));
        command.env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20of-the-collector");
        command.env("OTEL_BSP_SCHEDULE_DELAY", "100");
    });
    service.wait_ready();
    service
}

fn exports(collector: &Application) -> Vec<ExportTraceServiceRequest> {
    let exports = collector.asked().into_iter().map(|asked| {
        assert!(asked.head.starts_with("POST /v1/traces "), "{}", asked.head);
        assert_eq!(asked.headers("content-type"), ["application/x-protobuf"]);
        assert_eq!(asked.headers("authorization"), ["Bearer of-the-collector"]);
        ExportTraceServiceRequest::decode(asked.body.as_slice()).unwrap()
    });
    exports.collect()
}

fn spans(collector: &Application) -> Vec<Span> {
    let of_resources = exports(collector).into_iter().flat_map(|export| export.resource_spans);
    of_resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
}

/// Waits for the span of that name in a trace.
fn span(collector: &Application, name: &str, trace_id: &str) -> Span {
    eventually(&format!("a span {name:?}"), PATIENCE, || {
        spans(collector).into_iter().find(|span| span.name == name && hex(&span.trace_id) == trace_id)
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref().unwrap().value.as_ref().unwrap() {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}

/// Trace and span of a record's `traceparent`.
fn traceparent(record: &Record) -> (String, String) {
    let header = record.header("traceparent").unwrap();
    let parts: Vec<_> = header.split('-').collect();
    assert_eq!((parts[0], parts[1].len(), parts[2].len(), parts[3]), ("00", 32, 16, "01"), "{header}");
    (parts[1].to_owned(), parts[2].to_owned())
}

#[test]
fn a_push_is_one_trace_from_the_request_to_the_topic() {
    let (kafka, collector) = (shared_broker(), collector());
    let topics = Topics::create(kafka);
    let service = traced(&Setup::new(kafka, &topics).set("delivery", "answer_after = \"disk\""), &collector);
    let account = Account::of(Mode::Secure);
    assert!(account.post(service.public, &claim(USER, CODE, 1_700_000_000)).is_success());
    service.wait_drained();

    let record = records(kafka, &topics.events).remove(0);
    let (trace_id, parent) = traceparent(&record);
    let request = span(&collector, "POST /wechat/secure", &trace_id);
    assert_eq!(hex(&request.span_id), parent, "the record names the request's span");
    assert_eq!((request.kind(), request.parent_span_id.as_slice()), (SpanKind::Server, &[][..]));
    let said = attributes(&request.attributes);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/wechat/secure"),
        ("http.response.status_code", "200"),
        ("cardhook.account", "secure"),
        ("cardhook.event_type", "card.received"),
        ("cardhook.result", "accepted"),
        ("cardhook.answered_by", "disk"),
    ] {
        assert_eq!(said.get(name).map(String::as_str), Some(value), "{name}");
    }

    let stored = span(&collector, "store", &trace_id);
    let published = span(&collector, &format!("send {}", topics.events), &trace_id);
    for step in [&stored, &published] {
        assert_eq!(hex(&step.parent_span_id), parent, "{}", step.name);
        assert!(step.start_time_unix_nano >= request.start_time_unix_nano, "{}", step.name);
        assert!(step.end_time_unix_nano >= step.start_time_unix_nano, "{}", step.name);
    }
    assert_eq!((stored.kind(), published.kind()), (SpanKind::Internal, SpanKind::Producer));
    let said = attributes(&published.attributes);
    for (name, value) in [
        ("messaging.system", "kafka"),
        ("messaging.destination.name", topics.events.as_str()),
        ("messaging.kafka.offset", "0"),
        ("messaging.message.id", record.header("ce_id").unwrap()),
    ] {
        assert_eq!(said.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(said.contains_key("messaging.destination.partition.id"));

    let resource = exports(&collector).remove(0).resource_spans.remove(0).resource.unwrap();
    assert_eq!(attributes(&resource.attributes)["service.name"], "cardhook");
    for asked in collector.asked() {
        for secret in [USER, CODE, account.token, account.aes_key, "signature", "nonce"] {
            let found = asked.body.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "a span shows {secret:?}");
        }
    }
}

#[test]
fn an_event_that_waited_over_a_restart_is_published_in_its_trace() {
    let (mut kafka, collector) = (Kafka::start(), collector());
    let topics = Topics::create(&kafka);
    let setup = Setup::new(&kafka, &topics);
    kafka.stop();
    let service = traced(&setup, &collector);
    assert!(Account::of(Mode::Secure).post(service.public, &fixture("user_get_card")).is_success());
    let request = eventually("the request's span", PATIENCE, || {
        spans(&collector).into_iter().find(|span| span.name == "POST /wechat/secure")
    });
    let trace_id = hex(&request.trace_id);
    span(&collector, "store", &trace_id);
    service.crash();
    kafka.run();
    let service = traced(&setup, &collector);
    service.wait_drained();
    let published = span(&collector, &format!("send {}", topics.events), &trace_id);
    assert_eq!(published.parent_span_id, request.span_id);
    assert_eq!(traceparent(&records(&kafka, &topics.events)[0]).0, trace_id);
}

#[test]
fn without_the_variables_no_record_has_a_traceparent() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let service = Setup::new(kafka, &topics).serve();
    assert!(Account::of(Mode::Secure).post(service.public, &fixture("user_get_card")).is_success());
    service.wait_drained();
    assert_eq!(records(kafka, &topics.events)[0].header("traceparent"), None);
    assert!(!service.log().contains("OTLP"), "{}", service.log());
}

#[test]
fn a_collector_that_is_away_costs_no_push_and_one_line() {
    // Bound and never accepted: nothing else takes the port.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let service = Setup::without_brokers().serve_with(|command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"));
        command.env("OTEL_BSP_SCHEDULE_DELAY", "50");
    });
    service.wait_ready();
    let said = || service.log().lines().filter(|line| line.contains("traces cannot be sent")).count();
    for number in 0..50 {
        let push = claim(USER, CODE, 1_700_000_000 + number);
        assert!(Account::of(Mode::Secure).post(service.public, &push).is_success());
    }
    eventually("the log says it", PATIENCE, || (said() == 1).then_some(()));
    for number in 50..60 {
        let push = claim(USER, CODE, 1_700_000_000 + number);
        assert!(Account::of(Mode::Secure).post(service.public, &push).is_success());
    }
    assert_eq!(said(), 1, "{}", service.log());
    assert!(service.stop(Duration::from_secs(8)).success());
}

#[test]
fn a_traceparent_is_believed_from_a_trusted_proxy_only() {
    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (proxies, believed) in [("[\"127.0.0.1\"]", true), ("[\"203.0.113.9\"]", false)] {
        let collector = collector();
        let setup = Setup::without_brokers().set("server", &format!("trusted_proxies = {proxies}"));
        let service = traced(&setup, &collector);
        let push = Account::of(Mode::Secure).push(&fixture("user_get_card"));
        let headers = format!("traceparent: {GIVEN}\r\n");
        let mut connection = Connection::open(service.public).unwrap();
        assert!(connection.exchange("POST", &push.target, &headers, push.body.as_ref()).unwrap().is_success());
        let request = eventually("the request's span", PATIENCE, || {
            spans(&collector).into_iter().find(|span| span.name == "POST /wechat/secure")
        });
        assert_eq!(hex(&request.trace_id) == "0af7651916cd43dd8448eb211c80319c", believed, "{proxies}");
        assert_eq!(hex(&request.parent_span_id) == "b7ad6b7169203331", believed, "{proxies}");
    }
}

#[test]
fn what_of_the_standard_variables_is_not_done_is_an_error_with_its_cure() {
    let setup = Setup::without_brokers();
    let config = setup.write();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cardhook"));
    command.env_clear().args(["check", "--config"]).arg(&config);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317").env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    for expected in
        ["OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318", "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"]
    {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    // The same configuration without them is right.
    assert_eq!(run(&["check", "--config", config.to_str().unwrap()]).status.code(), Some(0));
}
