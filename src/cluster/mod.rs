//! What the Kafka cluster says when it is asked: is it reached, are the topics there, may they be written to, are they set
//! rightly, and whose clock is wrong? Nothing is changed and nothing is written.
//!
//! `cardhook check` prints what is found, `serve` logs it, and the other commands say it where they fail. Does not depend on
//! who asks, or on the producers of the delivery.

mod clock_offset;
mod fault;
mod listener;
mod rights;
mod topics;

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rdkafka::{
    ClientConfig, ClientContext,
    admin::AdminClient,
    client::{Client, DefaultClientContext},
    error::KafkaError,
    metadata::Metadata,
    producer::{BaseProducer, Producer as _},
    types::RDKafkaErrorCode,
};

pub(crate) use clock_offset::CURE as CLOCK_CURE;
pub(crate) use fault::TopicFault;
pub(crate) use topics::{Size, judge, settings, size};

use self::{
    listener::{COMPLAINTS_WITHIN, Listener},
    rights::{OneTopic, Refusing, Write},
    topics::Settings,
};
use crate::{
    clock,
    config::Config,
    delivery::{ADVERTISED_CURE, NO_WRITE, unreachable_address},
    finding::{Finding, Findings, Level},
};

/// How long a question to the brokers may take.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long one turn of a question takes.
const TURN: Duration = Duration::from_millis(500);
/// A connection that is refused is refused within this.
const ASK_AGAIN_FOR: Duration = Duration::from_secs(3);
/// Brokers that do not know the question never answer it.
const SETTINGS_WITHIN: Duration = Duration::from_secs(2);
/// The subject of what is found of clocks.
pub(crate) const CLOCK: &str = "clock";

/// Whether who asked wants no answer any more.
pub(crate) type GivenUp<'a> = &'a dyn Fn() -> bool;

/// Everything that can be found. False: no broker answers, and the one finding says why; or it was given up, and what was found
/// is not all.
///
/// # Errors
/// When librdkafka refuses the properties.
pub(crate) fn look(config: &Config, findings: &mut Findings, given_up: GivenUp<'_>) -> anyhow::Result<bool> {
    let client = client(config.kafka.client_properties());
    let Some(settings) = of_topics(config, &client, findings, given_up)? else { return Ok(false) };
    if settings.reached && !given_up() {
        match rights::ask(&client, given_up).context("kafka.options")? {
            Write::Nowhere => findings.fail("kafka permissions", NO_WRITE.0, NO_WRITE.1),
            Write::NotRefused => each_topic(&client, &topics::written(config), &settings.by_topic, findings, given_up)?,
        }
    }
    Ok(!given_up())
}

/// What the brokers tell of a topic, or of all; asked in short turns, so that it can be given up.
fn metadata<C: ClientContext>(
    client: &Client<C>,
    topic: Option<&str>,
    given_up: GivenUp<'_>,
) -> Result<Metadata, KafkaError> {
    let end = Instant::now() + ANSWER_WITHIN;
    loop {
        let told = client.fetch_metadata(topic, TURN);
        if told.is_ok() || given_up() || Instant::now() >= end {
            return told;
        }
    }
}

/// What of brokers and topics stops records, a line each, in the words of [`look`].
///
/// # Errors
/// When librdkafka refuses the properties.
pub(crate) fn topic_faults(config: &Config) -> anyhow::Result<Vec<String>> {
    let mut findings = Findings::default();
    of_topics(config, &client(config.kafka.client_properties()), &mut findings, &|| false)?;
    let failed = findings.iter().filter(|finding| finding.level == Level::Fail);
    let line = |finding: &Finding| format!("{}; {}", finding.found, finding.cure.as_deref().unwrap_or_default());
    Ok(failed.map(line).collect())
}

/// What a cluster that answers tells of its topics.
struct Told {
    /// Whether any broker is reached where the cluster says that it is.
    reached: bool,
    by_topic: HashMap<String, Settings>,
}

/// Brokers and topics; `None`: no broker answers.
fn of_topics(
    config: &Config,
    client_config: &ClientConfig,
    findings: &mut Findings,
    given_up: GivenUp<'_>,
) -> anyhow::Result<Option<Told>> {
    let client: BaseProducer<Listener> = client_config.create_with_context(Listener::default())?;
    let begin = Instant::now();
    let Ok(metadata) = metadata(client.client(), None, given_up) else {
        client.poll(COMPLAINTS_WITHIN);
        let (reason, cure) = client.context().reason_and_cure();
        let brokers = config.kafka.brokers.join(", ");
        findings.fail("kafka.brokers", format_args!("no answer from {brokers}: {reason}"), cure);
        return Ok(None);
    };
    let took = begin.elapsed().as_secs_f64() * 1000.0;
    findings.ok("kafka.brokers", format_args!("{} in the cluster, {took:.0} ms", metadata.brokers().len()));
    let unreached = unreached(&metadata);
    for (found, cure) in &unreached {
        findings.fail("kafka.brokers", found, *cure);
    }
    if unreached.len() == metadata.brokers().len() {
        return Ok(Some(Told { reached: false, by_topic: HashMap::new() }));
    }
    let written = topics::written(config);
    let names: Vec<_> = written.iter().map(|(_, topic)| *topic).collect();
    let admin: AdminClient<DefaultClientContext> = client_config.create()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let by_topic = runtime.block_on(settings(&admin, &names));
    for (key, name) in &written {
        let faults = match topics::look(&client, &metadata, name) {
            Ok(size) => {
                let Size { partitions, replicas, .. } = size;
                findings.ok(*key, format_args!("{name}: partitions {partitions}, replicas {replicas}"));
                let is_dlq = *name == config.kafka.dlq_topic;
                judge(is_dlq, config.server.max_body_bytes, size, by_topic.get(*name))
            }
            Err(fault) => vec![fault],
        };
        for fault in faults {
            tell(key, name, &fault, findings);
        }
    }
    Ok(Some(Told { reached: true, by_topic }))
}

/// Librdkafka's properties for a client that only asks.
fn client(properties: Vec<(String, String)>) -> ClientConfig {
    let mut client: ClientConfig = properties.into_iter().collect();
    // Asking for a topic would otherwise make it on brokers that allow that.
    client.set("allow.auto.create.topics", "false");
    client
}

fn tell(key: &str, topic: &str, fault: &TopicFault, findings: &mut Findings) {
    let found = format!("{topic}: {}", fault.found());
    if fault.stops_records() {
        findings.fail(key, found, fault.cure());
    } else {
        findings.warn(key, found, fault.cure());
    }
}

/// The right to write to each topic, as far as the brokers tell it without a record being written, and their clock.
fn each_topic(
    client: &ClientConfig,
    topics: &[(&'static str, &str)],
    settings: &HashMap<String, Settings>,
    findings: &mut Findings,
    given_up: GivenUp<'_>,
) -> anyhow::Result<()> {
    let now = clock::unix_millis();
    let asked = topics.iter().filter_map(|(_, name)| Some((*name, Refusing::of(settings.get(*name)?, now)?)));
    let asked: Vec<_> = asked.collect();
    let answers: HashMap<_, _> =
        rights::of_each(client, &asked, given_up).context("kafka.options")?.into_iter().collect();
    let (mut allowed, mut silent, mut offset) = (Vec::new(), Vec::new(), None);
    for (key, name) in topics {
        match answers.get(name).copied().unwrap_or(OneTopic::Silent) {
            OneTopic::Forbidden => tell(key, name, &TopicFault::NoWrite, findings),
            OneTopic::Allowed(between) => {
                allowed.push(*name);
                offset = offset.or(between);
            }
            OneTopic::Silent => silent.push(*name),
        }
    }
    if !allowed.is_empty() {
        findings.ok("kafka permissions", format_args!("Write on {}", allowed.join(", ")));
    }
    if !silent.is_empty() {
        let silent = silent.join(", ");
        let found = format!("writing is not refused altogether; whether to {silent}, the brokers do not say");
        findings.ok("kafka permissions", found);
    }
    if let Some(between) = offset {
        between.tell(findings);
    }
    Ok(())
}

/// The brokers that are not reached at the addresses that the cluster advertises, which may differ from those in
/// `kafka.brokers`: what was found, and the cure.
pub(crate) fn unreached(metadata: &Metadata) -> Vec<(String, &'static str)> {
    let connects = |address: &SocketAddr| TcpStream::connect_timeout(address, SETTINGS_WITHIN).is_ok();
    let reached = |host: &str, port: u16| {
        (host, port).to_socket_addrs().is_ok_and(|mut addresses| addresses.any(|address| connects(&address)))
    };
    let brokers = metadata.brokers().iter().map(|broker| (broker.host(), u16::try_from(broker.port()).unwrap_or(0)));
    let unreached = brokers.filter(|(host, port)| !reached(host, *port));
    let tell = |(host, port)| (unreachable_address(&format!("{host}:{port}")), ADVERTISED_CURE);
    unreached.map(tell).collect()
}

/// Why the brokers do not answer a client of these properties, and the cure: asks once more, and listens.
#[must_use]
pub(crate) fn no_answer(client: &ClientConfig) -> String {
    let brokers = client.get("bootstrap.servers").unwrap_or_default();
    let producer: Result<BaseProducer<Listener>, _> = client.create_with_context(Listener::default());
    let Ok(producer) = producer else { return format!("no answer from the brokers {brokers}") };
    if let Ok(metadata) = producer.client().fetch_metadata(None, ASK_AGAIN_FOR)
        && let Some((found, cure)) = unreached(&metadata).first()
    {
        return format!("{found}; {cure}");
    }
    // The answer does not matter any more: what is complained of meanwhile does.
    producer.poll(COMPLAINTS_WITHIN);
    let (reason, cure) = producer.context().reason_and_cure();
    format!("no answer from the brokers {brokers}: {reason}; {cure}")
}

/// Why a command cannot read a topic, in the words of [`look`], as far as the brokers tell it; then what happened.
pub(crate) fn why_unread(client: &ClientConfig, topic: &str, error: &KafkaError) -> String {
    let fault = |fault: &TopicFault| format!("{topic}: {}; {}", fault.found(), fault.cure());
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed) {
        return fault(&TopicFault::NoRead);
    }
    let mut asking = client.clone();
    asking.set("allow.auto.create.topics", "false");
    let producer: Result<BaseProducer<Listener>, _> = asking.create_with_context(Listener::default());
    let Ok(producer) = producer else { return format!("cannot read {topic}") };
    let Ok(metadata) = producer.client().fetch_metadata(None, ANSWER_WITHIN) else { return no_answer(client) };
    if let Some((found, cure)) = unreached(&metadata).first() {
        return format!("{found}; {cure}");
    }
    match topics::look(&producer, &metadata, topic) {
        Err(TopicFault::Forbidden) => {
            format!("{topic}: {}; {}", TopicFault::Forbidden.found(), TopicFault::NoRead.cure())
        }
        Err(found) => fault(&found),
        Ok(_) => format!("cannot read {topic}"),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};

    use super::*;

    fn config(cluster: &MockCluster<'_, DefaultProducerContext>, other: &str) -> Config {
        let environment = [
            ("CARDHOOK__KAFKA__BROKERS", cluster.bootstrap_servers().as_str()),
            ("CARDHOOK__ACCOUNT__SHOP__TOKEN", "s3cretT0ken"),
            ("CARDHOOK__ACCOUNT__SHOP__MODE", "plaintext"),
            ("CARDHOOK__ACCOUNT__SHOP__OTHER", other),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        Config::load(None, environment, &[]).unwrap()
    }

    fn all_well(config: &Config) -> bool {
        let mut findings = Findings::default();
        look(config, &mut findings, &|| false).unwrap();
        findings.all_well()
    }

    #[test]
    fn topics_that_exist_are_well_and_asking_makes_none() {
        let cluster = MockCluster::new(3).unwrap();
        let config = config(&cluster, "ignore");
        assert!(!all_well(&config), "no topic exists");
        assert!(!all_well(&config), "asking made the topics");
        cluster.create_topic("wechat.card.events", 3, 3).unwrap();
        cluster.create_topic("wechat.card.dlq", 3, 3).unwrap();
        assert!(all_well(&config));
    }

    #[test]
    fn the_topic_of_other_messages_counts_only_where_an_account_publishes_them() {
        let cluster = MockCluster::new(1).unwrap();
        let names =
            |other| topics::written(&config(&cluster, other)).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(names("ignore"), ["kafka.topic", "kafka.dlq_topic"]);
        assert_eq!(names("publish"), ["kafka.topic", "kafka.dlq_topic", "kafka.other_topic"]);
    }
}
