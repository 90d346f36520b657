//! A commit that fails when its records have left for the broker already.

use super::*;

/// From now on every commit fails, at its end.
fn fail_commits(bench: &Bench) {
    at_the_spool(
        bench,
        "CREATE TRIGGER fails BEFORE UPDATE ON counters BEGIN SELECT RAISE(ABORT, 'as the test says'); END",
    );
}

fn mend_commits(bench: &Bench, delivery: &Delivery) {
    wait_until("a failed commit", || !delivery.health().spool);
    at_the_spool(bench, "DROP TRIGGER fails");
    wait_until("recovery without an event", || delivery.health().spool);
}

fn at_the_spool(bench: &Bench, statement: &str) {
    let other = rusqlite::Connection::open(bench.folder.path().join("spool.db")).unwrap();
    other.busy_timeout(SOON).unwrap();
    other.execute_batch(statement).unwrap();
}

const ALL: [AnswerAfter; 3] = [AnswerAfter::Kafka, AnswerAfter::Disk, AnswerAfter::KafkaOnly];

#[tokio::test]
async fn its_events_are_answered_after_the_ack_and_go_once() {
    for answer_after in ALL {
        let bench = Bench::acking(answer_after);
        let (delivery, running) = bench.start();
        fail_commits(&bench);
        let (one, two) = tokio::join!(submit(&delivery, "a"), submit(&delivery, "a"));
        assert_eq!((one, two), (Ok(NEW_IN_KAFKA), Ok(KNOWN_IN_KAFKA)), "{answer_after:?}");
        mend_commits(&bench, &delivery);
        assert_eq!(submit(&delivery, "a").await, Ok(KNOWN_IN_KAFKA));
        assert!(submit(&delivery, "b").await.is_ok());
        wait_until("the removal", || bench.metrics.spool_records.get() == 0);
        running.stop(SOON);
        assert_eq!(bench.broker.values("events"), ["a", "b"]);
        assert_eq!(bench.metrics.spool_bypassed.get(), 1);
    }
}

#[tokio::test]
async fn what_comes_behind_them_keeps_its_own_place() {
    let bench = Bench::new(AnswerAfter::Kafka);
    let (delivery, running) = bench.start();
    fail_commits(&bench);
    let one = delivery.submit(submission("1"), Instant::now() + SOON);
    wait_until("a failed commit", || !delivery.health().spool);
    let two = delivery.submit(submission("2"), Instant::now() + SOON);
    let sent = bench.broker.await_sent("events", 2);
    assert!(sent[0].1 < sent[1].1, "{sent:?}");
    for sent in &sent {
        bench.broker.ack(sent);
    }
    assert_eq!(tokio::join!(one, two), (Ok(NEW_IN_KAFKA), Ok(NEW_IN_KAFKA)));
    running.stop(SOON);
    assert_eq!(bench.broker.values("events"), ["1", "2"]);
}

#[tokio::test]
async fn a_re_delivery_stores_them_once_the_spool_works() {
    for (answer_after, stored) in [
        (AnswerAfter::Kafka, Ok(KNOWN_ON_DISK)),
        (AnswerAfter::Disk, Ok(KNOWN_ON_DISK)),
        (AnswerAfter::KafkaOnly, Err(Overloaded::NoDurablePlace)),
    ] {
        let mut bench = Bench::new(answer_after);
        bench.ack_timeout = Duration::from_millis(200);
        let (delivery, running) = bench.start();
        fail_commits(&bench);
        assert_eq!(submit(&delivery, "a").await, Err(Overloaded::NoDurablePlace), "neither disk nor ack");
        mend_commits(&bench, &delivery);
        let again = tokio::join!(submit(&delivery, "a"), submit(&delivery, "a"));
        assert_eq!(again, (stored, stored), "{answer_after:?}");
        assert_eq!(submit(&delivery, "a").await, stored);
        wait_until("its record on disk", || bench.pending(Lane::Events) == ["a"]);

        let sent = bench.broker.await_sent("events", 1);
        bench.broker.ack(&sent[0]);
        wait_until("the removal", || bench.metrics.spool_records.get() == 0);
        assert_eq!(submit(&delivery, "a").await, Ok(KNOWN_IN_KAFKA));
        running.stop(SOON);
        let (delivery, running) = bench.start();
        assert_eq!(submit(&delivery, "a").await, Ok(KNOWN_IN_KAFKA), "after a restart too");
        running.stop(SOON);
        assert_eq!(bench.broker.values("events"), ["a"]);
    }
}

#[tokio::test]
async fn what_it_was_to_remove_is_known_to_be_in_kafka() {
    let bench = Bench::new(AnswerAfter::KafkaOnly);
    let (delivery, running) = bench.start();
    let first = delivery.submit(submission("a"), Instant::now() + SOON);
    let sent = bench.broker.await_sent("events", 1);
    wait_until("the commit", || bench.pending(Lane::Events).len() == 1);
    fail_commits(&bench);
    bench.broker.ack(&sent[0]);
    assert_eq!(first.await, Ok(NEW_IN_KAFKA));
    assert_eq!(submit(&delivery, "a").await, Ok(KNOWN_IN_KAFKA), "in the batch that was to remove it, or behind that");
    mend_commits(&bench, &delivery);
    wait_until("the removal", || bench.metrics.spool_records.get() == 0);
    running.stop(SOON);
    assert_eq!(bench.pending(Lane::Events), Vec::<String>::new());
}

#[tokio::test]
async fn what_the_broker_refuses_of_it_is_parked_once_the_spool_works() {
    let bench = Bench::acking(AnswerAfter::Kafka);
    let (delivery, running) = bench.start();
    fail_commits(&bench);
    let refused = delivery.submit(submission("too large"), Instant::now() + SOON);
    mend_commits(&bench, &delivery);
    assert_eq!(refused.await, Ok(NEW_ON_DISK));
    wait_until("the DLQ's refusal", || bench.metrics.spool_parked.get() == 1);
    running.stop(SOON);
    assert_eq!(bench.pending(Lane::Parked), ["too large"]);
    assert_eq!(bench.pending(Lane::Events), Vec::<String>::new());
}
