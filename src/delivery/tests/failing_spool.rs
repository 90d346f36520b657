//! A spool that is full or cannot be written.

use super::*;

#[tokio::test]
async fn a_full_spool_refuses_until_the_first_removal() {
    let mut bench = Bench::new(AnswerAfter::Disk);
    bench.max_bytes = 40;
    bench.ack_timeout = Duration::from_millis(100);
    let (delivery, running) = bench.start();
    assert_eq!(submit(&delivery, "1").await, Ok(NEW_ON_DISK));
    assert_eq!(submit(&delivery, "2").await, Ok(NEW_ON_DISK));
    wait_until("away", || bench.metrics.kafka_up.get() == 0);
    assert_eq!(submit(&delivery, "3").await, Err(Overloaded::NoDurablePlace));
    assert_eq!(submit(&delivery, "1").await, Ok(KNOWN_ON_DISK), "known, and safe");
    let sent = bench.broker.await_sent("events", 2);
    bench.broker.ack(&sent[0]);
    wait_until("room", || bench.metrics.spool_records.get() == 1);
    assert_eq!(submit(&delivery, "3").await, Ok(NEW_ON_DISK), "what was refused was not remembered");
    running.stop(Duration::ZERO);
}

#[tokio::test]
async fn what_is_refused_for_a_full_spool_is_not_overtaken() {
    let mut bench = Bench::new(AnswerAfter::Disk);
    bench.max_bytes = 60;
    let (delivery, running) = bench.start();
    let long = "x".repeat(60);
    let (one, big, two) = tokio::join!(submit(&delivery, "1"), submit(&delivery, &long), submit(&delivery, "2"));
    assert_eq!(one, Ok(NEW_ON_DISK));
    assert!(big.is_err() && two.is_err(), "past the full spool, and no ack comes: {big:?} {two:?}");
    assert!(!delivery.health().spool);
    assert_eq!(bench.broker.values("events"), ["1", long.as_str(), "2"]);
    running.stop(Duration::ZERO);
}
#[tokio::test]
async fn past_a_failing_spool_events_go_to_kafka_and_known_ones_do_not_go_twice() {
    let bench = Bench::acking(AnswerAfter::Disk);
    let (delivery, running) = bench.start();
    assert_eq!(submit(&delivery, "stored").await, Ok(NEW_ON_DISK));
    wait_until("the removal", || bench.metrics.spool_records.get() == 0);
    let other = hold_the_disk(&bench);
    assert_eq!(submit(&delivery, "past it").await, Ok(NEW_IN_KAFKA), "answered after the ack");
    assert!(!delivery.health().spool && delivery.health().durable);
    let (stored, past) = tokio::join!(submit(&delivery, "stored"), submit(&delivery, "past it"));
    let duplicate = Ok(KNOWN_IN_KAFKA);
    assert_eq!((stored, past), (duplicate, duplicate));
    drop(other);
    wait_until("recovery without an event", || delivery.health().spool);
    assert_eq!(submit(&delivery, "past it").await, duplicate, "known in memory still");
    assert_eq!(submit(&delivery, "new").await, Ok(NEW_ON_DISK));
    running.stop(SOON);
    assert_eq!(bench.broker.values("events"), ["stored", "past it", "new"]);
    assert_eq!(bench.metrics.spool_bypassed.get(), 1);
}

#[tokio::test]
async fn with_spool_and_kafka_gone_the_answer_is_503_and_nothing_is_kept() {
    let mut bench = Bench::new(AnswerAfter::Kafka);
    bench.ack_timeout = Duration::from_millis(100);
    let (delivery, running) = bench.start();
    assert_eq!(submit(&delivery, "1").await, Ok(NEW_ON_DISK));
    wait_until("away", || bench.metrics.kafka_up.get() == 0);
    let other = hold_the_disk(&bench);
    assert_eq!(submit(&delivery, "2").await, Err(Overloaded::NoDurablePlace));
    assert!(!delivery.health().durable);
    drop(other);
    assert_eq!(submit(&delivery, "2").await, Ok(NEW_ON_DISK), "not remembered: the re-delivery is new");
    running.stop(Duration::ZERO);
}
