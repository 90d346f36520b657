//! The producer's life, against a broker that fails as it is told: what passes is retried, what ends a producer ends in a new
//! one, what is refused for good is set aside; nothing is lost, doubled or reordered, and nobody spins.

use std::{collections::HashSet, time::Duration};

use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Code};

use crate::support::{
    burst::{Burst, Claim, accepted, codes_in_order},
    cardhook::{Service, Setup, Topics, run},
    consume::{Record, records_at},
    eventually,
    kafka::shared_broker,
    mock::Mock,
    unix_seconds,
    wechat::{Account, Mode, claim},
};

const PATIENCE: Duration = Duration::from_mins(1);
/// librdkafka's, between two questions for a producer id.
const TIMER: Duration = Duration::from_millis(500);
/// More failures than any test waits for: until healed.
const LASTING: usize = 10_000;

fn one_claim(service: &Service, code: &str) {
    let answer = Account::of(Mode::Secure).post(service.public, &claim("oSingleUser", code, unix_seconds()));
    assert!(answer.is_success(), "{answer:?}");
}

/// All were answered `success`, the spool is empty, and each stands once on the topic, in order.
fn assert_delivered(service: &Service, mock: &Mock, claims: &[Claim]) {
    assert!(claims.iter().all(|claim| claim.success), "refused while the disk was whole");
    service.wait_drained();
    assert_eq!(codes_in_order(&records_at(&mock.bootstrap(), &mock.topics.events)), accepted(claims));
}

fn codes(mock: &Mock, topic: &str) -> Vec<String> {
    records_at(&mock.bootstrap(), topic).iter().map(|record| record.text("code")).collect()
}

fn failed(service: &Service, reason: &str) -> u64 {
    service.metric("cardhook_publish_errors_total", &format!("reason=\"{reason}\""))
}

fn wait_failed(service: &Service, reason: &str) {
    eventually(reason, PATIENCE, || (failed(service, reason) > 0).then_some(()));
}

/// Processor time that the service has used.
fn cpu(service: &Service) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", service.id())).unwrap();
    let ticks = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
    // Linux counts in hundredths of a second wherever Rust runs.
    Duration::from_millis(ticks.map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum())
}

/// Traffic, and from its middle on each of `errors` for one produce request.
fn errors_in_mid_traffic(errors: &[Code]) -> (Mock, Service) {
    let mock = Mock::start();
    // The mock appends what is in flight behind a failed request, and librdkafka takes that ack for both; a real broker
    // refuses it as out of sequence.
    let setup = Setup::at(&mock.bootstrap(), &mock.topics).set("kafka.options", "\"max.in.flight\" = 1");
    let service = setup.serve();
    let burst = Burst::start(service.public, 100, 40);
    burst.wait_answered(1000);
    mock.fail(Api::Produce, errors);
    assert_delivered(&service, &mock, &burst.join());
    (mock, service)
}

#[test]
fn errors_that_pass_are_retried_in_order_and_count_as_none() {
    let pass = [
        Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    ];
    let (_mock, service) = errors_in_mid_traffic(&pass.repeat(3));
    assert_eq!(service.metric("cardhook_publish_errors_total", ""), 0);
}

#[test]
fn a_connection_cut_in_mid_produce_loses_and_doubles_nothing() {
    let (_mock, service) = errors_in_mid_traffic(&[Code::RD_KAFKA_RESP_ERR__TRANSPORT; 5]);
    assert_eq!(service.metric("cardhook_publish_errors_total", ""), 0);
}

#[test]
fn a_producer_whose_id_the_broker_has_forgotten_takes_a_new_one() {
    let (_mock, service) = errors_in_mid_traffic(&[Code::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID]);
    assert_eq!(service.metric("cardhook_publish_errors_total", ""), 0, "librdkafka does it by itself");
}

#[test]
fn a_fatal_error_ends_in_a_new_producer_and_the_same_order() {
    for (error, named) in [
        (Code::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "sequence desynchronization"),
        (Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, "Broker: Producer attempted an operation with an old epoch"),
        (Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED, "Broker: There is a newer producer"),
    ] {
        let (_mock, service) = errors_in_mid_traffic(&[error; 3]);
        assert!(failed(&service, "fatal") > 0, "{error:?}");
        assert_eq!(service.metric("cardhook_publish_errors_total", ""), failed(&service, "fatal"), "{error:?}");
        let log = service.log();
        assert!(log.contains(named) && log.contains("trying again with a new producer"), "{error:?}: {log}");
    }
}

/// Every request of a kind fails until healed: received all the same, tried again now and then, delivered once healed.
fn held_up_until_healed(requests: Api, error: Code, reason: &str) {
    let mock = Mock::start();
    mock.fail(requests, &vec![error; LASTING]);
    let service = Setup::at(&mock.bootstrap(), &mock.topics).serve();
    let burst = Burst::start(service.public, 20, 10);
    service.wait_kafka(false);
    let claims = burst.join();
    wait_failed(&service, reason);
    assert_waits_quietly(&service, reason);
    service.wait_says(&format!("reason=\"{reason}\""));
    assert_eq!(codes(&mock, &mock.topics.events), [] as [String; 0]);
    mock.heal(requests);
    assert_delivered(&service, &mock, &claims);
    service.wait_kafka(true);
}

/// Over some seconds few attempts are made and next to no processor time is used.
fn assert_waits_quietly(service: &Service, reason: &str) {
    let tries = || service.log().matches("trying again with a new producer").count();
    let (tries_before, cpu_before) = (tries(), cpu(service));
    eventually("it is tried again", PATIENCE, || (tries() >= tries_before + 2).then_some(()));
    // The pause has grown to five seconds by its sixth doubling.
    assert!(tries() < 12, "{} tries: {}", tries(), service.log());
    let used = cpu(service).saturating_sub(cpu_before);
    assert!(used < Duration::from_secs(1), "{reason}: {used:?} of processor time for two tries");
}

#[test]
fn a_forbidden_topic_is_tried_again_until_it_is_allowed() {
    held_up_until_healed(
        Api::Produce,
        Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        "topic_authorization_failed",
    );
}

#[test]
fn a_forbidden_cluster_is_tried_again_until_it_is_allowed() {
    held_up_until_healed(
        Api::Produce,
        Code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
        "cluster_authorization_failed",
    );
}

#[test]
fn a_producer_that_may_not_be_idempotent_is_tried_again_until_it_may() {
    held_up_until_healed(
        Api::InitProducerId,
        Code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
        "cluster_authorization_failed",
    );
}

#[test]
fn a_missing_topic_holds_up_its_own_records_until_it_is_created() {
    let mock = Mock::without_topics();
    mock.create_topic(&mock.topics.dlq, 1);
    let service = Setup::at(&mock.bootstrap(), &mock.topics).serve();
    let claims = Burst::start(service.public, 20, 10).join();
    let quarantined = Account::of(Mode::Secure).post(service.public, "no XML");
    assert!(quarantined.is_success(), "{quarantined:?}");
    wait_failed(&service, "unknown_topic");
    assert_waits_quietly(&service, "unknown_topic");
    assert_eq!(records_at(&mock.bootstrap(), &mock.topics.dlq).len(), 1, "the DLQ topic is there");
    mock.create_topic(&mock.topics.events, 3);
    assert_delivered(&service, &mock, &claims);
}

/// Three claims of one user; the broker refuses the second for good, and its DLQ record too where `also_dlq`.
fn second_of_three_refused(error: Code, also_dlq: bool) -> (Mock, Setup, Service) {
    let mock = Mock::start();
    let setup = Setup::at(&mock.bootstrap(), &mock.topics);
    let service = setup.serve();
    // From then on an answer waits for the ack.
    service.wait_kafka(true);
    one_claim(&service, "000000000001");
    mock.fail(Api::Produce, &[error; 2][..=usize::from(also_dlq)]);
    one_claim(&service, "000000000002");
    one_claim(&service, "000000000003");
    eventually("nothing waits", PATIENCE, || {
        let parked = u64::from(also_dlq);
        let (records, shown) =
            (service.metric("cardhook_spool_records", ""), service.metric("cardhook_spool_parked", ""));
        ((records, shown) == (parked, parked)).then_some(())
    });
    assert_eq!(codes(&mock, &mock.topics.events), ["000000000001", "000000000003"], "{error:?}");
    (mock, setup, service)
}

#[test]
fn a_record_refused_for_good_goes_to_the_dlq_and_those_behind_it_go_on() {
    for (error, reason) in [
        (Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "too_large"),
        (Code::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, "too_large"),
        (Code::RD_KAFKA_RESP_ERR_INVALID_RECORD, "invalid_record"),
        (Code::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, "invalid_record"),
        (Code::RD_KAFKA_RESP_ERR_POLICY_VIOLATION, "invalid_record"),
    ] {
        let (mock, _setup, service) = second_of_three_refused(error, false);
        let rejected: Vec<Record> = records_at(&mock.bootstrap(), &mock.topics.dlq);
        assert_eq!(rejected.len(), 1, "{error:?}");
        assert_eq!(rejected[0].text("code"), "000000000002", "{error:?}");
        assert_eq!(rejected[0].header("dlq_reason"), Some("rejected"), "{error:?}");
        assert!(rejected[0].header("dlq_detail").unwrap().starts_with(reason), "{error:?}");
        assert_eq!(failed(&service, reason), 1, "{error:?}");
        assert!(service.log().contains("refuses a record for good"), "{error:?}: {}", service.log());
    }
}

#[test]
fn what_the_dlq_topic_refuses_too_is_parked_and_shown() {
    let (mock, setup, service) = second_of_three_refused(Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, true);
    assert_eq!(records_at(&mock.bootstrap(), &mock.topics.dlq).len(), 0);
    service.wait_says("it is parked in the spool");
    let shown = run(&["spool", "ls", "--path", &setup.spool().display().to_string()]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let parked = shown.lines().find(|line| line.starts_with("parked")).unwrap();
    assert_eq!(parked.split_whitespace().nth(1), Some("1"), "{shown}");
}

/// What is delivered beside that batch may be sent again too: all arrive, some perhaps twice.
#[test]
fn a_batch_that_the_broker_calls_a_repetition_is_not_taken_for_delivered() {
    let mock = Mock::start();
    let service = Setup::at(&mock.bootstrap(), &mock.topics).set("kafka.options", "\"max.in.flight\" = 1").serve();
    let burst = Burst::start(service.public, 100, 40);
    burst.wait_answered(1000);
    mock.fail(Api::Produce, &[Code::RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER]);
    let claims = burst.join();
    service.wait_drained();
    assert!(failed(&service, "fatal") > 0);
    let on_topic: HashSet<String> = codes(&mock, &mock.topics.events).into_iter().collect();
    assert_eq!(on_topic, accepted(&claims));
}

#[test]
fn the_first_event_and_the_first_quarantine_after_a_start_do_not_wait_for_the_clients_timer() {
    let kafka = shared_broker();
    let took = || {
        let topics = Topics::create(kafka);
        let service = Setup::new(kafka, &topics).set("delivery", "answer_after = \"kafka_only\"").serve();
        service.wait_kafka(true);
        let account = Account::of(Mode::Secure);
        let other_key = Account { aes_key: "CARDHOOKcardhook0123456789CARDHOOKcardhookw", ..account.clone() };
        [account, other_key].map(|account| {
            let answer = account.post(service.public, &claim("oSingleUser", "1", unix_seconds()));
            assert!(answer.is_success(), "{answer:?}");
            answer.took
        })
    };
    // A broker gives its first producer id late, and a busy machine may delay any of them.
    let [event, quarantine] =
        [took(), took(), took()].into_iter().reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1])]).unwrap();
    assert!(event < TIMER / 2 && quarantine < TIMER / 2, "{event:?}, {quarantine:?}");
}
