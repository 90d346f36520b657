//! The judge is shown runs with a fault put in, and must name exactly that fault.

use super::*;

/// Two users, five events each: sent every 100 ms, answered and appended 50 ms later.
fn flawless() -> Evidence {
    let mut evidence = Evidence::default();
    for turn in 0..5 {
        for user in 0..2_i64 {
            let (code, key) = (format!("{user}-{turn}"), format!("user {user}"));
            let sent = 1_000_000 + turn * 100;
            let (user_name, outcome) = (key.clone(), Outcome::Success);
            evidence.attempts.push(Attempt { code: code.clone(), user: user_name, sent, done: sent + 50, outcome });
            let (id, appended) = (format!("id {code}"), sent + 40);
            evidence.records.push(Record { partition: user, offset: turn, appended, key, id, code });
        }
    }
    evidence
}

/// Appends a further copy of the event at a time.
fn double(evidence: &mut Evidence, code: &str, appended: i64) {
    let first = evidence.records.iter().find(|record| record.code == code).unwrap();
    evidence.records.push(Record { offset: 99, appended, ..first.clone() });
}

#[test]
fn a_flawless_run_holds() {
    let verdict = check(&flawless());
    assert!(verdict.holds(), "{verdict:?}");
    assert_eq!((verdict.accepted, verdict.ids, verdict.slowest_ms), (10, 10, 50));
}

#[test]
fn one_loss_one_double_and_one_order_break_are_found_and_nothing_else() {
    let mut evidence = flawless();
    evidence.records.retain(|record| record.code != "0-4");
    double(&mut evidence, "0-1", 1_009_000);
    for record in &mut evidence.records {
        match record.code.as_str() {
            "1-2" => record.offset = 3,
            "1-3" => record.offset = 2,
            _ => {}
        }
    }
    let verdict = check(&evidence);
    assert!(!verdict.holds());
    assert_eq!(verdict.missing, ["0-4"]);
    assert_eq!(verdict.doubled, ["0-1"]);
    assert_eq!(verdict.order_breaks, [("1-3".to_owned(), "1-2".to_owned())]);
    assert!(verdict.refused.is_empty() && verdict.late.is_empty() && verdict.unknown.is_empty(), "{verdict:?}");
}

#[test]
fn a_double_is_allowed_only_when_its_first_copy_was_in_flight_at_an_interruption() {
    let mut evidence = flawless();
    double(&mut evidence, "0-2", 1_005_000);
    let kill = |at| Interruption { at, in_flight_since: at - 3000 };
    // Its first copy was appended at 1 000 240.
    for (at, allowed) in [(1_000_300, true), (1_003_240, true), (1_003_241, false), (1_006_000, false)] {
        evidence.interruptions = vec![kill(at)];
        let verdict = check(&evidence);
        assert_eq!((verdict.doubles_allowed, verdict.doubled.len()), if allowed { (1, 0) } else { (0, 1) }, "{at}");
    }
}

#[test]
fn a_second_record_under_another_id_is_never_allowed() {
    let mut evidence = flawless();
    double(&mut evidence, "0-2", 1_005_000);
    evidence.records.last_mut().unwrap().id = "id of another".to_owned();
    evidence.interruptions = vec![Interruption { at: 1_000_300, in_flight_since: 997_300 }];
    assert_eq!(check(&evidence).doubled, ["0-2"]);
}

#[test]
fn events_that_were_under_way_together_have_no_order() {
    let mut evidence = flawless();
    evidence.attempts.iter_mut().find(|attempt| attempt.code == "1-2").unwrap().done = 1_000_301;
    for record in &mut evidence.records {
        match record.code.as_str() {
            "1-2" => record.offset = 3,
            "1-3" => record.offset = 2,
            _ => {}
        }
    }
    assert!(check(&evidence).holds());
}

#[test]
fn a_repeated_copy_behind_a_later_event_breaks_no_order() {
    let mut evidence = flawless();
    double(&mut evidence, "0-2", 1_005_000);
    evidence.interruptions = vec![Interruption { at: 1_000_300, in_flight_since: 997_300 }];
    assert!(check(&evidence).holds());
}

#[test]
fn a_refusal_is_excused_while_cardhook_is_down_or_disk_and_broker_are_away_together() {
    let mut evidence = flawless();
    evidence.attempts[0].outcome = Outcome::Refused(503);
    evidence.attempts.push(Attempt { sent: 1_007_000, done: 1_007_010, ..flawless().attempts[0].clone() });
    let then = vec![Window(1_000_040, 1_000_900)];
    assert_eq!(check(&evidence).refused, ["0-0"]);
    evidence.disk_failed = then.clone();
    assert_eq!(check(&evidence).refused, ["0-0"], "the broker is there");
    evidence.broker_faults = then.clone();
    assert!(check(&evidence).holds());
    evidence.disk_failed.clear();
    assert_eq!(check(&evidence).refused, ["0-0"], "the disk is there");
    evidence.cardhook_down = then;
    assert!(check(&evidence).holds());
    evidence.cardhook_down = vec![Window(1_000_051, 1_000_900)];
    assert_eq!(check(&evidence).refused, ["0-0"], "it went down later");
}

#[test]
fn an_answer_after_four_and_a_half_seconds_is_late_whatever_it_says() {
    let mut evidence = flawless();
    for (attempt, took) in [(7, 4500), (8, 4501), (9, 4501)] {
        evidence.attempts[attempt].done = evidence.attempts[attempt].sent + took;
    }
    evidence.attempts[9].outcome = Outcome::Refused(503);
    evidence.cardhook_down = vec![Window(0, i64::MAX)];
    let verdict = check(&evidence);
    assert!(!verdict.holds());
    assert_eq!(verdict.late, ["0-4", "1-4"]);
    assert_eq!(verdict.slowest_ms, 4501);
}

#[test]
fn no_answer_in_wechats_five_seconds_is_late_unless_cardhook_was_down() {
    let mut evidence = flawless();
    // The event is on the topic, but WeChat does not know.
    let attempt = &mut evidence.attempts[9];
    (attempt.done, attempt.outcome) = (attempt.sent + 5000, Outcome::TimedOut);
    let verdict = check(&evidence);
    assert_eq!((verdict.late, verdict.accepted), (vec!["1-4".to_owned()], 9));
    evidence.cardhook_down = vec![Window(1_001_000, 1_002_000)];
    assert!(check(&evidence).holds());
}

#[test]
fn a_connection_that_breaks_is_a_refusal_and_one_that_wechat_hangs_up_is_none() {
    let mut evidence = flawless();
    evidence.attempts[3].outcome = Outcome::HungUp;
    assert!(check(&evidence).holds());
    evidence.attempts[3].outcome = Outcome::Broken;
    let verdict = check(&evidence);
    assert!(!verdict.holds());
    assert_eq!(verdict.refused, ["1-1"]);
}

#[test]
fn a_record_that_nobody_sent_or_under_another_users_key_is_unknown() {
    let mut evidence = flawless();
    double(&mut evidence, "0-0", 1_005_000);
    evidence.records.last_mut().unwrap().code = "9-9".to_owned();
    evidence.records[2].key = "user 1".to_owned();
    let verdict = check(&evidence);
    assert!(!verdict.holds());
    assert_eq!(verdict.unknown, ["0-1", "9-9"]);
    assert!(verdict.forged.is_empty());
}

#[test]
fn a_forgery_has_to_be_answered_403_and_to_leave_no_record() {
    let with = |outcome| {
        let mut evidence = flawless();
        evidence.forgeries.push(Attempt { code: "forged".to_owned(), outcome, ..evidence.attempts[0].clone() });
        evidence
    };
    let mut refused = with(Outcome::Refused(403));
    let verdict = check(&refused);
    assert!(verdict.holds());
    assert_eq!((verdict.forgeries_refused, verdict.accepted), (1, 10));
    for outcome in [Outcome::Success, Outcome::Refused(503)] {
        let verdict = check(&with(outcome));
        assert!(!verdict.holds());
        assert_eq!((verdict.forged.as_slice(), verdict.accepted), (["forged".to_owned()].as_slice(), 10));
    }
    double(&mut refused, "0-0", 1_005_000);
    refused.records.last_mut().unwrap().code = "forged".to_owned();
    let verdict = check(&refused);
    assert!(!verdict.holds() && verdict.unknown.is_empty());
    assert_eq!(verdict.forged, ["forged"]);
}

#[test]
fn a_record_on_the_dlq_breaks_the_promise() {
    assert!(!check(&Evidence { quarantined: 1, ..flawless() }).holds());
}

#[test]
fn what_was_in_flight_reaches_back_to_before_the_spell_of_absence() {
    let away = [Window(10_000, 20_000), Window(40_000, 45_000), Window(47_000, 60_000)];
    let since = |at| Interruption::new(at, &away).in_flight_since;
    assert_eq!(since(30_000), 27_000, "Kafka acknowledged again long ago");
    assert_eq!(since(22_999), 7000, "it has only just come back");
    assert_eq!(since(15_000), 7000);
    assert_eq!(since(50_000), 37_000, "two spells in one");
    assert_eq!(since(9000), 6000);
}
