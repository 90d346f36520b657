//! Stopping: quickly, with nothing acknowledged lost, whatever the broker does.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::support::{
    burst::{Burst, accepted, codes_in_order},
    cardhook::{Service, Setup, Topics},
    consume::records,
    eventually,
    http::Connection,
    kafka::{Kafka, shared_broker},
    wechat::{Account, Mode, fixture},
};

/// The contract's limit.
const LIMIT: Duration = Duration::from_secs(10);

/// Stops it in the middle of a burst; gives the codes that were answered `success`.
fn stopped_in_a_burst(mut service: Service, signal: Signal) -> std::collections::HashSet<String> {
    let burst = Burst::start(service.public, 500, 40);
    burst.wait_answered(1000);
    let begun = Instant::now();
    service.signal(signal);
    assert!(service.wait(LIMIT).success(), "{}", service.log());
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    accepted(&burst.join())
}

#[test]
fn sigterm_and_sigint_in_mid_traffic_lose_nothing() {
    let kafka = shared_broker();
    for signal in [Signal::TERM, Signal::INT] {
        let topics = Topics::create(kafka);
        let setup = Setup::new(kafka, &topics);
        let accepted = stopped_in_a_burst(setup.serve(), signal);
        setup.serve().wait_drained();
        let arrived = codes_in_order(&records(kafka, &topics.events));
        assert_eq!(accepted.difference(&arrived).count(), 0);
    }
}

#[test]
fn sigterm_with_the_broker_away_takes_less_than_ten_seconds_and_loses_nothing() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let setup = Setup::new(&kafka, &topics);
    let service = setup.serve();
    service.wait_kafka(true);
    kafka.stop();
    let accepted = stopped_in_a_burst(service, Signal::TERM);
    let service = setup.serve();
    kafka.run();
    service.wait_kafka(true);
    service.wait_drained();
    let arrived = codes_in_order(&records(&kafka, &topics.events));
    assert_eq!(accepted.difference(&arrived).count(), 0);
}

#[test]
fn sigterm_with_the_broker_hung_takes_less_than_ten_seconds_and_loses_nothing() {
    let kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let setup = Setup::new(&kafka, &topics);
    let service = setup.serve();
    service.wait_kafka(true);
    assert!(Account::of(Mode::Secure).post(service.public, &fixture("user_get_card")).is_success());
    kafka.suspend();
    let accepted = stopped_in_a_burst(service, Signal::TERM);
    kafka.resume();
    let service = setup.serve();
    service.wait_kafka(true);
    service.wait_drained();
    // What hung in flight at the stop may stand twice, under the same id.
    let arrived = records(&kafka, &topics.events).iter().map(|record| record.text("code")).collect();
    assert_eq!(accepted.difference(&arrived).count(), 0);
}

#[test]
fn new_connections_are_refused_at_once_and_the_request_under_way_is_finished() {
    let mut service = Setup::without_brokers().serve();
    let push = Account::of(Mode::Secure).push(&fixture("user_get_card"));
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        push.target,
        push.body.len()
    );
    let (first, rest) = push.body.split_at(100);
    let mut under_way = Connection::open(service.public).unwrap();
    under_way.send(head.as_bytes()).unwrap();
    // The interim answer says that the head was read.
    assert_eq!(under_way.receive(Instant::now()).unwrap().status, 100);
    under_way.send(first).unwrap();
    let stopping = Instant::now();
    service.signal(Signal::TERM);
    let refused = || TcpStream::connect(service.public).err().map(|error| error.kind());
    let kind = eventually("connections are refused", Duration::from_secs(1), refused);
    assert_eq!(kind, std::io::ErrorKind::ConnectionRefused);
    under_way.send(rest).unwrap();
    assert!(under_way.receive(stopping).unwrap().is_success());
    assert!(service.wait(LIMIT).success());
}

#[test]
fn idle_keep_alive_connections_do_not_hold_a_stop() {
    let mut service = Setup::without_brokers().serve();
    let push = Account::of(Mode::Secure).push(&fixture("user_get_card"));
    let idle: Vec<Connection> = (0..20)
        .map(|_| {
            let mut connection = Connection::open(service.public).unwrap();
            assert!(connection.post(&push.target, &push.body).unwrap().is_success());
            connection
        })
        .collect();
    service.signal(Signal::TERM);
    assert!(service.wait(Duration::from_secs(3)).success());
    drop(idle);
}

#[test]
fn a_second_signal_ends_at_once() {
    let kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let mut service = Setup::new(&kafka, &topics).set("delivery", "answer_after = \"disk\"").serve();
    service.wait_kafka(true);
    kafka.suspend();
    // It hangs in flight, so that the first signal's stop waits for its flush.
    assert!(Account::of(Mode::Secure).post(service.public, &fixture("user_get_card")).is_success());
    service.signal(Signal::TERM);
    eventually("it stops", Duration::from_secs(5), || service.log().contains("stopping").then_some(()));
    let second = Instant::now();
    service.signal(Signal::TERM);
    service.wait(LIMIT);
    assert!(second.elapsed() < Duration::from_secs(1), "{:?}", second.elapsed());
    kafka.resume();
}

#[test]
fn readiness_goes_off_before_the_end() {
    let kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let mut service = Setup::new(&kafka, &topics).set("delivery", "answer_after = \"disk\"").serve();
    service.wait_kafka(true);
    kafka.suspend();
    assert!(Account::of(Mode::Secure).post(service.public, &fixture("user_get_card")).is_success());
    service.signal(Signal::TERM);
    eventually("/readyz answers 503 while it drains", Duration::from_secs(5), || {
        (service.admin("/readyz").status == 503).then_some(())
    });
    assert!(service.wait(LIMIT).success());
    kafka.resume();
}
