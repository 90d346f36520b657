//! Another topic or another cluster in the same place: what was not acknowledged by the old one arrives at the new one.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::{
    burst::{Burst, accepted, codes_in_order},
    cardhook::{Service, Setup, Topics},
    consume::records,
    eventually,
    kafka::Kafka,
    unix_seconds,
    wechat::{Account, Mode, claim},
};

/// Claims of one user that no burst has, one after the other.
fn single_claims(service: &Service, codes: std::ops::Range<usize>) {
    for code in codes {
        let xml = claim("oSingleUser", &format!("{code:012}"), unix_seconds());
        let answer = Account::of(Mode::Secure).post(service.public, &xml);
        assert!(answer.is_success(), "{answer:?}");
    }
}

/// The codes of that user on the topic, in its order.
fn of_single_user(kafka: &Kafka, topics: &Topics) -> Vec<usize> {
    let mut records = records(kafka, &topics.events);
    records.retain(|record| record.key.as_deref() == Some("oSingleUser"));
    records.iter().map(|record| record.text("code").parse().unwrap()).collect()
}

fn recreate(kafka: &Kafka, topics: &Topics) {
    kafka.create_topic_named(&topics.events, 3, &[]);
    kafka.create_topic_named(&topics.dlq, 1, &[]);
    kafka.create_topic_named(&topics.other, 1, &[]);
}

#[test]
fn a_topic_deleted_and_created_again_in_mid_traffic_gets_all_that_the_old_one_had_not() {
    let kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let service = Setup::new(&kafka, &topics).serve();
    let burst = Burst::start(service.public, 100, 60);
    burst.wait_answered(1500);
    kafka.delete_topic(&topics.events);
    // The burst may be over before the topic is gone: what misses it must be sent after that.
    let mut sent = 0;
    eventually("the topic is missed", Duration::from_mins(1), || {
        single_claims(&service, sent..sent + 1);
        sent += 1;
        (service.metric("cardhook_publish_errors_total", "unknown_topic") > 0).then_some(())
    });
    single_claims(&service, sent..sent + 50);
    kafka.create_topic_named(&topics.events, 3, &[]);
    single_claims(&service, sent + 50..sent + 100);
    let claims = burst.join();
    assert!(claims.iter().all(|claim| claim.success));
    service.wait_drained();
    // What the old topic had acknowledged went with it; each was acknowledged once, and what came later is in order.
    let arrived = of_single_user(&kafka, &topics);
    let first = arrived.first().copied().unwrap();
    assert!(first < sent, "the old topic was gone before the last of {sent}, and {first} is the first of the new one");
    assert_eq!(arrived, (first..sent + 100).collect::<Vec<_>>());
    let accepted = accepted(&claims);
    assert_eq!(service.metric("cardhook_published_total", &topics.events), (accepted.len() + sent + 100) as u64);
    let mut records = records(&kafka, &topics.events);
    records.retain(|record| record.key.as_deref() != Some("oSingleUser"));
    assert!(codes_in_order(&records).is_subset(&accepted));
}

#[test]
fn another_cluster_at_the_same_address_gets_what_waited_for_the_old_one() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let service = Setup::new(&kafka, &topics).serve();
    single_claims(&service, 0..50);
    service.wait_drained();
    kafka.stop();
    service.wait_kafka(false);
    single_claims(&service, 50..100);
    kafka.become_another_cluster();
    kafka.run();
    single_claims(&service, 100..150);
    recreate(&kafka, &topics);
    single_claims(&service, 150..200);
    service.wait_drained();
    service.wait_kafka(true);
    assert_eq!(of_single_user(&kafka, &topics), (50..200).collect::<Vec<_>>(), "what the old one had went with it");
}

#[test]
fn a_producer_that_the_new_cluster_has_never_seen_goes_on_there() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let service = Setup::new(&kafka, &topics).serve();
    single_claims(&service, 0..50);
    service.wait_drained();
    kafka.stop();
    service.wait_kafka(false);
    single_claims(&service, 50..100);
    // It sees the new cluster with its topics in place: nothing but the cluster's id and the producer's is new.
    service.signal(Signal::STOP);
    kafka.become_another_cluster();
    kafka.run();
    recreate(&kafka, &topics);
    service.signal(Signal::CONT);
    single_claims(&service, 100..150);
    service.wait_drained();
    assert_eq!(of_single_user(&kafka, &topics), (50..150).collect::<Vec<_>>());
}
