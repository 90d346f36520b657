//! Reports that a record failed: which records go again, and which never.

use super::*;

#[tokio::test]
async fn a_failed_report_starts_over_from_the_oldest_unacknowledged_record() {
    let bench = Bench::new(AnswerAfter::Disk);
    let (delivery, running) = bench.start();
    for value in ["1", "2", "3", "4"] {
        submit(&delivery, value).await.unwrap();
    }
    let sent = bench.broker.await_sent("events", 4);
    bench.broker.ack(&sent[0]);
    bench.broker.fail(&sent[1], Failure::Producer("fatal"));
    submit(&delivery, "5").await.unwrap();
    assert_eq!(bench.broker.sent("events").len(), 4, "nothing is fed before all are reported");
    bench.broker.ack(&sent[2]);
    bench.broker.fail(&sent[3], Failure::Purged);
    let again = bench.broker.await_sent("events", 7);
    assert_eq!(bench.broker.values("events")[4..], ["2", "4", "5"]);
    assert!(again[4].0.generation > sent[0].0.generation, "on a new producer");
    running.stop(Duration::ZERO);
}

#[tokio::test]
async fn a_record_that_the_broker_refuses_goes_to_the_dlq_and_holds_up_nobody() {
    let bench = Bench::acking(AnswerAfter::Kafka);
    let (delivery, running) = bench.start();
    let (refused, fine) = tokio::join!(submit(&delivery, "too large"), submit(&delivery, "fine"));
    assert_eq!(fine, Ok(NEW_IN_KAFKA));
    assert!(refused.is_ok(), "safe in the spool");
    wait_until("the DLQ's refusal", || bench.metrics.spool_parked.get() == 1);
    assert_eq!(bench.broker.values("events"), ["fine"]);
    running.stop(SOON);
    assert_eq!(bench.pending(Lane::Parked), ["too large"], "refused on the DLQ topic too: parked");
}

#[tokio::test]
async fn a_refusal_among_others_is_found_by_sending_it_alone() {
    let bench = Bench::new(AnswerAfter::Disk);
    let (delivery, running) = bench.start();
    for value in ["1", "2", "3"] {
        submit(&delivery, value).await.unwrap();
    }
    let sent = bench.broker.await_sent("events", 3);
    bench.broker.fail(&sent[0], Failure::Producer("other"));
    bench.broker.fail(&sent[1], Failure::Refused("invalid_record"));
    bench.broker.fail(&sent[2], Failure::Producer("other"));
    // The suspect is in the middle: what stands before it must be acknowledged before it is sent, alone.
    let again = bench.broker.await_sent("events", 4);
    bench.broker.ack(&again[3]);
    let alone = bench.broker.await_sent("events", 5);
    assert_eq!(alone[4].2, "2");
    bench.broker.fail(&alone[4], Failure::Refused("invalid_record"));
    bench.broker.await_sent("events", 6);
    bench.broker.await_sent("dlq", 1);
    assert_eq!(bench.broker.values("events")[3..], ["1", "2", "3"]);
    assert_eq!(bench.broker.values("dlq"), ["2"]);
    running.stop(Duration::ZERO);
}
