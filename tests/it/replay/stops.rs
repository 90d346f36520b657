//! Whoever stops or kills a replay loses nothing, and its place only by a few records (contract §3.2).

use std::{
    collections::BTreeSet,
    process::{Child, Command, Stdio},
};

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rustix::process::{Pid, Signal, kill_process};

use super::{LIMIT, behind, claims, ids, quarantine, replay, reported, undated};
use crate::support::{
    cardhook::{Setup, Topics, run},
    consume::{records, records_at},
    eventually,
    kafka::{Kafka, shared_broker},
    mock::Mock,
};

/// `cardhook replay`, on its way.
fn start(setup: &Setup) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardhook"));
    command.env_clear().args(["replay", "--config"]).arg(setup.write());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_stopped_replay_goes_on_where_it_was() {
    let kafka = shared_broker();
    let topics = Topics { dlq: kafka.create_topic("dlq", 3), ..Topics::create(kafka) };
    let claims = claims(4000);
    quarantine(&kafka.bootstrap(), &topics, "decrypt", &claims);
    // A second for each round, so that the stop comes in the middle.
    let slow = Setup::new(kafka, &topics).set("kafka", "options = { \"linger.ms\" = \"1000\" }");
    let mut stopped = start(&slow);
    eventually("the first events are there", LIMIT, || (!records(kafka, &topics.events).is_empty()).then_some(()));
    kill_process(Pid::from_child(&stopped), Signal::INT).unwrap();
    eventually("the replay stops", LIMIT, || stopped.try_wait().unwrap());
    let output = stopped.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report = String::from_utf8(output.stdout).unwrap();
    let first = reported(&report, "published");
    assert!(0 < first && first < claims.len(), "{report}");
    assert_eq!(records(kafka, &topics.events).len(), first);

    let (report, _) = replay(&Setup::new(kafka, &topics), &[]);
    assert_eq!(reported(&report, "read"), claims.len() - first, "{report}");
    let ids = ids(&records(kafka, &topics.events));
    assert_eq!(ids.len(), claims.len());
    assert_eq!(BTreeSet::from_iter(ids).len(), claims.len(), "each once");
}

#[test]
fn a_killed_replay_loses_nothing() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let [readable, unreadable] = [claims(3000), undated(claims(300))];
    let mixed = readable.chunks(10).zip(&unreadable).flat_map(|(ten, one)| ten.iter().chain([one]));
    quarantine(&kafka.bootstrap(), &topics, "missing_field", &mixed.cloned().collect::<Vec<_>>());
    let setup = Setup::new(kafka, &topics).set("kafka", "options = { \"linger.ms\" = \"1000\" }");
    for _ in 0..4 {
        let before = records(kafka, &topics.events).len();
        let mut killed = start(&setup);
        eventually("more events are there, or all", LIMIT, || {
            let now = records(kafka, &topics.events).len();
            (now > before || now >= readable.len() || killed.try_wait().unwrap().is_some()).then_some(())
        });
        killed.kill().unwrap();
        killed.wait().unwrap();
    }
    replay(&setup, &[]);
    let published: BTreeSet<String> = ids(&records(kafka, &topics.events)).into_iter().collect();
    assert_eq!(published.len(), readable.len());

    let place = records(kafka, &topics.dlq).len();
    let (report, _) = replay(&setup, &[]);
    let left: BTreeSet<String> =
        behind(records(kafka, &topics.dlq), place).into_iter().map(|record| record.payload).collect();
    assert_eq!(left, unreadable.into_iter().collect(), "{report}");
}

#[test]
fn a_stop_while_the_broker_hangs_ends_in_time_and_loses_nothing() {
    let kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let claims = claims(2000);
    quarantine(&kafka.bootstrap(), &topics, "decrypt", &claims);
    let slow = Setup::new(&kafka, &topics)
        .set("kafka", "options = { \"linger.ms\" = \"1000\" }")
        .set("delivery", "shutdown_timeout = \"1s\"");
    let mut stopped = start(&slow);
    eventually("the first events are there", LIMIT, || (!records(&kafka, &topics.events).is_empty()).then_some(()));
    kafka.suspend();
    kill_process(Pid::from_child(&stopped), Signal::INT).unwrap();
    let status = eventually("the replay stops", LIMIT, || stopped.try_wait().unwrap());
    let output = stopped.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(status.code(), Some(1), "{said}");
    kafka.resume();

    replay(&slow, &[]);
    let published: BTreeSet<String> = ids(&records(&kafka, &topics.events)).into_iter().collect();
    assert_eq!(published.len(), claims.len());
}

/// What a broker calls a repetition it may never have had; librdkafka reports it as delivered (`producer_faults`).
#[test]
fn a_batch_that_the_broker_calls_a_repetition_ends_the_run_and_the_next_one_publishes_it() {
    let mock = Mock::start();
    let claims = claims(300);
    quarantine(&mock.bootstrap(), &mock.topics, "decrypt", &claims);
    let setup = Setup::at(&mock.bootstrap(), &mock.topics);
    mock.fail(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER]);
    let config = setup.write().display().to_string();
    let failed = run(&["replay", "--config", &config]);
    assert_eq!(failed.status.code(), Some(1), "{}", String::from_utf8_lossy(&failed.stdout));
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(said.contains("does not take the record"), "{said}");

    replay(&setup, &[]);
    let ids = ids(&records_at(&mock.bootstrap(), &mock.topics.events));
    assert_eq!(BTreeSet::from_iter(ids).len(), claims.len());
}
