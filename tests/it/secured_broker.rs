//! A real broker behind TLS and SCRAM: the right password, the wrong one, a certificate nobody vouches for, a user without rights.

use std::{path::PathBuf, sync::OnceLock, time::Duration};

use rustix::process::Signal;

use crate::support::{
    cardhook::{Service, Setup, Topics, run},
    consume::{python, records},
    eventually,
    kafka::Kafka,
    project,
    secured::{GUEST, MASTER, READER, User},
    unix_seconds,
    wechat::{Account, Mode, claim},
};

const PATIENCE: Duration = Duration::from_mins(1);
const WRONG: &str = "notTHEpassword0042";

fn broker() -> &'static Kafka {
    static BROKER: OnceLock<Kafka> = OnceLock::new();
    BROKER.get_or_init(Kafka::start_secured)
}

/// The lines that docs/configuration.md shows, for the secured listener.
fn setup(topics: &Topics, user: User, password: &str, authority: &str) -> Setup {
    let setup = Setup::at(&broker().secured().bootstrap(), topics);
    let file = password_file(&setup);
    // As editors leave it: with a newline.
    std::fs::write(&file, format!("{password}\n")).unwrap();
    let page = std::fs::read_to_string(project("docs/configuration.md")).unwrap();
    let (_, shown) = page.split_once("```toml\n[kafka]\nsasl_password_file").unwrap();
    let (password_line, options) = shown.split_once("```").unwrap().0.split_once("[kafka.options]\n").unwrap();
    let placed = |shown: &str| {
        shown
            .replace("/etc/cardhook/kafka.password", file.to_str().unwrap())
            .replace("/etc/cardhook/kafka-ca.pem", authority)
            .replace("\"cardhook\"", &format!("{:?}", user.name))
    };
    let password_line = format!("sasl_password_file{}", placed(password_line));
    setup.set("kafka", &password_line).set("kafka.options", &placed(options))
}

fn password_file(setup: &Setup) -> PathBuf {
    setup.spool().with_file_name("kafka.password")
}

fn post(service: &Service, code: &str) {
    let answer = Account::of(Mode::Secure).post(service.public, &claim("oSingleUser", code, unix_seconds()));
    assert!(answer.is_success(), "{answer:?}");
}

fn codes(topics: &Topics) -> Vec<String> {
    records(broker(), &topics.events).iter().map(|record| record.text("code")).collect()
}

/// `cardhook check --connect`: exit code and everything it said.
fn check(setup: &Setup) -> (Option<i32>, String) {
    let output = run(&["check", "--connect", "--config", &setup.write().display().to_string()]);
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// Events are received while the broker does not let us in for `reason`, and log, metric and `check` say so.
fn kept_while_not_let_in(setup: &Setup, reason: &str, said: &str, cure: &str) -> Service {
    let service = setup.serve();
    service.wait_kafka(false);
    post(&service, "000000000001");
    eventually(reason, PATIENCE, || {
        let label = format!("reason=\"{reason}\"");
        (service.metric("cardhook_publish_errors_total", &label) > 0).then_some(())
    });
    service.wait_says(said);
    assert_eq!(service.metric("cardhook_spool_records", ""), 1);
    let (code, checked) = check(setup);
    assert_eq!(code, Some(1), "{checked}");
    assert!(checked.contains(said) && checked.contains(cure), "{checked}");
    for secret in [MASTER.password, WRONG] {
        assert!(!service.log().contains(secret) && !checked.contains(secret), "{}\n{checked}", service.log());
    }
    service
}

#[test]
fn the_right_password_brings_the_event_to_the_topic_and_stands_in_no_log() {
    let topics = Topics::create(broker());
    let setup =
        setup(&topics, MASTER, MASTER.password, &broker().secured().authority()).set("log", "level = \"trace\"");
    let (code, checked) = check(&setup);
    assert_eq!(code, Some(0), "{checked}");
    let service = setup.serve();
    post(&service, "000000000001");
    service.wait_drained();
    assert_eq!(codes(&topics), ["000000000001"]);
    assert!(!service.log().contains(MASTER.password) && !checked.contains(MASTER.password));
}

#[test]
fn a_wrong_password_is_named_and_its_repair_delivers_what_waited() {
    let topics = Topics::create(broker());
    let setup = setup(&topics, MASTER, WRONG, &broker().secured().authority());
    let service =
        kept_while_not_let_in(&setup, "authentication_failed", "SASL authentication error", "kafka.sasl_password");
    std::fs::write(password_file(&setup), MASTER.password).unwrap();
    service.signal(Signal::HUP);
    let takes_a_restart = |line: &str| line.contains("kafka.sasl_password") && line.contains("takes a restart");
    eventually("the log names the key", PATIENCE, || service.log().lines().any(takes_a_restart).then_some(()));
    post(&service, "000000000002");
    let status = service.stop(Duration::from_secs(10));
    assert!(status.success(), "{status}");
    let service = setup.serve();
    post(&service, "000000000003");
    service.wait_drained();
    assert_eq!(codes(&topics), ["000000000001", "000000000002", "000000000003"]);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_named_and_nothing_is_lost() {
    let topics = Topics::create(broker());
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    std::fs::copy(broker().secured().stranger(), &authority).unwrap();
    let setup = setup(&topics, MASTER, MASTER.password, &authority.display().to_string());
    let service = kept_while_not_let_in(&setup, "tls_failed", "certificate verify failed", "ssl.ca.location");
    assert!(service.stop(Duration::from_secs(10)).success());
    std::fs::copy(broker().secured().authority(), &authority).unwrap();
    let service = setup.serve();
    service.wait_drained();
    assert_eq!(codes(&topics), ["000000000001"]);
}

#[test]
fn a_listener_that_wants_tls_is_named_where_no_options_are_set() {
    let topics = Topics::create(broker());
    let setup = Setup::at(&broker().secured().bootstrap(), &topics);
    let service = setup.serve();
    post(&service, "000000000001");
    let named = || service.log().lines().filter(|line| line.contains("security.protocol")).count();
    eventually("the log names security.protocol", PATIENCE, || (named() > 0).then_some(()));
    let (code, checked) = check(&setup);
    assert_eq!(code, Some(1), "{checked}");
    assert!(checked.contains("security.protocol"), "{checked}");
    // It is said again when it changes, not at each attempt.
    assert!(named() <= 2, "{}", service.log());
}

#[test]
fn a_user_without_rights_is_tried_again_until_it_has_them() {
    let topics = Topics::create(broker());
    let setup = setup(&topics, GUEST, GUEST.password, &broker().secured().authority());
    let service = setup.serve();
    post(&service, "000000000001");
    service.wait_kafka(false);
    post(&service, "000000000002");
    eventually("the refusal is counted", PATIENCE, || {
        (service.metric("cardhook_publish_errors_total", "authorization_failed") > 0).then_some(())
    });
    let (code, checked) = check(&setup);
    assert_eq!(code, Some(1), "{checked}");
    assert!(checked.contains("allow Describe and Write"), "{checked}");
    let Topics { events, dlq, other } = &topics;
    python("allow.py", &[&broker().bootstrap(), GUEST.name, events, dlq, other]);
    service.wait_drained();
    service.wait_kafka(true);
    assert_eq!(codes(&topics), ["000000000001", "000000000002"]);
    assert_eq!(check(&setup).0, Some(0));
}

#[test]
fn a_user_that_may_ask_for_the_topics_and_write_to_none_fails_the_check() {
    let topics = Topics::create(broker());
    let setup = setup(&topics, READER, READER.password, &broker().secured().authority());
    let Topics { events, dlq, other } = &topics;
    python("allow.py", &["--describe", &broker().bootstrap(), READER.name, events, dlq, other]);
    let (code, checked) = check(&setup);
    assert_eq!(code, Some(1), "{checked}");
    assert!(
        checked.contains("no Write on any of the topics") && checked.contains("allow Describe and Write"),
        "{checked}"
    );
}

/// The service asks the cluster what is wrong beside its work: a stop in the middle of that must not end it badly.
#[test]
fn a_stop_while_the_cluster_is_asked_ends_well_and_in_time() {
    let topics = Topics::create(broker());
    for (password, waits) in [(MASTER.password, [0, 300, 900, 1800, 2700]), (WRONG, [0, 300, 900, 1800, 2700])] {
        let setup = setup(&topics, MASTER, password, &broker().secured().authority());
        for wait in waits {
            let service = setup.serve();
            if password == MASTER.password {
                service.wait_kafka(true);
            }
            std::thread::sleep(Duration::from_millis(wait));
            let status = service.stop(Duration::from_secs(8));
            assert!(status.success(), "{wait} ms: {status}");
        }
    }
}
