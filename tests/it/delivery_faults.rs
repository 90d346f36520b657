//! The broker is away, goes away, hangs and comes back: receiving never stops, and the order per key holds.

use std::time::Duration;

use crate::support::{
    burst::{Burst, Claim, accepted, codes_in_order, slowest},
    cardhook::{Service, Setup, Topics},
    consume::records,
    kafka::Kafka,
    unix_seconds,
    wechat::{Account, Mode, claim},
};

/// WeChat's patience is 5 s; the contract's is 4.
const ANSWERED_WITHIN: Duration = Duration::from_secs(4);
/// Less than any `ack_timeout`: an answer that did not wait for Kafka.
const PROMPT: Duration = Duration::from_millis(1500);

fn one_claim(service: &Service, code: &str) -> crate::support::http::Answer {
    Account::of(Mode::Secure).post(service.public, &claim("oSingleUser", code, unix_seconds()))
}

/// All claims were answered `success` in time, the spool is empty, and each stands once on the topic, in order.
fn assert_delivered(service: &Service, kafka: &Kafka, topics: &Topics, claims: &[Claim]) {
    let refused: Vec<&Claim> = claims.iter().filter(|claim| !claim.success).collect();
    assert!(refused.is_empty(), "{} refused, first {:?}", refused.len(), refused.first());
    assert!(slowest(claims) < ANSWERED_WITHIN, "an answer took {:?}", slowest(claims));
    service.wait_kafka(true);
    service.wait_drained();
    let mut records = records(kafka, &topics.events);
    records.retain(|record| record.key.as_deref() != Some("oSingleUser"));
    assert_eq!(codes_in_order(&records), accepted(claims));
}

#[test]
fn a_broker_that_is_away_at_start_gets_everything_when_it_comes() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    kafka.stop();
    let service = Setup::new(&kafka, &topics).serve();
    service.wait_kafka(false);
    let claims = Burst::start(service.public, 300, 10).join();
    assert!(slowest(&claims) < PROMPT, "Kafka counts as away, and an answer took {:?}", slowest(&claims));
    assert_eq!(service.metric("cardhook_spool_records", ""), 3000);
    kafka.run();
    assert_delivered(&service, &kafka, &topics, &claims);
}

#[test]
fn a_broker_that_crashes_in_mid_traffic_and_comes_back_is_not_noticed_by_wechat() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let service = Setup::new(&kafka, &topics).serve();
    service.wait_kafka(true);
    let burst = Burst::start(service.public, 300, 60);
    burst.wait_answered(2000);
    kafka.kill();
    service.wait_kafka(false);
    burst.wait_answered(6000);
    kafka.run();
    assert_delivered(&service, &kafka, &topics, &burst.join());
}

#[test]
fn a_broker_that_hangs_delays_answers_by_ack_timeout_until_it_counts_as_away() {
    let kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let service = Setup::new(&kafka, &topics).set("delivery", "ack_timeout = \"2s\"").serve();
    service.wait_kafka(true);
    let burst = Burst::start(service.public, 300, 60);
    burst.wait_answered(2000);
    kafka.suspend();
    service.wait_kafka(false);
    let answer = one_claim(&service, "000000000001");
    assert!(answer.is_success() && answer.took < PROMPT, "Kafka counts as away: {answer:?}");
    burst.wait_answered(6000);
    kafka.resume();
    assert_delivered(&service, &kafka, &topics, &burst.join());
}

#[test]
fn under_kafka_only_events_are_refused_while_kafka_is_away_and_still_forwarded() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let service = Setup::new(&kafka, &topics).set("delivery", "answer_after = \"kafka_only\"").serve();
    assert!(one_claim(&service, "000000000001").is_success());
    kafka.stop();
    service.wait_kafka(false);
    let answer = one_claim(&service, "000000000002");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert!(answer.took < PROMPT, "{answer:?}");
    assert_eq!(service.admin("/readyz").status, 503, "there is nowhere durable to put an event");
    kafka.run();
    service.wait_ready();
    service.wait_drained();
    let duplicate = one_claim(&service, "000000000003");
    assert!(duplicate.is_success(), "{duplicate:?}");
    let codes: Vec<String> = records(&kafka, &topics.events).iter().map(|record| record.text("code")).collect();
    assert_eq!(codes, ["000000000001", "000000000002", "000000000003"]);
}

#[test]
fn a_full_spool_answers_503_until_the_first_removal() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    kafka.stop();
    let service = Setup::new(&kafka, &topics).set("spool", "max_bytes = 1048576").serve();
    service.wait_kafka(false);
    let claims = Burst::start(service.public, 100, 20).join();
    let refused = claims.iter().filter(|claim| !claim.success).count();
    assert!((1..2000).contains(&refused), "{refused} of 2000 refused by a spool of one MiB");
    assert!(claims.iter().all(|claim| claim.success || claim.status == 503));
    assert_eq!(service.admin("/readyz").status, 503);
    kafka.run();
    service.wait_drained();
    assert!(one_claim(&service, "000000000001").is_success());
    service.wait_drained();
    let mut records = records(&kafka, &topics.events);
    records.retain(|record| record.key.as_deref() != Some("oSingleUser"));
    assert_eq!(codes_in_order(&records), accepted(&claims), "what was refused was not kept, what was kept arrived");
}
