//! A signature of timestamp and nonce comes with one event only.

use super::*;

const SIGNATURE: [u8; 20] = [7; 20];
const REUSED: Safe = Safe { nonce_reused: true, ..NEW_ON_DISK };

/// An event that only this signature verified; its quarantine's value says so.
fn bare(value: &str, signature: [u8; 20]) -> Submission {
    let quarantined = format!("quarantined {value}");
    let instead = move || Submission { lane: Lane::Dlq, ..submission(&quarantined) };
    Submission { binding: Some(Binding { signature, instead: Some(Box::new(instead)) }), ..submission(value) }
}

async fn deliver(delivery: &Delivery, submission: Submission) -> Result<Safe, Overloaded> {
    delivery.submit(submission, Instant::now() + Duration::from_secs(4)).await
}

#[tokio::test]
async fn another_event_under_the_same_signature_is_quarantined_and_a_re_delivery_is_a_duplicate() {
    let bench = Bench::new(AnswerAfter::Disk);
    let (delivery, running) = bench.start();
    assert_eq!(deliver(&delivery, bare("genuine", SIGNATURE)).await, Ok(NEW_ON_DISK));
    assert_eq!(deliver(&delivery, bare("genuine", SIGNATURE)).await, Ok(KNOWN_ON_DISK));
    assert_eq!(deliver(&delivery, bare("forged", SIGNATURE)).await, Ok(REUSED));
    assert_eq!(deliver(&delivery, bare("forged", SIGNATURE)).await, Ok(Safe { duplicate: true, ..REUSED }));
    assert_eq!(deliver(&delivery, bare("forged", [8; 20])).await, Ok(NEW_ON_DISK), "under a signature of its own");
    running.stop(Duration::ZERO);
    assert_eq!(bench.pending(Lane::Events), ["genuine", "forged"]);
    assert_eq!(bench.pending(Lane::Dlq), ["quarantined forged"]);
}

#[tokio::test]
async fn a_binding_is_known_after_a_restart() {
    let bench = Bench::new(AnswerAfter::Disk);
    let (delivery, running) = bench.start();
    assert_eq!(deliver(&delivery, bare("genuine", SIGNATURE)).await, Ok(NEW_ON_DISK));
    running.stop(Duration::ZERO);
    let (delivery, running) = bench.start();
    assert_eq!(deliver(&delivery, bare("forged", SIGNATURE)).await, Ok(REUSED));
    running.stop(Duration::ZERO);
}

#[tokio::test]
async fn of_two_events_in_one_batch_one_is_quarantined() {
    let bench = Bench::new(AnswerAfter::Disk);
    let (delivery, running) = bench.start();
    let (one, two) = tokio::join!(deliver(&delivery, bare("1", SIGNATURE)), deliver(&delivery, bare("2", SIGNATURE)));
    assert_eq!((one, two), (Ok(NEW_ON_DISK), Ok(REUSED)));
    running.stop(Duration::ZERO);
}

#[tokio::test]
async fn what_is_quarantined_anyway_binds_too_and_stays_what_it_is() {
    let bench = Bench::new(AnswerAfter::Disk);
    let (delivery, running) = bench.start();
    let unreadable = |value| {
        let binding = Some(Binding { signature: SIGNATURE, instead: None });
        Submission { lane: Lane::Dlq, binding, ..submission(value) }
    };
    assert_eq!(deliver(&delivery, unreadable("unreadable")).await, Ok(NEW_ON_DISK));
    assert_eq!(deliver(&delivery, unreadable("another")).await, Ok(NEW_ON_DISK));
    assert_eq!(deliver(&delivery, bare("forged", SIGNATURE)).await, Ok(REUSED));
    running.stop(Duration::ZERO);
    assert_eq!(bench.pending(Lane::Dlq), ["unreadable", "another", "quarantined forged"]);
}

#[tokio::test]
async fn what_was_bound_before_a_failing_spool_and_past_it_holds() {
    let bench = Bench::acking(AnswerAfter::Disk);
    let (delivery, running) = bench.start();
    assert_eq!(deliver(&delivery, bare("before", SIGNATURE)).await, Ok(NEW_ON_DISK));
    let other = hold_the_disk(&bench);
    let reused_in_kafka = Ok(Safe { by_kafka: true, ..REUSED });
    assert_eq!(deliver(&delivery, bare("past it", [8; 20])).await, Ok(NEW_IN_KAFKA));
    assert_eq!(deliver(&delivery, bare("forged", SIGNATURE)).await, reused_in_kafka);
    assert_eq!(deliver(&delivery, bare("forged too", [8; 20])).await, reused_in_kafka);
    drop(other);
    wait_until("recovery", || delivery.health().spool);
    assert_eq!(deliver(&delivery, bare("forged later", [8; 20])).await, Ok(REUSED), "known in memory still");
    running.stop(SOON);
    assert_eq!(bench.broker.values("events"), ["before", "past it"]);
    assert_eq!(bench.broker.values("dlq").len(), 3);
}
