//! Brokers, topics and permissions.

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, OwnedResourceSpecifier, ResourceSpecifier},
    client::DefaultClientContext,
    metadata::{Metadata, MetadataTopic},
    producer::{BaseProducer, Producer as _},
    types::RDKafkaErrorCode,
};

use super::{
    finding::Findings,
    rights::{self, OneTopic, Write},
};
use crate::{
    cli::{
        complaint::Complaint,
        kafka_client::{ANSWER_WITHIN, client_config},
    },
    clock,
    config::Config,
};

/// Brokers that do not know the question never answer it.
const SETTINGS_WITHIN: Duration = Duration::from_secs(2);
/// What librdkafka complained of waits in a queue; hearing all of it takes no longer.
const COMPLAINTS_WITHIN: Duration = Duration::from_millis(200);
/// Where Kafka's own default is kept, a record of a day ago is taken; WeChat delivers again for a day.
const A_DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A topic's settings by name, as far as the brokers tell them.
type Settings = HashMap<String, String>;

pub(super) fn look(config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
    let brokers = &config.kafka.brokers;
    if brokers.is_empty() {
        findings.warn("kafka.brokers", "empty: the spool is the store, and there is nobody to ask", "name the brokers");
        return Ok(());
    }
    let mut client_config = client_config(&config.kafka);
    // Asking for a topic would otherwise make it on brokers that allow that.
    client_config.set("allow.auto.create.topics", "false");
    let client: BaseProducer<Complaint> = client_config.create_with_context(Complaint::default())?;
    let begin = Instant::now();
    let Ok(metadata) = client.client().fetch_metadata(None, ANSWER_WITHIN) else {
        client.poll(COMPLAINTS_WITHIN);
        let (reason, cure) = client.context().reason_and_cure();
        findings.fail("kafka.brokers", format_args!("no answer from {}: {reason}", brokers.join(", ")), cure);
        return Ok(());
    };
    let took = begin.elapsed().as_secs_f64() * 1000.0;
    findings.ok("kafka.brokers", format_args!("{} in the cluster, {took:.0} ms", metadata.brokers().len()));
    if !reach(&metadata, findings) {
        return Ok(());
    }
    let topics = topics(config);
    let settings = settings(&client_config.create()?, topics.iter().map(|(_, topic)| *topic));
    for (key, name) in &topics {
        let found = metadata.topics().iter().find(|found| found.name() == *name);
        // Brokers list only what the user may see.
        let forbidden = || unlisted(&client, name);
        match found.map_or_else(forbidden, state) {
            Ok((partitions, replicas)) => {
                findings.ok(*key, format_args!("{name}: partitions {partitions}, replicas {replicas}"));
                judge(config, key, name, replicas, settings.get(*name), findings);
            }
            Err((problem, cure)) => findings.fail(*key, format_args!("{name}: {problem}"), cure),
        }
    }
    match rights::ask(&client_config).context("kafka.options")? {
        Write::Nowhere => {
            findings.fail("kafka permissions", "no Write on any of the topics", "allow Describe and Write on them");
        }
        Write::NotRefused => each_topic(&client_config, &topics, &settings, findings)?,
    }
    Ok(())
}

/// The right to write to each topic, as far as the brokers tell it without a record being written.
fn each_topic(
    client: &ClientConfig,
    topics: &[(&'static str, &str)],
    settings: &HashMap<String, Settings>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let now = clock::unix_millis();
    let told = |name: &str| settings.get(name).is_some_and(|settings| rights::refuses_the_future(settings, now));
    let asked: Vec<_> = topics.iter().map(|(_, name)| *name).filter(|name| told(name)).collect();
    let answers: HashMap<_, _> = rights::of_each(client, &asked).context("kafka.options")?.into_iter().collect();
    let (mut allowed, mut silent) = (Vec::new(), Vec::new());
    for (key, name) in topics {
        match answers.get(name).copied().unwrap_or(OneTopic::Silent) {
            OneTopic::Forbidden => findings.fail(*key, format_args!("{name}: no Write for this user"), FORBIDDEN),
            OneTopic::Allowed => allowed.push(*name),
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
    Ok(())
}

/// The topics that this configuration writes to, with their keys.
fn topics(config: &Config) -> Vec<(&'static str, &str)> {
    let kafka = &config.kafka;
    let mut topics = vec![("kafka.topic", kafka.topic.as_str()), ("kafka.dlq_topic", &kafka.dlq_topic)];
    if config.accounts.iter().any(|account| account.other.publishes()) {
        topics.push(("kafka.other_topic", &kafka.other_topic));
    }
    topics
}

/// Whether the brokers are reached at the addresses that the cluster advertises, which may differ from those in
/// `kafka.brokers`; false when none is.
fn reach(metadata: &Metadata, findings: &mut Findings) -> bool {
    let mut any = false;
    for broker in metadata.brokers() {
        let port = u16::try_from(broker.port()).unwrap_or_default();
        let connects = |address: &SocketAddr| TcpStream::connect_timeout(address, SETTINGS_WITHIN).is_ok();
        if (broker.host(), port)
            .to_socket_addrs()
            .is_ok_and(|mut addresses| addresses.any(|address| connects(&address)))
        {
            any = true;
        } else {
            findings.fail(
                "kafka.brokers",
                format_args!("the cluster advertises {}:{port}, which cannot be reached from here", broker.host()),
                "correct the brokers' advertised.listeners, or this machine's name resolution",
            );
        }
    }
    any
}

type Problem = (String, &'static str);

const FORBIDDEN: &str = "allow Describe and Write on it";

/// A topic that the list of all has not: it does not exist, or may not be seen.
fn unlisted(client: &BaseProducer<Complaint>, topic: &str) -> Result<(usize, usize), Problem> {
    let asked = client.client().fetch_metadata(Some(topic), ANSWER_WITHIN);
    let asked = asked.map_err(|error| (format!("no answer: {error}"), "try again"))?;
    match asked.topics().iter().find(|found| found.name() == topic) {
        Some(found) => state(found),
        None => Err(("the brokers do not name it".to_owned(), "`cardhook topics create` makes it")),
    }
}

/// Partitions and replicas, or why the topic cannot be written to.
fn state(topic: &MetadataTopic) -> Result<(usize, usize), Problem> {
    match topic.error().map(RDKafkaErrorCode::from) {
        None => {}
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            return Err(("does not exist".to_owned(), "`cardhook topics create` makes it"));
        }
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            return Err(("is forbidden to this user".to_owned(), FORBIDDEN));
        }
        Some(other) => return Err((format!("cannot be used: {other}"), "look at the brokers' logs")),
    }
    let partitions = topic.partitions();
    let leaderless = partitions.iter().filter(|partition| partition.leader() < 0).count();
    if leaderless > 0 {
        let problem = format!("{leaderless} of {} partitions have no leader", partitions.len());
        return Err((problem, "start the missing brokers"));
    }
    let replicas = partitions.iter().map(|partition| partition.replicas().len()).min().unwrap_or_default();
    Ok((partitions.len(), replicas))
}

/// What the topic's settings would do to the events.
fn judge(
    config: &Config,
    key: &str,
    name: &str,
    replicas: usize,
    settings: Option<&Settings>,
    findings: &mut Findings,
) {
    if replicas == 1 {
        findings.warn(
            key,
            format_args!("{name}: 1 replica: a lost broker loses events"),
            "3 replicas, min.insync.replicas 2",
        );
    }
    let Some(settings) = settings else {
        findings.warn(
            key,
            format_args!("{name}: the brokers do not tell its settings to this user"),
            "allow DescribeConfigs on it, or look at min.insync.replicas and cleanup.policy yourself",
        );
        return;
    };
    let number = |setting: &str| settings.get(setting).and_then(|value| value.parse::<i64>().ok());
    if let Some(in_sync) = number("min.insync.replicas") {
        if usize::try_from(in_sync).is_ok_and(|in_sync| in_sync > replicas) {
            findings.fail(
                key,
                format_args!(
                    "{name}: min.insync.replicas {in_sync}, and it has {replicas} replicas: no record is taken"
                ),
                "lower min.insync.replicas, or add replicas",
            );
        } else if replicas > 1 && in_sync < 2 {
            findings.warn(
                key,
                format_args!("{name}: min.insync.replicas {in_sync}: one broker alone makes an event safe"),
                "min.insync.replicas 2",
            );
        }
    }
    if settings.get("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
        findings.fail(
            key,
            format_args!("{name}: cleanup.policy compact: records without a key are refused, and of one user only the last event stays"),
            "cleanup.policy=delete",
        );
    }
    if name == config.kafka.dlq_topic
        && let Some(retention) = number("retention.ms").filter(|retention| *retention >= 0)
    {
        findings.warn(
            key,
            format_args!("{name}: retention.ms {retention}: quarantined pushes vanish"),
            "retention.ms=-1",
        );
    }
    for setting in ["message.timestamp.before.max.ms", "message.timestamp.after.max.ms"] {
        let ahead = setting.contains("after");
        // Records carry WeChat's time; one from more than 5 minutes ahead carries that of its receipt.
        let least = if ahead { 5 * 60 * 1000 } else { 2 * A_DAY_MS };
        if let Some(limit) = number(setting).filter(|limit| *limit < least) {
            findings.warn(
                key,
                format_args!("{name}: {setting} {limit}: events of an outage or of WeChat's re-deliveries are refused"),
                format!("{setting} of at least {least}"),
            );
        }
    }
}

/// Every setting of every topic, by topic. What is not told is left out.
fn settings<'a>(
    admin: &AdminClient<DefaultClientContext>,
    topics: impl Iterator<Item = &'a str>,
) -> HashMap<String, Settings> {
    let asked: Vec<_> = topics.map(ResourceSpecifier::Topic).collect();
    let options = AdminOptions::new().request_timeout(Some(SETTINGS_WITHIN));
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return HashMap::new() };
    let told = runtime.block_on(admin.describe_configs(&asked, &options));
    let of_topic = |specifier| match specifier {
        OwnedResourceSpecifier::Topic(topic) => Some(topic),
        OwnedResourceSpecifier::Group(_) | OwnedResourceSpecifier::Broker(_) => None,
    };
    told.into_iter()
        .flatten()
        .flatten()
        .filter_map(|resource| {
            let entries = resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
            let settings: Settings = entries.collect();
            Some((of_topic(resource.specifier)?, settings)).filter(|(_, settings)| !settings.is_empty())
        })
        .collect()
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
        look(config, &mut findings).unwrap();
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
        let names = |other| topics(&config(&cluster, other)).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(names("ignore"), ["kafka.topic", "kafka.dlq_topic"]);
        assert_eq!(names("publish"), ["kafka.topic", "kafka.dlq_topic", "kafka.other_topic"]);
    }
}
