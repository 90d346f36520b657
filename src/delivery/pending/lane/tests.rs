use std::time::Duration;

use smallvec::smallvec;

use super::{super::record::By, *};

const ACK_TIMEOUT: Duration = Duration::from_secs(2);
const STORE_AFTER: Duration = Duration::from_millis(50);

type TestLane = Lane<&'static str, u32>;

fn lane(policy: AnswerAfter) -> TestLane {
    let (memory, in_flight) = (Amount { records: 6, bytes: 600 }, Amount { records: 3, bytes: 300 });
    let rules = Rules { policy, ack_timeout: ACK_TIMEOUT, store_after: STORE_AFTER, memory, in_flight };
    let mut lane = Lane::new(rules, Seq(0));
    lane.set_broker_up(true, Instant::now());
    lane
}

/// A record with a key of its own, for which an answer of its number waits.
fn add(lane: &mut TestLane, seq: u64, now: Instant) {
    let waiting = smallvec![(u32::try_from(seq).unwrap(), now)];
    lane.add(New { seq: Seq(seq), key: Some(seq), bytes: 10, payload: "record", waiting, arrival: Arrival::New }, now);
}

fn add_all(lane: &mut TestLane, last: u64, now: Instant) {
    for seq in 1..=last {
        add(lane, seq, now);
    }
}

fn ack(lane: &mut TestLane, seqs: &[u64], now: Instant) {
    for seq in seqs {
        lane.acked(Acked::in_a_test(Seq(*seq)), now);
    }
}

/// Does what the lane wants as far as nothing is reported, and says what was sent and over which route.
fn sent(lane: &mut TestLane, now: Instant) -> Vec<(Route, u64)> {
    let mut sent = Vec::new();
    loop {
        match lane.step(now) {
            Step::Connect(route) => lane.connected(route),
            Step::Send(route, seq) => sent.push((route, seq.0)),
            Step::Purge(_) | Step::Read { .. } | Step::Idle(_) => return sent,
        }
    }
}

fn to_store(lane: &mut TestLane, now: Instant) -> Vec<u64> {
    lane.take_to_store(now).into_iter().map(|(seq, _)| seq.0).collect()
}

#[test]
fn a_record_that_is_acknowledged_at_once_never_meets_the_disk() {
    let (mut lane, now) = (lane(AnswerAfter::Kafka), Instant::now());
    add(&mut lane, 1, now);
    assert_eq!(sent(&mut lane, now), [(Route::Batch, 1)]);
    assert!(to_store(&mut lane, now).is_empty());
    lane.acked(Acked::in_a_test(Seq(1)), now);
    assert_eq!(lane.take_decided(), [(1, Verdict::Safe(By::KAFKA))]);
    assert!(to_store(&mut lane, now + STORE_AFTER).is_empty());
    assert!(lane.take_removals().is_empty());
}

#[test]
fn a_record_without_an_ack_is_stored_after_its_time_and_removed_after_the_ack() {
    let (mut lane, now) = (lane(AnswerAfter::Kafka), Instant::now());
    add(&mut lane, 1, now);
    sent(&mut lane, now);
    assert_eq!(lane.store_due(), Some(now + STORE_AFTER));
    assert_eq!(to_store(&mut lane, now + STORE_AFTER), [1]);
    lane.committed(&[Committed::in_a_test(Seq(1))], now + STORE_AFTER);
    assert!(lane.take_decided().is_empty(), "the answer still waits for the broker");
    lane.acked(Acked::in_a_test(Seq(1)), now + STORE_AFTER);
    assert_eq!(lane.take_decided(), [(1, Verdict::Safe(By::KAFKA))]);
    assert_eq!(lane.take_removals(), [(Seq(1), 10)]);
}

#[test]
fn what_cannot_be_sent_at_once_is_stored_at_once() {
    let (mut lane, now) = (lane(AnswerAfter::Kafka), Instant::now());
    add_all(&mut lane, 4, now);
    assert_eq!(sent(&mut lane, now).len(), 3, "what may be in flight");
    assert_eq!(to_store(&mut lane, now), [4]);
}

#[test]
fn kafka_is_away_when_nothing_was_acknowledged_for_the_timeout_and_back_with_the_next_ack() {
    let (mut lane, now) = (lane(AnswerAfter::Kafka), Instant::now());
    add(&mut lane, 1, now);
    add(&mut lane, 2, now);
    sent(&mut lane, now);
    to_store(&mut lane, now + STORE_AFTER);
    lane.committed(&[Committed::in_a_test(Seq(1)), Committed::in_a_test(Seq(2))], now + STORE_AFTER);
    lane.tick(now + STORE_AFTER);
    assert!(!lane.is_away());
    lane.tick(now + ACK_TIMEOUT);
    assert!(lane.is_away());
    assert_eq!(lane.take_decided(), [(1, Verdict::Safe(By::DISK)), (2, Verdict::Safe(By::DISK))]);
    lane.acked(Acked::in_a_test(Seq(2)), now + ACK_TIMEOUT);
    assert!(!lane.is_away());
    lane.tick(now + ACK_TIMEOUT + STORE_AFTER);
    assert!(!lane.is_away(), "a partition without a leader does not make Kafka away while others are acknowledged");
}

#[test]
fn kafka_that_was_never_reached_is_away_from_the_start() {
    let (mut lane, now) = (lane(AnswerAfter::KafkaOnly), Instant::now());
    lane.set_broker_up(false, now);
    add(&mut lane, 1, now);
    assert_eq!(lane.take_decided(), [(1, Verdict::Refuse)]);
}

#[test]
fn a_disk_that_fails_leaves_a_record_in_its_place_and_stores_it_once_it_works() {
    let (mut lane, now) = (lane(AnswerAfter::Kafka), Instant::now());
    add_all(&mut lane, 4, now);
    sent(&mut lane, now);
    assert_eq!(to_store(&mut lane, now), [4]);
    assert!(lane.not_committed(&[Seq(4)], now).is_empty() && lane.take_decided().is_empty());
    lane.disk_works();
    assert_eq!(to_store(&mut lane, now), [1, 2, 3, 4], "all that memory alone holds");
    ack(&mut lane, &[1, 2, 3], now);
    assert_eq!(sent(&mut lane, now), [(Route::Batch, 4)]);
}

#[test]
fn a_record_that_was_never_sent_is_given_up_when_disk_and_kafka_fail_together() {
    let (mut lane, now) = (lane(AnswerAfter::Kafka), Instant::now());
    add_all(&mut lane, 4, now);
    sent(&mut lane, now);
    lane.set_broker_up(false, now);
    assert_eq!(to_store(&mut lane, now), [1, 2, 3, 4]);
    let given_up = lane.not_committed(&[Seq(1), Seq(2), Seq(3), Seq(4)], now);
    assert_eq!(lane.take_decided(), [1, 2, 3, 4].map(|answer| (answer, Verdict::Refuse)));
    assert_eq!(given_up.len(), 1, "the others may have left");
}

#[test]
fn what_memory_does_not_hold_is_read_again_before_what_came_after_it() {
    let (mut lane, now) = (lane(AnswerAfter::Kafka), Instant::now());
    add_all(&mut lane, 8, now);
    sent(&mut lane, now);
    let stored: Vec<_> = to_store(&mut lane, now).into_iter().map(|seq| Committed::in_a_test(Seq(seq))).collect();
    lane.committed(&stored, now);
    ack(&mut lane, &[1, 2, 3], now);
    add(&mut lane, 9, now);
    let Step::Read { after, upto } = lane.step(now) else { panic!("nothing is read") };
    assert_eq!(upto, Seq(8));
    let order: Vec<u64> = sent(&mut lane, now).into_iter().map(|(_, seq)| seq).collect();
    assert_eq!(order, (4..=after.0).collect::<Vec<_>>());
    ack(&mut lane, &order, now);
    let page = (after.0 + 1..=8).map(|seq| (Seq(seq), Some(seq), 10, "record")).collect();
    lane.loaded(page, upto, now);
    let mut rest = Vec::new();
    for _ in 0..3 {
        let more: Vec<u64> = sent(&mut lane, now).into_iter().map(|(_, seq)| seq).collect();
        ack(&mut lane, &more, now);
        rest.extend(more);
    }
    assert_eq!(rest, (after.0 + 1..=9).collect::<Vec<_>>());
}

#[test]
fn the_answer_of_a_record_that_memory_does_not_hold_waits_for_no_ack() {
    for (policy, answered) in [(AnswerAfter::Kafka, [6, 7, 8].as_slice()), (AnswerAfter::KafkaOnly, &[])] {
        let (mut lane, now) = (lane(policy), Instant::now());
        lane.set_connected(true, now);
        add_all(&mut lane, 8, now);
        sent(&mut lane, now);
        let stored = to_store(&mut lane, now);
        assert!(lane.take_decided().is_empty(), "the first three are on their way, and none is late");
        let stored: Vec<_> = stored.into_iter().map(|seq| Committed::in_a_test(Seq(seq))).collect();
        lane.committed(&stored, now);
        let mut decided = lane.take_decided();
        decided.sort_unstable_by_key(|(answer, _)| *answer);
        let expected: Vec<_> = answered.iter().map(|answer| (*answer, Verdict::Safe(By::DISK))).collect();
        assert_eq!(decided, expected, "{policy:?}");
    }
}

#[test]
fn a_refused_batch_goes_again_record_by_record_beside_the_others() {
    let (mut lane, now) = (lane(AnswerAfter::Kafka), Instant::now());
    add_all(&mut lane, 3, now);
    sent(&mut lane, now);
    for (seq, failure) in [(1, Failure::Refused("too_large")), (2, Failure::Refused("too_large"))] {
        assert!(lane.failed(Seq(seq), failure, now).is_empty());
    }
    assert!(lane.failed(Seq(3), Failure::Purged, now).is_empty());
    add(&mut lane, 4, now);
    assert_eq!(
        sent(&mut lane, now),
        [(Route::Alone, 1), (Route::Alone, 2), (Route::Batch, 3)],
        "at once, each over its route; the fourth waits for room"
    );
    let refused = lane.failed(Seq(2), Failure::Refused("too_large"), now);
    assert_eq!(refused.iter().map(|refused| (refused.seq.0, refused.reason)).collect::<Vec<_>>(), [(2, "too_large")]);
    assert_eq!(refused.first().map(|refused| refused.waiting.clone()), Some(smallvec![(2, now)]));
    lane.acked(Acked::in_a_test(Seq(1)), now);
    assert_eq!(sent(&mut lane, now), [(Route::Batch, 4)], "no new producer, no pause");
}

#[test]
fn a_failed_producer_is_given_up_once_it_has_reported_everything_and_the_order_holds() {
    let (mut lane, now) = (lane(AnswerAfter::Kafka), Instant::now());
    add_all(&mut lane, 3, now);
    sent(&mut lane, now);
    lane.failed(Seq(2), Failure::Topic("unknown_topic"), now);
    assert_eq!(lane.step(now), Step::Purge(Route::Batch));
    lane.acked(Acked::in_a_test(Seq(1)), now);
    lane.failed(Seq(3), Failure::Purged, now);
    let Step::Idle(Some(paused)) = lane.step(now) else { panic!("no pause") };
    assert_eq!(lane.step(paused), Step::Connect(Route::Batch));
    assert_eq!(sent(&mut lane, paused), [(Route::Batch, 2), (Route::Batch, 3)]);
}

#[test]
fn a_late_re_delivery_waits_for_the_store_and_holds_up_only_its_key() {
    let (mut lane, now) = (lane(AnswerAfter::Kafka), Instant::now());
    let record = |seq, key, arrival| {
        let waiting = smallvec![(u32::try_from(seq).unwrap(), now)];
        New { seq: Seq(seq), key: Some(key), bytes: 10, payload: "record", waiting, arrival }
    };
    lane.add(record(1, 7, Arrival::Undecided), now);
    lane.add(record(2, 7, Arrival::New), now);
    lane.add(record(3, 8, Arrival::New), now);
    assert_eq!(sent(&mut lane, now), [(Route::Batch, 3)]);
    assert_eq!(lane.take_duplicate(Seq(1))[..], [(1, now)]);
    assert_eq!(sent(&mut lane, now), [(Route::Batch, 2)]);
}

#[test]
fn what_was_sent_before_a_suspect_of_its_key_stays_before_it() {
    let (mut lane, now) = (lane(AnswerAfter::Kafka), Instant::now());
    for (seq, key) in [(1, 7), (2, 7), (3, 8)] {
        let (payload, arrival) = ("record", Arrival::New);
        lane.add(New { seq: Seq(seq), key: Some(key), bytes: 10, payload, waiting: Waiting::new(), arrival }, now);
    }
    sent(&mut lane, now);
    lane.failed(Seq(1), Failure::Purged, now);
    lane.failed(Seq(2), Failure::Refused("too_large"), now);
    lane.failed(Seq(3), Failure::Purged, now);
    assert_eq!(sent(&mut lane, now), [(Route::Alone, 1), (Route::Batch, 3)]);
    lane.acked(Acked::in_a_test(Seq(1)), now);
    assert_eq!(sent(&mut lane, now), [(Route::Alone, 2)]);
}

#[test]
fn a_record_that_the_client_refuses_or_has_no_room_for_disturbs_no_other() {
    let (mut lane, now) = (lane(AnswerAfter::Kafka), Instant::now());
    add_all(&mut lane, 3, now);
    sent(&mut lane, now);
    assert_eq!(lane.refused_unsent(Seq(2), "too_large").map(|refused| refused.seq), Some(Seq(2)));
    lane.not_taken(Seq(3), now);
    let Step::Idle(Some(soon)) = lane.step(now) else { panic!("no pause") };
    assert_eq!(sent(&mut lane, soon), [(Route::Batch, 3)], "over the same producer");
}

#[test]
fn what_does_not_work_now_is_tried_again() {
    let now = Instant::now();
    let mut behind: TestLane = Lane::new(lane(AnswerAfter::Kafka).rules, Seq(5));
    assert_eq!(behind.step(now), Step::Read { after: Seq(0), upto: Seq(5) });
    behind.not_loaded();
    assert_eq!(behind.step(now), Step::Read { after: Seq(0), upto: Seq(5) });
    let mut lane = lane(AnswerAfter::Kafka);
    add(&mut lane, 1, now);
    assert_eq!(lane.step(now), Step::Connect(Route::Batch));
    lane.not_connected(Route::Batch, now);
    let Step::Idle(Some(later)) = lane.step(now) else { panic!("no pause") };
    assert_eq!(lane.step(later), Step::Connect(Route::Batch));
}

#[test]
fn with_kafka_only_a_dead_letter_copy_is_safe_only_when_it_is_acknowledged() {
    let (mut dlq, now) = (lane(AnswerAfter::KafkaOnly), Instant::now());
    let arrival = Arrival::Moved { writing: true };
    dlq.add(New { seq: Seq(9), key: None, bytes: 10, payload: "refused", waiting: smallvec![(1, now)], arrival }, now);
    sent(&mut dlq, now);
    dlq.committed(&[Committed::in_a_test(Seq(9))], now);
    dlq.join(Seq(9), 2, now, now);
    assert!(dlq.take_decided().is_empty());
    dlq.acked(Acked::in_a_test(Seq(9)), now);
    assert_eq!(dlq.take_decided(), [(1, Verdict::Safe(By::KAFKA)), (2, Verdict::Safe(By::KAFKA))]);
}

#[test]
fn an_ack_may_be_the_last_report_of_a_producer_that_has_failed() {
    let (mut lane, now) = (lane(AnswerAfter::Kafka), Instant::now());
    add_all(&mut lane, 2, now);
    sent(&mut lane, now);
    assert!(lane.failed(Seq(1), Failure::Refused("too_large"), now).is_empty(), "another one is in flight");
    lane.acked(Acked::in_a_test(Seq(2)), now);
    let refused = lane.recover(now);
    assert_eq!(refused.iter().map(|refused| refused.seq).collect::<Vec<_>>(), [Seq(1)], "it was alone in its batch");
    add(&mut lane, 3, now);
    assert_eq!(sent(&mut lane, now), [(Route::Batch, 3)], "over a new producer, without a pause");
}

#[test]
fn while_kafka_is_away_a_record_leaves_once_the_disk_has_it_but_for_one_that_finds_out_whether_kafka_is_back() {
    let (mut lane, now) = (lane(AnswerAfter::Kafka), Instant::now());
    lane.set_broker_up(false, now);
    add(&mut lane, 1, now);
    assert!(sent(&mut lane, now).is_empty());
    assert_eq!(to_store(&mut lane, now), [1]);
    lane.committed(&[Committed::in_a_test(Seq(1))], now);
    assert_eq!(sent(&mut lane, now), [(Route::Batch, 1)]);
    add(&mut lane, 2, now);
    assert!(sent(&mut lane, now).is_empty());
    ack(&mut lane, &[1], now);
    assert_eq!(sent(&mut lane, now), [(Route::Batch, 2)], "it is back");
    ack(&mut lane, &[2], now);
    lane.set_broker_up(false, now);
    lane.set_connected(true, now);
    for seq in [3, 4] {
        add(&mut lane, seq, now);
    }
    assert_eq!(sent(&mut lane, now), [(Route::Batch, 3)], "one is tried");
}
