//! A disk whose fsync fails, and then loses what it was to write: nothing is answered on the word of such an fsync, and
//! nothing that was answered before is lost by it.

use std::{
    collections::HashSet,
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use rustix::process::Signal;

use crate::support::{
    burst::{Burst, Claim, accepted, codes_in_order, slowest},
    cardhook::{Service, Setup, Topics, run},
    consume::records,
    eventually,
    faults::Faults,
    kafka::{Kafka, shared_broker},
    wechat::{Account, Mode, fixture},
};

/// `EIO`
const INPUT_OUTPUT_ERROR: i32 = 5;

fn wait_spool(service: &Service, works: bool) {
    let shown = format!("\"spool\":{works}");
    eventually(&shown, Duration::from_mins(1), || service.admin("/readyz").body.contains(&shown).then_some(()));
}

/// Kills the service, starts it on a whole machine, and returns what is on the topic when the spool is empty.
fn codes_after_a_crash(service: Service, setup: &Setup, kafka: &mut Kafka, topics: &Topics) -> HashSet<String> {
    service.crash();
    let service = setup.serve();
    kafka.run();
    service.wait_kafka(true);
    service.wait_drained();
    let spool = setup.spool().display().to_string();
    let verified = run(&["spool", "verify", "--path", &spool]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    codes_in_order(&records(kafka, &topics.events))
}

fn assert_answered_are_on_topic(claims: &[Claim], arrived: &HashSet<String>) {
    let accepted = accepted(claims);
    let lost: Vec<&String> = accepted.difference(arrived).collect();
    assert!(
        lost.is_empty(),
        "{} of {} answered events are lost, {:?} among them",
        lost.len(),
        accepted.len(),
        lost.first()
    );
}

#[test]
fn with_kafka_up_a_failing_fsync_refuses_nothing_and_nothing_is_lost_or_doubled() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let setup = Setup::new(&kafka, &topics);
    let faults = Faults::new(setup.folder());
    faults.lose_pages();
    let service = setup.serve_under(&faults);
    service.wait_kafka(true);
    let burst = Burst::start(service.public, 400, 15);
    burst.wait_answered(2000);
    faults.sync_error(Some(INPUT_OUTPUT_ERROR));
    wait_spool(&service, false);
    burst.wait_answered(4000);
    faults.sync_error(None);
    wait_spool(&service, true);
    let claims = burst.join();
    assert!(claims.iter().all(|claim| claim.success), "refused with Kafka up");
    assert!(service.metric("cardhook_spool_write_errors_total", "") > 0);
    assert!(service.metric("cardhook_spool_bypassed_total", "") > 0);
    service.wait_drained();
    kafka.stop();
    assert_eq!(codes_after_a_crash(service, &setup, &mut kafka, &topics), accepted(&claims));
}

#[test]
fn with_kafka_away_too_the_answer_is_503_until_fsync_works_again_without_a_restart() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    kafka.stop();
    let setup = Setup::new(&kafka, &topics);
    let faults = Faults::new(setup.folder());
    faults.lose_pages();
    let service = setup.serve_under(&faults);
    service.wait_kafka(false);
    let mut claims = Burst::of(0..300, 5, service.public).join();
    faults.sync_error(Some(INPUT_OUTPUT_ERROR));
    let refused = Account::of(Mode::Secure).post(service.public, &fixture("user_get_card"));
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert_eq!(service.admin("/readyz").status, 503);

    faults.sync_error(None);
    service.wait_ready();
    claims.extend(Burst::of(300..600, 5, service.public).join());
    assert!(claims.iter().all(|claim| claim.success), "refused by a whole disk");
    assert_answered_are_on_topic(&claims, &codes_after_a_crash(service, &setup, &mut kafka, &topics));
}

#[test]
fn a_disk_that_takes_half_a_second_for_each_fsync_delays_answers_and_refuses_nothing() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let setup = Setup::new(kafka, &topics).set("delivery", "answer_after = \"disk\"");
    let faults = Faults::new(setup.folder());
    let service = setup.serve_under(&faults);
    service.wait_kafka(true);
    faults.sync_delay(Duration::from_millis(500));
    let claims = Burst::start(service.public, 100, 3).join();
    assert!(claims.iter().all(|claim| claim.success), "refused by a slow disk");
    assert!(claims.iter().all(|claim| claim.took > Duration::from_millis(400)), "answered before the fsync");
    assert!(slowest(&claims) < Duration::from_secs(4), "{:?}", slowest(&claims));
    service.wait_drained();
    assert_eq!(codes_in_order(&records(kafka, &topics.events)), accepted(&claims));
}

#[test]
fn a_disk_that_hangs_holds_up_no_answer_that_an_ack_makes_safe_is_shown_by_readyz_and_does_not_hold_a_stop() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let setup = Setup::new(kafka, &topics);
    let faults = Faults::new(setup.folder());
    let mut service = setup.serve_under(&faults);
    service.wait_kafka(true);
    service.wait_ready();
    faults.sync_delay(Duration::from_mins(5));
    let claims = Burst::start(service.public, 100, 5).join();
    assert!(claims.iter().all(|claim| claim.success), "refused with Kafka up");
    assert!(slowest(&claims) < Duration::from_secs(2), "{:?}", slowest(&claims));
    eventually("/readyz says that a thread hangs", Duration::from_mins(1), || {
        (service.admin("/readyz").status == 503).then_some(())
    });
    let stopping = Instant::now();
    service.signal(Signal::TERM);
    assert!(service.wait(Duration::from_secs(15)).success(), "{}", service.log());
    assert!(stopping.elapsed() < Duration::from_secs(10), "{:?}", stopping.elapsed());
    assert_eq!(codes_in_order(&records(kafka, &topics.events)), accepted(&claims));
}

#[test]
fn a_log_that_was_moved_half_way_when_the_databases_fsync_failed_loses_nothing() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    kafka.stop();
    let setup = Setup::new(&kafka, &topics);
    let faults = Faults::new(setup.folder());
    faults.lose_pages();
    faults.only_of_databases();
    let service = setup.serve_under(&faults);
    service.wait_kafka(false);
    let mut claims = Burst::of(0..100, 5, service.public).join();
    let reader = read_on(&setup.spool());
    claims.extend(Burst::of(100..1000, 5, service.public).join());
    faults.sync_error(Some(INPUT_OUTPUT_ERROR));
    drop(reader);
    let before = faults.syncs_failed();
    claims.extend(Burst::of(1000..2000, 5, service.public).join());
    assert!(faults.syncs_failed() > before, "the log was to be moved");
    faults.sync_error(None);
    claims.extend(Burst::of(2000..3000, 5, service.public).join());
    assert!(claims.iter().all(|claim| claim.success), "the log takes appends all the while");
    assert_answered_are_on_topic(&claims, &codes_after_a_crash(service, &setup, &mut kafka, &topics));
}

/// Another process's reader, in the middle of a read.
fn read_on(spool: &Path) -> Connection {
    let reader = Connection::open(spool.join("spool.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM pending;").unwrap();
    reader
}
