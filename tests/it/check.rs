//! `cardhook check`: each mistake of the first hour is named, with its cure.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    nginx::Nginx,
    support::{
        cardhook::{Setup, Topics, run},
        eventually,
        kafka::{Kafka, shared_broker},
        wechat::{Account, Mode, fixture},
    },
};

/// Exit code and printed findings.
pub fn check(config: &Path, args: &[&str], authority: Option<&Path>) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardhook"));
    command.env_clear().args(["check", "--config"]).arg(config).args(args).stdin(Stdio::null());
    if let Some(authority) = authority {
        command.env("SSL_CERT_FILE", authority);
    }
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

pub fn connect(setup: &Setup) -> (i32, String) {
    check(&setup.write(), &["--connect"], None)
}

/// The line that begins with `level` and holds every one of `parts`.
pub fn assert_says(findings: &str, level: &str, parts: &[&str]) {
    let found = findings.lines().any(|line| line.starts_with(level) && parts.iter().all(|part| line.contains(part)));
    assert!(found, "no line {level} with {parts:?} in\n{findings}");
}

#[test]
fn a_right_setup_is_well_and_json_says_the_same_to_machines() {
    let kafka = shared_broker();
    let setup = Setup::new(kafka, &Topics::create(kafka));
    let config = setup.write();
    let (code, findings) = check(&config, &["--connect"], None);
    assert_eq!(code, 0, "{findings}");
    assert!(findings.ends_with(" warnings\n") && findings.contains("\nok: 0 failures, "), "{findings}");
    assert_says(&findings, "ok", &["kafka.topic", "partitions 3, replicas 1"]);
    assert_says(&findings, "warn", &["kafka.topic", "1 replica", "→"]);
    assert_says(&findings, "ok", &["spool.path", "may be written"]);
    assert!(!findings.contains("brokers = "), "the configuration is printed with --print only\n{findings}");

    let (code, report) = check(&config, &["--connect", "--json"], None);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((code, &report["verdict"]), (0, &Value::from("ok")));
    let lines = findings.lines().count() - 1;
    assert_eq!(report["findings"].as_array().unwrap().len(), lines);
}

#[test]
fn settings_of_a_topic_that_refuse_or_lose_events_are_named() {
    let kafka = shared_broker();
    let topics = Topics {
        events: kafka.create_topic_with("compacted", 1, &[("cleanup.policy", "compact")]),
        dlq: kafka.create_topic_with("dlq.expiring", 1, &[("retention.ms", "604800000")]),
        other: kafka.create_topic("other", 1),
    };
    let (code, findings) = connect(&Setup::new(kafka, &topics));
    assert_eq!(code, 1, "{findings}");
    assert_says(&findings, "FAIL", &["kafka.topic", "cleanup.policy compact", "cleanup.policy=delete"]);
    assert_says(&findings, "warn", &["kafka.dlq_topic", "retention.ms 604800000", "retention.ms=-1"]);

    let events = kafka.create_topic_with(
        "limits",
        1,
        &[("min.insync.replicas", "2"), ("message.timestamp.before.max.ms", "600000")],
    );
    let (code, findings) = connect(&Setup::new(kafka, &Topics { events, ..topics }));
    assert_eq!(code, 1, "{findings}");
    assert_says(&findings, "FAIL", &["kafka.topic", "min.insync.replicas 2", "1 replicas"]);
    assert_says(&findings, "warn", &["kafka.topic", "message.timestamp.before.max.ms 600000"]);
}

#[test]
fn a_topic_that_refuses_what_the_largest_push_becomes_is_named() {
    let kafka = shared_broker();
    let setup = Setup::new(kafka, &Topics::create(kafka));
    let (code, findings) = connect(&setup);
    assert_eq!(code, 0, "{findings}");
    assert!(!findings.contains("max.message.bytes"), "the defaults of both fit\n{findings}");

    // The defaults of Kafka, beside the largest body that can be configured.
    let (code, findings) = connect(&setup.set("server", "max_body_bytes = \"1MiB\""));
    assert_eq!(code, 0, "a warning\n{findings}");
    for key in ["kafka.topic", "kafka.dlq_topic"] {
        let found = "max.message.bytes 1048588: a push of server.max_body_bytes 1048576 can become a record of 3162112";
        assert_says(&findings, "warn", &[key, found, "max.message.bytes of at least 3162112"]);
    }

    let small = kafka.create_topic_with("small", 1, &[("max.message.bytes", "100000")]);
    let (_, findings) = connect(&Setup::new(kafka, &Topics { events: small.clone(), ..Topics::create(kafka) }));
    assert_says(&findings, "warn", &["kafka.topic", &small, "max.message.bytes 100000", "of at least 212992"]);
}

#[test]
fn a_missing_topic_and_brokers_that_are_not_there_fail_with_the_cure() {
    let kafka = shared_broker();
    let topics = Topics { events: "no.such.topic".to_owned(), ..Topics::create(kafka) };
    let (code, findings) = connect(&Setup::new(kafka, &topics));
    assert_eq!(code, 1, "{findings}");
    assert_says(&findings, "FAIL", &["kafka.topic", "does not exist", "cardhook topics create"]);

    let (code, findings) = connect(&Setup::at("127.0.0.1:1", &topics));
    assert_eq!(code, 1, "{findings}");
    assert_says(&findings, "FAIL", &["kafka.brokers", "127.0.0.1:1", "refused"]);
}

#[test]
fn an_advertised_address_that_cannot_be_reached_is_named() {
    let kafka = Kafka::start_advertising("kafka-internal.invalid");
    let setup = Setup::at(
        &kafka.bootstrap(),
        &Topics {
            events: "wechat.card.events".to_owned(),
            dlq: "wechat.card.dlq".to_owned(),
            other: "wechat.other".to_owned(),
        },
    );
    let (code, findings) = connect(&setup);
    assert_eq!(code, 1, "{findings}");
    assert_says(&findings, "FAIL", &["kafka-internal.invalid", "advertised.listeners"]);
}

#[test]
fn what_the_kafka_client_would_refuse_is_a_configuration_error_with_its_key() {
    for (options, key, said) in [
        (
            "\"security.protocol\" = \"SSL\"\n\"ssl.ca.location\" = \"/nowhere/ca.pem\"",
            "ssl.ca.location",
            "/nowhere/ca.pem cannot be read",
        ),
        ("\"security.protocol\" = \"SASL_SSL\"\n\"sasl.username\" = \"a\"", "sasl.mechanism", "is missing"),
    ] {
        let setup = Setup::without_brokers().set("kafka.options", options);
        let (code, errors) = check(&setup.write(), &[], None);
        assert_eq!(code, 78, "{errors}");
        assert!(errors.contains(key) && errors.contains(said), "{errors}");
    }
    let setup = Setup::without_brokers().set("kafka.options", "\"sasl.username\" = \"a\"");
    let (code, findings) = check(&setup.write(), &[], None);
    assert_eq!(code, 0, "{findings}");
    assert_says(&findings, "warn", &["sasl.username has no effect", "security.protocol"]);
}

#[test]
fn answers_after_kafka_only_without_brokers_are_warned_of_by_check_and_the_service() {
    let setup = Setup::without_brokers().set("delivery", "answer_after = \"kafka_only\"");
    let found = "\"kafka_only\" has no effect: kafka.brokers is empty, and answers wait for the disk";
    let cure = "write kafka.brokers = [\"host:9092\"], or answer_after = \"disk\"";
    let (code, findings) = check(&setup.write(), &[], None);
    assert_eq!(code, 0, "{findings}");
    assert_says(&findings, "warn", &["delivery.answer_after", found, cure]);
    let service = setup.serve();
    // The log escapes the quotes.
    service.wait_says("key=\"delivery.answer_after\"");
    service.wait_says("kafka.brokers is empty, and answers wait for the disk");

    for (brokers, answer_after) in [("[]", "kafka"), ("[]", "disk"), ("[\"127.0.0.1:1\"]", "kafka_only")] {
        let setup = Setup::without_brokers()
            .reset("kafka", &format!("brokers = {brokers}"))
            .set("delivery", &format!("answer_after = {answer_after:?}"));
        let (code, findings) = check(&setup.write(), &[], None);
        assert_eq!(code, 0, "{findings}");
        assert!(!findings.contains("has no effect"), "{findings}");
    }
}

#[test]
fn a_spool_folder_that_cannot_be_written_fails() {
    let setup = Setup::without_brokers().reset("spool", "path = \"/proc/cardhook\"");
    let (code, findings) = connect(&setup);
    assert_eq!(code, 1, "{findings}");
    assert_says(&findings, "FAIL", &["spool.path", "cannot be written", "→"]);
    let setup = Setup::without_brokers().reset("spool", "path = \"/dev/shm/cardhook-not-there\"");
    let (code, findings) = connect(&setup);
    assert_eq!(code, 0, "{findings}");
    assert_says(&findings, "warn", &["spool.path", "tmpfs", "kafka_only"]);
}

/// The look's own requests must not look like what a wrong token costs.
#[test]
fn walking_the_public_way_leaves_no_push_among_the_unverified_ones() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    let url = format!("http://{}/wechat/secure", service.public);
    let (code, findings) = check(&setup.write(), &["--url", &url], None);
    assert_eq!(code, 0, "{findings}");
    assert_says(&findings, "ok", &["a body of 48 KiB passes the proxy"]);
    // They are kept in the order in which they came.
    let mistaken = Account { token: "anotherToken", ..Account::of(Mode::Secure) };
    assert_eq!(mistaken.post(service.public, &fixture("user_get_card")).status, 403);
    let kept = || Some(service.metric("cardhook_unverified_kept", "")).filter(|kept| *kept > 0);
    assert_eq!(eventually("a push is kept", Duration::from_secs(10), kept), 1);
    let (_, findings) = check(&setup.write(), &[], None);
    assert_says(&findings, "warn", &["unverified", "pushes of secure that failed verification and are kept: 1"]);
}

#[test]
fn commands_that_need_brokers_call_their_absence_a_mistake_of_the_configuration() {
    let setup = Setup::without_brokers();
    let config = setup.write();
    let commands: [&[&str]; 4] = [&["tail"], &["replay"], &["replay", "--unverified"], &["topics", "create"]];
    for command in commands {
        let output = run(&[command, &["--config", config.to_str().unwrap()]].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{command:?}: {said}");
        assert!(said.contains("kafka.brokers: empty") && said.contains("host:port"), "{said}");
    }
}

/// A public way with a mistake: the shipped nginx file with `changes`, asked by `check --url`.
fn public_way(changes: &[(&str, &str)]) -> Option<(i32, String)> {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    let nginx = Nginx::start_changed(service.public, changes)?;
    Some(check(&setup.write(), &["--url", &nginx.url("/wechat/secure")], Some(&nginx.certificate())))
}

#[test]
fn the_shipped_nginx_is_a_public_way_without_a_fault() {
    let Some((code, findings)) = public_way(&[]) else { return };
    assert_eq!(code, 0, "{findings}");
    for step in
        ["TLS: trusted", "handshake: the echostr byte for byte", "a wrong signature is refused", "push: 200", "48 KiB"]
    {
        assert_says(&findings, "ok", &["--url", step]);
    }
}

#[test]
fn each_mistake_of_a_proxy_is_named() {
    let pass = "proxy_pass http://cardhook;";
    for (changes, said) in [
        (&[(pass, "proxy_pass http://cardhook$uri;")], ["handshake: 400", "pass the query on"]),
        (&[(pass, "return 301 https://your.domain$request_uri;")], ["a redirect (301)", "without a redirect"]),
        (&[(pass, "rewrite ^(.*)$ $1/ break; proxy_pass http://cardhook;")], ["handshake: 404", "no slash added"]),
        (
            &[("client_max_body_size 64k;", "client_max_body_size 8k;")],
            ["48 KiB is answered 413", "client_max_body_size"],
        ),
        (&[(pass, "return 200 success;")], ["in place of the echostr", "as it is"]),
    ] {
        let Some((code, findings)) = public_way(changes) else { return };
        assert_eq!(code, 1, "{findings}");
        assert_says(&findings, "FAIL", &["--url", said[0], said[1]]);
    }
}

#[test]
fn a_name_without_an_address_a_closed_port_and_an_untrusted_certificate_are_named() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    let config = setup.write();
    for (url, said) in [
        ("https://no-such-name.invalid/wechat/secure", "has no address"),
        ("https://127.0.0.1:1/wechat/secure", "nothing answers at 127.0.0.1:1"),
        ("https://127.0.0.1/wechat/other", "no account has the path /wechat/other"),
        ("ftp://127.0.0.1/wechat/secure", "is no URL"),
    ] {
        let (code, findings) = check(&config, &["--url", url], None);
        assert_eq!(code, 1, "{findings}");
        assert_says(&findings, "FAIL", &["--url", said, "→"]);
    }
    let Some(nginx) = Nginx::start_changed(service.public, &[]) else { return };
    let (code, findings) = check(&config, &["--url", &nginx.url("/wechat/secure")], None);
    assert_eq!(code, 1, "{findings}");
    assert_says(&findings, "FAIL", &["--url", "is not trusted", "full chain"]);
}

#[test]
fn the_commands_say_why_the_brokers_do_not_answer() {
    let kafka = Kafka::start_secured();
    // A plain client at the listener with TLS.
    let setup = Setup::at(&kafka.secured().bootstrap(), &Topics::create(&kafka));
    let config = setup.write().display().to_string();
    for command in [&["topics", "create"][..], &["tail", "--until-end"], &["replay"], &["check", "--connect"]] {
        let mut run = Command::new(env!("CARGO_BIN_EXE_cardhook"));
        let output = run.env_clear().args(command).args(["--config", &config]).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(said.contains("security.protocol"), "{command:?}: {said}");
    }
}
