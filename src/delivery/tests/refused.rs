//! Duplicates of an event that the broker refuses: safe when what stands for it is.

use super::*;

#[tokio::test]
async fn under_kafka_only_a_duplicate_of_a_refused_event_is_safe_once_its_dlq_copy_is_acknowledged() {
    let bench = Bench::new(AnswerAfter::KafkaOnly);
    let (delivery, running) = bench.start();
    let first = delivery.submit(submission("bad"), Instant::now() + SOON);
    let sent = bench.broker.await_sent("events", 1);
    bench.broker.fail(&sent[0], Failure::Refused("invalid_record"));
    let dead = bench.broker.await_sent("dlq", 1);
    let soon = Instant::now() + Duration::from_millis(200);
    assert_eq!(delivery.submit(submission("bad"), soon).await, Err(Overloaded::Late), "nothing in Kafka stands for it");
    bench.broker.ack(&dead[0]);
    assert_eq!(first.await, Ok(NEW_IN_KAFKA));
    assert_eq!(submit(&delivery, "bad").await, Ok(KNOWN_IN_KAFKA));
    running.stop(SOON);
    let (delivery, running) = bench.start();
    assert_eq!(submit(&delivery, "bad").await, Ok(KNOWN_IN_KAFKA), "after a restart too");
    running.stop(SOON);
    assert_eq!((bench.broker.values("events").len(), bench.broker.values("dlq").len()), (1, 1));
}

#[tokio::test]
async fn a_duplicate_of_a_parked_event_is_safe_on_disk_and_under_kafka_only_not_at_all() {
    for (answer_after, known) in [
        (AnswerAfter::Kafka, Ok(KNOWN_ON_DISK)),
        (AnswerAfter::Disk, Ok(KNOWN_ON_DISK)),
        (AnswerAfter::KafkaOnly, Err(Overloaded::NoDurablePlace)),
    ] {
        let bench = Bench::acking(answer_after);
        let (delivery, running) = bench.start();
        assert_eq!(submit(&delivery, "too large").await.is_ok(), known.is_ok(), "{answer_after:?}");
        wait_until("parked", || bench.metrics.spool_parked.get() == 1);
        assert_eq!(submit(&delivery, "too large").await, known, "{answer_after:?}");
        running.stop(SOON);
        let (delivery, running) = bench.start();
        assert_eq!(submit(&delivery, "too large").await, known, "{answer_after:?}, after a restart");
        running.stop(SOON);
        assert_eq!(bench.pending(Lane::Parked), ["too large"]);
    }
}

#[tokio::test]
async fn an_event_whose_record_on_disk_does_not_read_is_published_from_its_re_delivery() {
    let bench = Bench::new(AnswerAfter::Disk);
    let (delivery, running) = bench.start();
    assert_eq!(submit(&delivery, "damaged").await, Ok(NEW_ON_DISK));
    running.stop(Duration::ZERO);
    let spool = rusqlite::Connection::open(bench.folder.path().join("spool.db")).unwrap();
    spool.execute("UPDATE pending SET headers = x'ff'", []).unwrap();
    drop(spool);
    let before = bench.broker.values("events").len();
    let (delivery, running) = bench.start();
    assert_eq!(submit(&delivery, "damaged").await, Ok(NEW_ON_DISK), "not safe before");
    let sent = bench.broker.await_sent("events", before + 1);
    bench.broker.ack(&sent[before]);
    wait_until("its removal", || bench.metrics.spool_records.get() == 1);
    assert_eq!(submit(&delivery, "damaged").await, Ok(KNOWN_IN_KAFKA));
    running.stop(SOON);
}
