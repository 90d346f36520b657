//! A spool written by an earlier release opens: what waited in it reaches Kafka.
//!
//! `tests/fixtures/spool-layout-4` is a spool as that release left it at a stop with Kafka away, beside the pushes in it.
//! A release that changes the layout adds a folder of its own here, and keeps the others.

use std::fs;

use crate::support::{
    cardhook::{Setup, Topics},
    consume::records,
    kafka::shared_broker,
    project,
    wechat::{Account, Mode},
};

const PUSHES: usize = 6;

#[test]
fn a_spool_of_the_last_released_layout_opens_and_its_events_reach_kafka_in_order_under_their_ids() {
    let old = project("tests/fixtures/spool-layout-4");
    let kafka = shared_broker();
    // What a fresh service makes of the same pushes.
    let fresh = Topics::create(kafka);
    let service = Setup::new(kafka, &fresh).serve();
    for number in 1..=PUSHES {
        let push = fs::read_to_string(old.join(format!("push-{number}.xml"))).unwrap();
        assert!(Account::of(Mode::Secure).post(service.public, &push).is_success());
    }
    service.wait_drained();

    let upgraded = Topics::create(kafka);
    let setup = Setup::new(kafka, &upgraded);
    fs::create_dir_all(setup.spool()).unwrap();
    fs::copy(old.join("spool.db"), setup.spool().join("spool.db")).unwrap();
    let service = setup.serve();
    service.wait_drained();
    let of_users = |topic: &str| {
        let mut events: Vec<_> = records(kafka, topic)
            .iter()
            .map(|record| (record.text("openid"), record.text("code"), record.text("event_id")))
            .collect();
        // Stable: each user's events stay in the order of the topic.
        events.sort_by(|one, other| one.0.cmp(&other.0));
        events
    };
    let events = of_users(&upgraded.events);
    assert_eq!(events.len(), PUSHES);
    assert_eq!(events, of_users(&fresh.events));
}
