//! Records that a real broker refuses for good, in the midst of others: each is set aside, and nobody waits behind it.

use std::time::{Duration, Instant};

use crate::support::{
    burst::{Burst, accepted, codes_in_order, slowest},
    cardhook::{Service, Setup, Topics, run},
    consume::records,
    eventually,
    kafka::{Kafka, shared_broker},
    unix_seconds,
    wechat::{Account, Mode, claim, fixture},
};

/// Well above what a claim takes, well below `OVERSIZED`.
const SMALL: (&str, &str) = ("max.message.bytes", "8192");
const OVERSIZED: usize = 24_000;
const REFUSED: u64 = 300;

/// Topics of the test's own, the first two with settings.
fn topics(kafka: &Kafka, test: &str, events: &[(&str, &str)], dlq: &[(&str, &str)]) -> Topics {
    let topics =
        Topics { events: format!("{test}.events"), dlq: format!("{test}.dlq"), other: format!("{test}.other") };
    kafka.create_topic_named(&topics.events, 3, events);
    kafka.create_topic_named(&topics.dlq, 1, dlq);
    kafka.create_topic_named(&topics.other, 1, &[]);
    topics
}

fn post(service: &Service, xml: &str) {
    let answer = Account::of(Mode::Secure).post(service.public, xml);
    assert!(answer.is_success(), "{answer:?}");
}

/// A claim of the one user that the bursts do not have.
fn single(code: &str) -> String {
    claim("oSingleUser", code, unix_seconds())
}

/// A claim with an `outer_str` that does not compress.
fn oversized(code: &str) -> String {
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'A' + u8::try_from((state >> 16) % 58).unwrap())
    });
    // Six of the 58 are signs between the two cases, none of them special in CDATA alone.
    let noise: String = noise.filter(char::is_ascii_alphabetic).take(OVERSIZED).collect();
    single(code).replace("harness", &noise)
}

fn of_single_user(kafka: &Kafka, topic: &str) -> Vec<String> {
    let records = records(kafka, topic);
    records.iter().filter(|it| it.key.as_deref() == Some("oSingleUser")).map(|it| it.text("code")).collect()
}

#[test]
fn one_record_too_large_for_the_topic_goes_to_the_dlq_in_mid_traffic() {
    let kafka = shared_broker();
    let topics = topics(kafka, "too-large", &[SMALL], &[]);
    let service = Setup::new(kafka, &topics).serve();
    let burst = Burst::start(service.public, 100, 40);
    burst.wait_answered(1000);
    for xml in [single("000000000001"), oversized("000000000002"), single("000000000003")] {
        post(&service, &xml);
    }
    let claims = burst.join();
    assert!(claims.iter().all(|claim| claim.success));
    service.wait_drained();
    assert_eq!(of_single_user(kafka, &topics.events), ["000000000001", "000000000003"]);
    let mut events = records(kafka, &topics.events);
    events.retain(|record| record.key.as_deref() != Some("oSingleUser"));
    assert_eq!(codes_in_order(&events), accepted(&claims));
    let rejected = records(kafka, &topics.dlq);
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].text("code"), "000000000002");
    assert_eq!(rejected[0].header("dlq_reason"), Some("rejected"));
    assert_eq!(rejected[0].header("dlq_detail"), Some("too_large"));
    assert!(service.metric("cardhook_publish_errors_total", "too_large") > 0);
}

#[test]
fn a_backlog_whose_batches_are_too_large_for_the_topic_arrives_all_the_same() {
    let kafka = shared_broker();
    let topics = topics(kafka, "large-batches", &[("max.message.bytes", "2048")], &[]);
    kafka.delete_topic(&topics.events);
    let service = Setup::new(kafka, &topics).serve();
    let claims = Burst::start(service.public, 100, 10).join();
    kafka.create_topic_named(&topics.events, 3, &[("max.message.bytes", "2048")]);
    service.wait_drained();
    assert_eq!(codes_in_order(&records(kafka, &topics.events)), accepted(&claims));
    assert_eq!(records(kafka, &topics.dlq).len(), 0, "each record is small enough");
}

#[test]
fn records_that_the_topic_does_not_allow_go_to_the_dlq_and_those_behind_them_go_on() {
    let kafka = shared_broker();
    let day_before = claim("oSingleUser", "000000000002", unix_seconds() - 86_400);
    let order = fixture("card_pay_order");
    let from = order.find("<OrderId>").unwrap();
    let (before, behind) = (&order[..from], order[from..].split_once('\n').unwrap().1);
    let without_key = format!("{before}{behind}");
    for (test, setting, bad, detail) in [
        (
            "old",
            ("message.timestamp.before.max.ms", "3600000"),
            day_before,
            "the timestamp is outside what the topic takes",
        ),
        (
            "compacted",
            ("cleanup.policy", "compact"),
            without_key,
            "the record has no key, and the topic seems to be compacted",
        ),
    ] {
        let topics = topics(kafka, test, &[setting], &[]);
        let service = Setup::new(kafka, &topics).serve();
        for xml in [single("000000000001"), bad, single("000000000003")] {
            post(&service, &xml);
        }
        service.wait_drained();
        assert_eq!(of_single_user(kafka, &topics.events), ["000000000001", "000000000003"], "{test}");
        let rejected = records(kafka, &topics.dlq);
        assert_eq!(rejected.len(), 1, "{test}");
        let said = rejected[0].header("dlq_detail").unwrap();
        assert!(said.starts_with("invalid_record: ") && said.contains(detail), "{test}: {said}");
    }
}

/// Each record that is refused ends an idempotent producer, or its batch: many of them must not cost as many.
#[test]
fn three_hundred_refused_records_take_seconds_and_delay_the_others_by_less_than_one() {
    let mut kafka = Kafka::start();
    let topics = topics(&kafka, "many-refused", &[("message.timestamp.before.max.ms", "600000")], &[]);
    kafka.stop();
    let service = Setup::new(&kafka, &topics).serve();
    service.wait_kafka(false);
    for number in 0..REFUSED {
        post(&service, &claim(&format!("oOld{number}"), &format!("{number:012}"), unix_seconds() - 1200));
    }
    let waiting = Burst::start(service.public, 50, 2).join();
    kafka.run();
    let errors = || service.metric("cardhook_publish_errors_total", "invalid_record");
    eventually("the first refusal", Duration::from_mins(1), || (errors() > 0).then_some(()));
    let began = Instant::now();
    let fresh = Burst::of(100..150, 4, service.public).join();
    service.wait_drained();
    let took = began.elapsed();
    // Some 190 a second on a busy machine with an unoptimised build; a producer for each would take two and a half minutes.
    assert!(took < Duration::from_secs(10), "{took:?} for {REFUSED} refusals");
    assert!(slowest(&fresh) < Duration::from_secs(1), "{:?}", slowest(&fresh));
    assert_eq!(errors(), REFUSED, "each is counted once");
    let arrived = codes_in_order(&records(&kafka, &topics.events));
    assert_eq!(arrived, accepted(&waiting).union(&accepted(&fresh)).cloned().collect());
    assert_eq!(records(&kafka, &topics.dlq).len() as u64, REFUSED);
    let producers = service.log().matches("Fatal error").count();
    assert!(producers < 20, "{producers} producers ended");
}

#[test]
fn a_record_too_large_for_the_dlq_topic_too_is_parked_and_the_next_one_passes() {
    let kafka = shared_broker();
    let topics = topics(kafka, "parked", &[SMALL], &[SMALL]);
    let setup = Setup::new(kafka, &topics);
    let service = setup.serve();
    post(&service, &oversized("000000000001"));
    eventually("the record is parked", Duration::from_mins(1), || {
        (service.metric("cardhook_spool_parked", "") == 1).then_some(())
    });
    post(&service, &single("000000000002"));
    post(&service, "<xml>no event</lmx>");
    eventually("the parked record alone is left", Duration::from_mins(1), || {
        (service.metric("cardhook_spool_records", "") == 1).then_some(())
    });
    assert_eq!(of_single_user(kafka, &topics.events), ["000000000002"]);
    assert_eq!(records(kafka, &topics.dlq).len(), 1, "what is quarantined later");
    let spool = setup.spool().display().to_string();
    let shown = String::from_utf8(run(&["spool", "ls", "--path", &spool]).stdout).unwrap();
    let parked = shown.lines().find(|line| line.starts_with("parked")).unwrap();
    assert_eq!(parked.split_whitespace().nth(1), Some("1"), "{shown}");
    let taken = run(&["spool", "export", "--lane", "parked", "--path", &spool]);
    assert!(String::from_utf8(taken.stdout).unwrap().contains("000000000001"));
}
