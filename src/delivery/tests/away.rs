//! What an answer waits for while the broker is silent.

use super::*;

#[tokio::test]
async fn a_silent_broker_delays_one_answer_and_then_none() {
    let mut bench = Bench::new(AnswerAfter::Kafka);
    bench.ack_timeout = Duration::from_millis(300);
    let (delivery, running) = bench.start();
    let started = Instant::now();
    assert_eq!(submit(&delivery, "1").await, Ok(NEW_ON_DISK));
    assert!(started.elapsed() >= bench.ack_timeout);
    wait_until("away", || bench.metrics.kafka_up.get() == 0);
    let started = Instant::now();
    assert_eq!(submit(&delivery, "2").await, Ok(NEW_ON_DISK));
    assert!(started.elapsed() < bench.ack_timeout);

    let sent = bench.broker.await_sent("events", 2);
    bench.broker.ack(&sent[0]);
    wait_until("back with the next ack", || bench.metrics.kafka_up.get() == 1);
    running.stop(Duration::ZERO);
}

#[tokio::test]
async fn kafka_only_takes_no_disk_for_an_answer() {
    let mut bench = Bench::new(AnswerAfter::KafkaOnly);
    bench.ack_timeout = Duration::from_millis(200);
    let (delivery, running) = bench.start();
    assert_eq!(submit(&delivery, "1").await, Err(Overloaded::NoDurablePlace));
    assert_eq!(submit(&delivery, "1").await, Err(Overloaded::NoDurablePlace), "the re-delivery is not safe either");
    let sent = bench.broker.await_sent("events", 1);
    bench.broker.ack(&sent[0]);
    assert_eq!(submit(&delivery, "1").await, Ok(KNOWN_IN_KAFKA));
    running.stop(SOON);
    assert_eq!(bench.broker.values("events"), ["1"]);
}
