//! Many events of many users, with nothing going wrong.

use std::time::Duration;

use crate::support::{
    burst::{Burst, codes_in_order, slowest},
    cardhook::{Setup, Topics},
    consume::records,
    kafka::shared_broker,
};

#[test]
fn ten_thousand_events_of_a_thousand_users_arrive_complete_and_in_order_per_key() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let service = Setup::new(kafka, &topics).serve();
    let claims = Burst::start(service.public, 1000, 10).join();
    assert_eq!(claims.iter().filter(|claim| claim.success).count(), 10_000);
    assert!(slowest(&claims) < Duration::from_secs(4), "{:?}", slowest(&claims));
    service.wait_drained();
    assert_eq!(codes_in_order(&records(kafka, &topics.events)).len(), 10_000);
    assert_eq!(service.metric("cardhook_published_total", &topics.events), 10_000);
}
