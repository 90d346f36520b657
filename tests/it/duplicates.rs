//! Re-deliveries give one record; events that only look alike give two.

use crate::support::{
    cardhook::{Setup, Topics},
    consume::records,
    kafka::{Kafka, shared_broker},
    unix_seconds,
    wechat::{Account, Mode, claim, fixture},
};

#[test]
fn the_same_push_four_times_at_once_and_again_after_a_restart_gives_one_record() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let setup = Setup::new(kafka, &topics);
    let service = setup.serve();
    let push = Account::of(Mode::Secure).push(&fixture("user_get_card"));
    std::thread::scope(|scope| {
        let posts = [(); 4].map(|()| scope.spawn(|| push.post(service.public)));
        for post in posts {
            let answer = post.join().unwrap();
            assert!(answer.is_success(), "{answer:?}");
        }
    });
    service.wait_drained();
    assert_eq!(service.metric("cardhook_callbacks_total", "duplicate"), 3);
    assert!(service.stop(std::time::Duration::from_secs(10)).success());

    let service = setup.serve();
    assert!(push.post(service.public).is_success());
    service.wait_drained();
    assert_eq!(service.metric("cardhook_callbacks_total", "duplicate"), 1);
    assert_eq!(records(kafka, &topics.events).len(), 1);
}

#[test]
fn a_redelivery_that_was_signed_and_encrypted_anew_gives_one_record() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let service = Setup::new(kafka, &topics).serve();
    for mode in [Mode::Secure, Mode::Compat] {
        for _ in 0..2 {
            assert!(Account::of(mode).post(service.public, &fixture("user_consume_card")).is_success());
        }
    }
    service.wait_drained();
    let accounts: Vec<String> = records(kafka, &topics.events).iter().map(|record| record.text("account")).collect();
    assert_eq!(accounts.len(), 2, "one for each account: {accounts:?}");
}

#[test]
fn two_claims_of_one_user_in_one_second_give_two_records() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let service = Setup::new(kafka, &topics).serve();
    let now = unix_seconds();
    for code in ["000000000001", "000000000002"] {
        assert!(Account::of(Mode::Secure).post(service.public, &claim("oBatchUser", code, now)).is_success());
    }
    service.wait_drained();
    assert_eq!(records(kafka, &topics.events).len(), 2);
}

#[test]
fn a_redelivery_while_the_broker_is_away_and_after_a_crash_gives_one_record() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    kafka.stop();
    let setup = Setup::new(&kafka, &topics);
    let push = Account::of(Mode::Secure).push(&fixture("user_get_card"));
    for _ in 0..2 {
        let service = setup.serve();
        assert!(push.post(service.public).is_success());
        assert!(push.post(service.public).is_success());
        service.crash();
    }
    let service = setup.serve();
    kafka.run();
    service.wait_kafka(true);
    service.wait_drained();
    assert_eq!(records(&kafka, &topics.events).len(), 1);
}
