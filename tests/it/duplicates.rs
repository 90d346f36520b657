//! Re-deliveries give one record; events that only look alike give two.

use std::time::Duration;

use crate::support::{
    cardhook::{Setup, Topics},
    consume::records,
    eventually,
    faults::Faults,
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
fn a_wall_clock_that_jumps_three_days_ahead_and_back_makes_no_redelivery_a_new_event() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let setup = Setup::new(kafka, &topics).set("dedup", "window = \"10s\"");
    let faults = Faults::new(setup.folder());
    let service = setup.serve_under(&faults);
    let account = Account::of(Mode::Secure);
    // That one is forgotten after its window: forgetting works, and is not held any more since the start.
    assert!(account.post(service.public, &fixture("user_consume_card")).is_success());
    let entries = |count: u64| (service.metric("cardhook_dedup_entries", "") == count).then_some(());
    eventually("the first id is remembered", Duration::from_secs(10), || entries(1));
    eventually("the first id is forgotten", Duration::from_mins(1), || entries(0));

    let push = account.push(&fixture("user_get_card"));
    assert!(push.post(service.public).is_success());
    for (jumps, offset_ms) in [(1, 3 * 24 * 3_600_000), (2, 0)] {
        faults.clock_offset_ms(offset_ms);
        // The pass that sees the jump is the one that would forget.
        eventually("the jump is seen", Duration::from_mins(1), || {
            (service.log().matches("the wall clock jumped").count() == jumps).then_some(())
        });
        assert!(push.post(service.public).is_success());
        assert_eq!(service.metric("cardhook_callbacks_total", "duplicate"), jumps as u64);
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
