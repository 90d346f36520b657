//! A killed process loses nothing that it answered for.

use crate::support::{
    burst::{Burst, accepted, codes_in_order},
    cardhook::{Setup, Topics},
    consume::records,
    kafka::Kafka,
};

#[test]
fn a_kill_in_the_middle_of_a_burst_with_the_broker_stopped_loses_no_answered_event() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let setup = Setup::new(&kafka, &topics);
    let service = setup.serve();
    service.wait_kafka(true);
    kafka.stop();
    let burst = Burst::start(service.public, 1000, 20);
    burst.wait_answered(8000);
    service.crash();
    let accepted = accepted(&burst.join());
    assert!((8000..20_000).contains(&accepted.len()), "killed in the middle, not after {}", accepted.len());

    let service = setup.serve();
    kafka.run();
    service.wait_kafka(true);
    service.wait_drained();
    let arrived = codes_in_order(&records(&kafka, &topics.events));
    let lost: Vec<&String> = accepted.difference(&arrived).collect();
    assert!(lost.is_empty(), "{} answered events are lost, {:?} among them", lost.len(), lost.first());
}

#[test]
fn a_kill_in_mid_traffic_loses_no_answered_event() {
    let kafka = crate::support::kafka::shared_broker();
    let topics = Topics::create(kafka);
    let setup = Setup::new(kafka, &topics);
    let service = setup.serve();
    let burst = Burst::start(service.public, 500, 20);
    burst.wait_answered(3000);
    service.crash();
    let accepted = accepted(&burst.join());

    let service = setup.serve();
    service.wait_drained();
    // What was in flight may stand twice, under the same id; nothing may be missing.
    let arrived = records(kafka, &topics.events).iter().map(|record| record.text("code")).collect();
    assert_eq!(accepted.difference(&arrived).count(), 0);
}

#[test]
fn a_spool_folder_that_moves_to_another_machine_sends_what_waited_in_it() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let died = Setup::new(&kafka, &topics);
    let service = died.serve();
    service.wait_kafka(true);
    kafka.stop();
    let burst = Burst::start(service.public, 100, 10);
    burst.wait_answered(500);
    service.crash();
    let accepted = accepted(&burst.join());

    // Another folder, other ports, and the disk of the machine that died.
    let other = Setup::new(&kafka, &topics);
    std::fs::rename(died.spool(), other.spool()).unwrap();
    let service = other.serve();
    kafka.run();
    service.wait_kafka(true);
    service.wait_drained();
    let arrived = codes_in_order(&records(&kafka, &topics.events));
    assert_eq!(accepted.difference(&arrived).count(), 0);
}
