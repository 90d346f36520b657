//! What is wrong with the Kafka cluster is said in the same words by `check`, by the service's log, and by the commands that meet it.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    check::{assert_says, connect},
    support::{
        cardhook::{Setup, Topics},
        consume::{python, records},
        eventually,
        faults::Faults,
        kafka::{Kafka, shared_broker},
        secured::READER,
        unix_seconds,
        wechat::{Account, Mode, claim},
    },
};

const PATIENCE: Duration = Duration::from_mins(1);

fn command(setup: &Setup, args: &[&str]) -> Command {
    let mut command = Command::new(&setup.binary);
    command.env_clear().args(args).arg("--config").arg(setup.write()).stdin(Stdio::null());
    command
}

/// Exit code and everything it said.
fn run(setup: &Setup, args: &[&str]) -> (Option<i32>, String) {
    let output = command(setup, args).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn settings_that_refuse_or_lose_events_are_said_by_check_the_service_and_topics() {
    let kafka = shared_broker();
    let topics = Topics {
        events: kafka.create_topic_with(
            "limits",
            1,
            &[("min.insync.replicas", "2"), ("message.timestamp.before.max.ms", "600000")],
        ),
        dlq: kafka.create_topic_with(
            "dlq.compacted",
            1,
            &[("cleanup.policy", "compact"), ("retention.ms", "604800000")],
        ),
        other: kafka.create_topic("other", 1),
    };
    let setup = Setup::new(kafka, &topics);
    let (_, checked) = connect(&setup);
    let service = setup.serve_unready();
    let (code, created) = run(&setup, &["topics", "create"]);
    assert_eq!(code, Some(0), "{created}");
    let Topics { events, dlq, .. } = &topics;
    for (topic, found, cure) in [
        (events, "min.insync.replicas 2, and it has 1 replicas: some releases of Kafka take no record", "add replicas"),
        (events, "message.timestamp.before.max.ms 600000: events of an outage", "of at least 172800000"),
        (dlq, "cleanup.policy compact: records without a key are refused", "cleanup.policy=delete"),
        (dlq, "retention.ms 604800000: quarantined pushes vanish", "retention.ms=-1"),
    ] {
        let found = format!("{topic}: {found}");
        for said in [&checked, &created] {
            let line = said.lines().any(|line| line.contains(&found) && line.contains(cure));
            assert!(line, "no line with {found:?} and {cure:?} in\n{said}");
        }
        service.wait_says(&found);
        assert!(service.log().contains(cure), "{}", service.log());
    }
    // Said once.
    assert_eq!(service.log().matches("cleanup.policy compact").count(), 1, "{}", service.log());
}

#[test]
fn an_advertised_address_that_cannot_be_reached_is_said_by_the_service_and_every_command() {
    let kafka = Kafka::start_advertising("kafka-internal.invalid");
    let names = ["wechat.card.events", "wechat.card.dlq", "wechat.other"].map(str::to_owned);
    let [events, dlq, other] = names;
    let setup = Setup::at(&kafka.bootstrap(), &Topics { events, dlq, other });
    let words = "the cluster advertises kafka-internal.invalid:";
    let service = setup.serve_unready();
    service.wait_says(words);
    assert!(service.log().contains("advertised.listeners"), "{}", service.log());
    for args in [&["topics", "create"][..], &["tail", "--until-end"], &["replay"], &["check", "--connect"]] {
        let (code, said) = run(&setup, args);
        assert_eq!(code, Some(1), "{args:?}: {said}");
        assert!(said.contains(words) && said.contains("advertised.listeners"), "{args:?}: {said}");
    }
}

#[test]
fn rights_that_are_missing_are_said_by_the_service_and_every_command() {
    let kafka = Kafka::start_secured();
    let topics = Topics::create(&kafka);
    let Topics { events, dlq, other } = &topics;
    let password = tempfile::NamedTempFile::new().unwrap();
    fs::write(password.path(), READER.password).unwrap();
    let setup = Setup::at(&kafka.secured().bootstrap(), &topics)
        .set("kafka", &format!("sasl_password_file = {:?}", password.path().display().to_string()))
        .set(
            "kafka.options",
            &format!(
                "\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\"sasl.username\" = {:?}\n\
                 \"ssl.ca.location\" = {:?}",
                READER.name,
                kafka.secured().authority()
            ),
        );
    // Nothing is allowed.
    let (code, said) = run(&setup, &["tail", "--until-end"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is forbidden to this user; allow Describe and Read on it"), "{said}");
    let (code, said) = run(&setup, &["topics", "create", "--replication", "1"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("allow Create on it"), "{said}");
    let service = setup.serve_unready();
    service.wait_says(&format!("{events}: is forbidden to this user"));
    service.wait_says("no Write on any of the topics");
    drop(service);

    // It may ask for all, and write the events: the DLQ topic is found before a push needs it.
    python("allow.py", &["--describe", &kafka.bootstrap(), READER.name, events, dlq, other]);
    python("allow.py", &[&kafka.bootstrap(), READER.name, events]);
    let service = setup.serve_unready();
    service.wait_says(&format!("{dlq}: no Write for this user"));
    assert!(!service.log().contains(&format!("{events}: no Write")), "{}", service.log());
    assert!(Account::of(Mode::Secure).post(service.public, "no XML").is_success());
    service.wait_says("reason=\"topic_authorization_failed\" found=\"no Write for this user\"");
    let (code, said) = run(&setup, &["tail", "--until-end", "--from-beginning"]);
    // There is nothing to be read yet.
    assert_eq!(code, Some(0), "{said}");
    assert!(Account::of(Mode::Secure).post(service.public, &claim("oU", "000000000001", unix_seconds())).is_success());
    eventually("the event is there", PATIENCE, || (records(&kafka, events).len() == 1).then_some(()));
    let (code, said) = run(&setup, &["tail", "--until-end", "--from-beginning"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("{events}: no Read for this user; allow Describe and Read on it")), "{said}");
    let (code, said) = run(&setup, &["replay"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no Read for this user; allow Read on it"), "{said}");
}

#[test]
fn a_replay_says_what_is_wrong_with_the_topics_and_why_a_record_is_refused() {
    let kafka = shared_broker();
    let topics = Topics {
        events: kafka.create_topic_with("limits", 1, &[("message.timestamp.before.max.ms", "600000")]),
        ..Topics::create(kafka)
    };
    let setup = Setup::new(kafka, &topics);
    let service = setup.serve();
    let old = claim("oUser", "000000000001", unix_seconds() - 1200);
    assert!(Account::of(Mode::Secure).post(service.public, &old).is_success());
    eventually("it is in the DLQ topic", PATIENCE, || (records(kafka, &topics.dlq).len() == 1).then_some(()));
    service.wait_says("the timestamp is outside what the topic takes (message.timestamp.before.max.ms");
    drop(service);
    let (code, said) = run(&setup, &["replay"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&topics.events) && said.contains("the timestamp is outside what the topic takes"), "{said}");

    kafka.set_topic(&topics.events, "min.insync.replicas", "2");
    // This release of Kafka takes it all the same.
    let (code, said) = run(&setup, &["replay", "--timestamp", "now"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("min.insync.replicas 2, and it has 1 replicas"), "{said}");
    kafka.delete_topic(&topics.events);
    let (code, said) = run(&setup, &["replay"]);
    assert_eq!(code, Some(0), "nothing is left\n{said}");
    assert!(said.contains(&format!("{}: does not exist; `cardhook topics create` makes it", topics.events)), "{said}");
}

#[test]
fn a_clock_that_is_off_the_brokers_is_found_and_nothing_is_written() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let setup = Setup::new(kafka, &topics);
    let (_, findings) = connect(&setup);
    assert_says(&findings, "ok", &["clock", "as the brokers', within"]);
    let faults = Faults::new(setup.folder());
    for (offset_ms, level, said) in [
        (125_000, "FAIL", "120 to 150 s ahead of the brokers'"),
        (-125_000, "FAIL", "120 to 150 s behind the brokers'"),
        (15_000, "warn", "10 to 20 s ahead of the brokers'"),
    ] {
        faults.clock_offset_ms(offset_ms);
        let mut check = command(&setup, &["check", "--connect"]);
        faults.apply_to(&mut check);
        let output = check.output().unwrap();
        let findings = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_says(&findings, level, &["clock", said, "NTP"]);
        assert_says(&findings, "ok", &["kafka permissions", &topics.events]);
        assert_eq!(output.status.code(), Some(i32::from(level == "FAIL")), "{findings}");
    }
    assert!(records(kafka, &topics.events).is_empty() && records(kafka, &topics.dlq).is_empty());
}
