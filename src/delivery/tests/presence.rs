//! When Kafka counts as up.

use super::*;

#[tokio::test]
async fn kafka_is_up_once_a_broker_was_reached_and_not_before() {
    let bench = Bench::new(AnswerAfter::KafkaOnly);
    bench.broker.unreachable.store(true, Ordering::SeqCst);
    let (delivery, running) = bench.start();
    assert_eq!(submit(&delivery, "1").await, Err(Overloaded::NoDurablePlace));
    assert_eq!((bench.metrics.kafka_up.get(), delivery.health().kafka), (0, Some(false)));
    assert!(!delivery.health().durable);
    let sent = bench.broker.await_sent("events", 1);
    bench.broker.report(BrokerReport::Connected(sent[0].0, true));
    bench.broker.ack(&sent[0]);
    wait_until("up", || bench.metrics.kafka_up.get() == 1 && delivery.health().durable);
    assert_eq!(submit(&delivery, "1").await, Ok(KNOWN_IN_KAFKA));
    running.stop(SOON);
}

#[tokio::test]
async fn a_partition_without_a_leader_neither_delays_the_others_nor_makes_kafka_away() {
    let mut bench = Bench::acking(AnswerAfter::Kafka);
    bench.ack_timeout = Duration::from_millis(400);
    let (delivery, running) = bench.start();
    let stuck = delivery.submit(submission("leaderless"), Instant::now() + SOON);
    let until = Instant::now() + 4 * bench.ack_timeout;
    let mut number = 0;
    while Instant::now() < until {
        number += 1;
        let other = Submission { record: other_key(number), ..submission(&number.to_string()) };
        let began = Instant::now();
        assert_eq!(delivery.submit(other, Instant::now() + SOON).await, Ok(NEW_IN_KAFKA));
        assert!(began.elapsed() < bench.ack_timeout, "{:?}", began.elapsed());
        assert_eq!(bench.metrics.kafka_up.get(), 1);
    }
    assert_eq!(stuck.await, Ok(NEW_ON_DISK));
    running.stop(Duration::ZERO);
}

fn other_key(number: u32) -> Record {
    let Submission { record, .. } = submission(&number.to_string());
    Record { key: Some("of a healthy partition".to_owned()), ..record }
}
