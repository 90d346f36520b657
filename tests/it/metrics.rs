//! Every metric of contract §5 that no other test causes: its outcome is made to happen, and `/metrics` is read.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use crate::support::{
    burst::Burst,
    cardhook::{Service, Setup, Topics},
    eventually,
    http::{Connection, get},
    kafka::{Kafka, shared_broker},
    project, unix_seconds,
    wechat::{Account, Mode, claim, fixture},
};

const PATIENCE: Duration = Duration::from_mins(1);

/// Each fixture's event, and what it is published as.
const TYPES: [(&str, &str); 18] = [
    ("card_pass_check", "card.approved"),
    ("card_not_pass_check", "card.rejected"),
    ("user_get_card", "card.received"),
    ("user_gifting_card", "card.gifted"),
    ("user_del_card", "card.deleted"),
    ("user_consume_card", "card.consumed"),
    ("user_pay_from_pay_cell", "card.paid"),
    ("user_view_card", "card.viewed"),
    ("user_enter_session_from_card", "card.session_entered"),
    ("update_member_card", "member_card.updated"),
    ("submit_membercard_user_info", "member_card.activated"),
    ("card_sku_remind", "card.stock_low"),
    ("card_pay_order", "card.coin_order"),
    ("card_merchant_check_result", "card.merchant_checked"),
    ("giftcard_pay_done", "gift_card.paid"),
    ("giftcard_send_to_friend", "gift_card.sent"),
    ("giftcard_user_accept", "gift_card.accepted"),
    ("user_lend_card", "card.unknown"),
];

fn account() -> Account {
    Account::of(Mode::Secure)
}

/// The series of a family that are above 0: labels and value.
fn above_zero(service: &Service, name: &str) -> BTreeMap<String, u64> {
    let text = service.admin("/metrics").body;
    let series = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} "));
    let series = series.map(|(labels, value)| (labels.to_owned(), value.parse().unwrap()));
    series.filter(|(_, value)| *value > 0).collect()
}

/// A series without labels, which need not be a whole number.
fn number(service: &Service, name: &str) -> f64 {
    let text = service.admin("/metrics").body;
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.and_then(|line| line.rsplit(' ').next()).unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
}

/// The upper bounds of a histogram's buckets.
fn bounds(service: &Service, name: &str) -> Vec<f64> {
    let text = service.admin("/metrics").body;
    let bucket = format!("{name}_bucket{{");
    let bounds = text.lines().filter(|line| line.starts_with(&bucket)).filter_map(|line| {
        let (bound, _) = line.split_once("le=\"")?.1.split_once('"')?;
        bound.parse().ok()
    });
    let mut bounds: Vec<f64> = bounds.filter(|bound: &f64| bound.is_finite()).collect();
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    bounds
}

#[test]
fn every_result_of_a_callback_is_counted_under_its_name() {
    let max_age = "max_age = \"1h\"";
    let setup = Setup::without_brokers().replace_account(&account(), max_age).set("spool", "max_bytes = \"64KiB\"");
    let service = setup.serve();
    let public = service.public;
    let push = account().push(&fixture("user_get_card"));
    assert!(push.post(public).is_success());
    assert!(push.post(public).is_success());
    assert!(account().post(public, &fixture("text")).is_success());
    assert!(account().post(public, "no XML").is_success());
    let greeting = push.target.replace("encrypt_type", "echostr=hello&encrypt_type");
    assert_eq!(get(public, &greeting).unwrap().body, "hello");
    let post = |target: &str, headers: &str, body: &[u8]| {
        Connection::open(public).unwrap().exchange("POST", target, headers, body).unwrap().status
    };
    assert_eq!(post("/wechat/secure", "", b"<xml/>"), 400);
    assert_eq!(post(&push.target.replace("nonce=", "nonce=1"), "", &push.body), 403);
    let old = account().push_at(&fixture("user_get_card"), "1700000000", "nonce");
    assert_eq!(old.post(public).status, 403);
    assert_eq!(post(&push.target, "", &vec![b' '; 70_000]), 413);
    let mut slow = Connection::open(public).unwrap();
    let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n", push.target);
    slow.send(head.as_bytes()).unwrap();
    assert_eq!(slow.receive(std::time::Instant::now()).unwrap().status, 408);
    // Until the spool is full.
    let refused = (0..1000)
        .any(|number| account().post(public, &claim("oUser", &format!("{number:012}"), unix_seconds())).status == 503);
    assert!(refused);

    let expected = [
        ("duplicate", 1),
        ("other", 1),
        ("quarantined", 1),
        ("handshake", 1),
        ("bad_request", 1),
        ("bad_signature", 1),
        ("stale", 1),
        ("too_large", 1),
        ("timeout", 1),
        ("overloaded", 1),
    ];
    let mut counted = above_zero(&service, "cardhook_callbacks_total");
    assert!(counted.remove("account=\"secure\",result=\"accepted\"").is_some_and(|accepted| accepted > 1));
    let labels = |result: &str| format!("account=\"secure\",result=\"{result}\"");
    assert_eq!(counted, expected.map(|(result, count)| (labels(result), count)).into());

    let fenced = Setup::without_brokers().set("server", "allow_from = [\"203.0.113.9\"]").serve();
    assert_eq!(push.post(fenced.public).status, 403);
    let counted = above_zero(&fenced, "cardhook_callbacks_total");
    assert_eq!(counted, [(labels("forbidden_source"), 1)].into());
}

#[test]
fn every_type_of_event_is_counted_under_its_name() {
    let service = Setup::without_brokers().serve();
    for (event, _) in TYPES {
        assert!(account().post(service.public, &fixture(event)).is_success(), "{event}");
    }
    let labels = |event_type: &str| format!("account=\"secure\",event_type=\"{event_type}\"");
    let expected = TYPES.map(|(_, event_type)| (labels(event_type), 1));
    assert_eq!(above_zero(&service, "cardhook_events_total"), expected.into());
}

#[test]
fn what_goes_to_kafka_is_counted_timed_and_shown_while_it_waits() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let service = Setup::new(&kafka, &topics).set("spool", "max_bytes = \"10MiB\"").serve();
    service.wait_kafka(true);
    let now = unix_seconds();
    assert!(account().post(service.public, &claim("oUser", "000000000001", now)).is_success());
    assert!(account().post(service.public, &claim("oUser", "000000000002", now - 1800)).is_success());
    assert!(account().post(service.public, "no XML").is_success());
    service.wait_drained();
    let published = |topic: &str, count| (format!("topic=\"{topic}\""), count);
    let expected = [published(&topics.events, 2), published(&topics.dlq, 1)];
    eventually("the records are counted", PATIENCE, || {
        (above_zero(&service, "cardhook_published_total") == expected.clone().into()).then_some(())
    });
    assert_eq!(service.metric("cardhook_answer_seconds_count", "answered_by=\"kafka\""), 3);
    assert_eq!(service.metric("cardhook_publish_seconds_count", ""), 3);
    // One of a minute at most, one of half an hour; a quarantined push has no CreateTime.
    let aged = |bound: &str| service.metric("cardhook_event_age_seconds_bucket", &format!("le=\"{bound}\""));
    assert_eq!((aged("60.0"), aged("600.0"), aged("3600.0")), (1, 1, 2));
    for histogram in ["cardhook_answer_seconds", "cardhook_publish_seconds"] {
        let bounds = bounds(&service, histogram);
        assert!(bounds.len() >= 10 && bounds[0] <= 0.005, "{histogram}: {bounds:?}");
        assert!([1.0, 2.0, 3.0, 4.0, 5.0].iter().all(|bound| bounds.contains(bound)), "{histogram}: {bounds:?}");
    }
    assert_eq!(service.metric("cardhook_spool_capacity_bytes", ""), 10 << 20);

    kafka.stop();
    assert!(account().post(service.public, &claim("oUser", "000000000003", now)).is_success());
    service.wait_kafka(false);
    assert!(service.metric("cardhook_answer_seconds_count", "answered_by=\"disk\"") == 1);
    assert_eq!(service.metric("cardhook_spool_records", ""), 1);
    assert!(service.metric("cardhook_spool_bytes", "") > 0);
    let oldest = number(&service, "cardhook_spool_oldest_seconds");
    eventually("its age grows", PATIENCE, || {
        (number(&service, "cardhook_spool_oldest_seconds") > oldest + 0.5).then_some(())
    });
    kafka.run();
    service.wait_drained();
    service.wait_kafka(true);
    eventually("nothing waits", PATIENCE, || (number(&service, "cardhook_spool_oldest_seconds") == 0.0).then_some(()));
    assert_eq!(service.metric("cardhook_spool_bytes", ""), 0);
    assert_eq!(service.metric("cardhook_answer_seconds_count", "answered_by=\"none\""), 0);
}

#[test]
fn ids_that_are_forgotten_before_their_window_are_counted() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let service = Setup::new(kafka, &topics).set("dedup", "max_bytes = \"64KiB\"").serve();
    let sent = Burst::start(service.public, 100, 40).join().len() as u64;
    service.wait_drained();
    eventually("some are forgotten", PATIENCE, || {
        (service.metric("cardhook_dedup_forgotten_early_total", "") > 0).then_some(())
    });
    let remembered = service.metric("cardhook_dedup_entries", "");
    assert!(0 < remembered && remembered < sent, "{remembered} of {sent}");
    // The console saw each of them.
    assert_eq!(service.metric("cardhook_observer_dropped_total", ""), 0);
}

#[test]
fn the_process_and_its_build_are_described() {
    let service = Setup::without_brokers().serve();
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert_eq!(service.metric("cardhook_build_info", &version), 1);
    let started = number(&service, "process_start_time_seconds");
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit in 52 bits")]
    let now = unix_seconds() as f64;
    assert!((now - started).abs() < 120.0, "{started} at {now}");
    assert!(number(&service, "process_resident_memory_bytes") > 1e6);
    assert!(number(&service, "process_cpu_seconds_total") >= 0.0);
    assert!(number(&service, "process_open_fds") < number(&service, "process_max_fds"));
}

/// A metric without a test is found here: each family that `/metrics` shows is named by an integration test other than this.
#[test]
fn every_metric_is_read_by_a_test() {
    let service = Setup::without_brokers().serve();
    let text = service.admin("/metrics").body;
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let mut tests = String::new();
    read_all(&project("tests/it"), &mut tests);
    let unread: Vec<_> = families.filter(|family| !tests.contains(&format!("\"{family}"))).collect();
    assert_eq!(unread, [] as [&str; 0]);
}

fn read_all(folder: &std::path::Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            write!(text, "{}", std::fs::read_to_string(path).unwrap()).unwrap();
        }
    }
}
