//! Tokens, keys, passwords, card codes and openids stand nowhere but where they belong: on the topics and in the spool.
//!
//! A full run of everything that goes well and wrong, at trace level, in both formats; then a search through all that
//! was said on the way. `hoard` is the search, `traffic` what is sent, `commands` the other commands.

mod cards;
mod commands;
mod hoard;
mod prints;
mod traffic;

use std::time::Duration;

use rustix::process::Signal;

use self::{
    hoard::Said,
    traffic::{CODE, OPENID, account, accounts, hoard, send},
};
use crate::support::{
    cardhook::{Service, Setup, Topics},
    consume::records,
    eventually,
    http::Connection,
    kafka::Kafka,
    wechat::{Mode, claim},
};

const SASL_PASSWORD: &str = "EisbNvSBIXpUYLXUqjhqwmkxIXemleSx";
const KEY_PASSWORD: &str = "rP3FYAfoiPyTZl21PVL076Hn40j8p4lx";
const ADMIN_TOKEN: &str = "wmRbsQ90gDIs6f7Vq9PKklfbhAiFnshA";
const SOON: Duration = Duration::from_mins(1);

/// Everything that writes: trace level, librdkafka's debugging, credentials for SASL.
fn talkative(kafka: &Kafka, topics: &Topics) -> Setup {
    let password = format!("sasl_password = {SASL_PASSWORD:?}");
    let options = format!(
        "debug = \"all\"\n\"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = \"cardhook\"\n\
         \"ssl.key.password\" = {KEY_PASSWORD:?}\n\"compression.type\" = \"none\"\n\"batch.size\" = 10000"
    );
    Setup::new(kafka, topics).set("kafka", &password).set("kafka.options", &options)
}

fn whole_hoard() -> hoard::Hoard {
    let mut hoard = hoard();
    hoard.add_secret("the password of SASL", SASL_PASSWORD);
    hoard.add_secret("the password of the TLS key", KEY_PASSWORD);
    hoard.add_secret("the token of the admin listener", ADMIN_TOKEN);
    hoard
}

/// What refuses records of more than 20,000 bytes; its DLQ those of more than 50,000.
fn narrow_topics(kafka: &Kafka) -> Topics {
    Topics {
        events: kafka.create_topic_with("events", 3, &[("max.message.bytes", "20000")]),
        dlq: kafka.create_topic_with("dlq", 1, &[("max.message.bytes", "50000")]),
        other: kafka.create_topic("other", 1),
    }
}

/// Two events that the broker refuses: one goes to the DLQ topic, one is parked.
fn send_too_large(service: &Service, age: usize, round: usize) {
    for (bytes, number) in [(30_000, 1), (60_000, 2)] {
        let body = claim(OPENID, CODE, 1_760_000_000 + i64::try_from(round).unwrap() * 10 + number);
        let body = body.replace("<![CDATA[harness]]>", &"x".repeat(bytes));
        assert!(account(Mode::Plaintext, age).post(service.public, &body).is_success());
    }
    eventually("a record is parked", SOON, || {
        (service.metric("cardhook_spool_parked", "") == round as u64).then_some(())
    });
}

/// Waits until nothing is in the spool but what is parked there.
fn wait_forwarded(service: &Service) {
    let left = || service.metric("cardhook_spool_records", "") - service.metric("cardhook_spool_parked", "");
    eventually("the spool drains", SOON, || (left() == 0).then_some(()));
}

/// Every page, one that is none, and what is answered to tokens.
fn hear_admin(service: &Service, said: &mut Said) {
    for page in ["/livez", "/readyz", "/metrics", "/", &format!("/{CODE}?openid={OPENID}")] {
        said.hear(format!("the admin listener's {page:.8}"), format!("{:?}", service.admin(page)));
    }
    for header in [format!("Bearer {ADMIN_TOKEN}"), format!("Bearer {SASL_PASSWORD}"), format!("Basic {CODE}")] {
        let mut connection = Connection::open(service.admin).unwrap();
        let answer = connection.exchange("GET", "/metrics", &format!("Authorization: {header}\r\n"), b"").unwrap();
        said.hear("the admin listener's answer to a token", format!("{answer:?}"));
    }
}

/// SIGHUP, until the log has one more line with `logged`.
fn hang_up(service: &Service, logged: &str) {
    let lines = || service.log().matches(logged).count();
    let before = lines();
    service.signal(Signal::HUP);
    eventually(logged, SOON, || (lines() > before).then_some(()));
}

/// A run with the broker up, away and up again, and a crash with a backlog.
fn first_run(setup: &Setup, kafka: &mut Kafka, said: &mut Said) {
    let service = setup.serve();
    service.wait_kafka(true);
    send(service.public, 0, 1, 1, said);
    send_too_large(&service, 0, 1);
    kafka.stop();
    send(service.public, 0, 1, 2, said);
    service.wait_kafka(false);
    hear_admin(&service, said);
    commands::beside_a_service(setup, said);
    kafka.run();
    service.wait_kafka(true);
    wait_forwarded(&service);
    for result in ["accepted", "duplicate", "quarantined", "other", "handshake", "bad_request"] {
        assert_ne!(service.metric("cardhook_callbacks_total", &format!("\"{result}\"")), 0, "{result}");
    }
    for result in ["bad_signature", "stale", "too_large", "timeout"] {
        assert_ne!(service.metric("cardhook_callbacks_total", &format!("\"{result}\"")), 0, "{result}");
    }
    kafka.suspend();
    send(service.public, 0, 1, 3, said);
    said.hear("the log before the crash", service.log());
    service.crash();
    kafka.resume();
}

/// A run that finds the backlog, gets new credentials, right and wrong ones, and is stopped.
fn second_run(setup: Setup, said: &mut Said) -> Setup {
    let mut service = setup.serve();
    service.wait_kafka(true);
    wait_forwarded(&service);
    let setup = accounts(setup, 2, 0).set("admin", &format!("token = {ADMIN_TOKEN:?}"));
    setup.write();
    hang_up(&service, "admin.token");
    send(service.public, 2, 0, 4, said);
    send_too_large(&service, 2, 2);
    wait_forwarded(&service);
    hear_admin(&service, said);
    commands::wrong_configurations(&setup, &service, said);
    service.signal(Signal::TERM);
    assert!(service.wait(SOON).success());
    eventually("the log is whole", SOON, || service.log().contains("stopped").then_some(()));
    said.hear("the log to the end", service.log());
    setup
}

#[test]
fn no_secret_and_nothing_personal_stands_in_what_a_full_run_says() {
    let mut kafka = Kafka::start();
    let topics = narrow_topics(&kafka);
    let mut said = Said::default();
    let setup = accounts(talkative(&kafka, &topics), 0, 1).reset("log", "level = \"trace\"\nformat = \"json\"");
    first_run(&setup, &mut kafka, &mut said);
    let setup = second_run(setup.reset("log", "level = \"trace\"\nformat = \"text\""), &mut said);
    commands::beside_the_broker(setup, &topics, &mut said);

    let hoard = whole_hoard();
    assert_eq!(said.betrayed(&hoard), Vec::<String>::new());
    // What belongs on the topics arrived there, and would have been found.
    for (topic, parts) in [(&topics.events, 3), (&topics.dlq, 2)] {
        let there = format!("{:?}", records(&kafka, topic));
        assert!(hoard.found_in(there.as_bytes()).len() >= parts, "{topic}");
    }
}
