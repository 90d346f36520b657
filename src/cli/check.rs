//! `cardhook check`: is the configuration right, and with `--connect` do the brokers have the topics?
//!
//! It refuses to change anything.

use std::{
    collections::HashMap,
    io::{self, Write as _},
    process::ExitCode,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use rdkafka::{
    ClientConfig, ClientContext,
    admin::{AdminClient, AdminOptions, OwnedResourceSpecifier, ResourceSpecifier},
    client::DefaultClientContext,
    config::RDKafkaLogLevel,
    error::KafkaError,
    message::DeliveryResult,
    metadata::MetadataTopic,
    producer::{BaseProducer, Producer as _, ProducerContext},
    types::RDKafkaErrorCode,
};

use super::{
    ConfigArgs,
    kafka_client::{ANSWER_WITHIN, client_config},
    note,
};
use crate::{config::Config, telemetry};

/// Brokers that do not know the question never answer it.
const SETTINGS_WITHIN: Duration = Duration::from_secs(2);
/// What librdkafka complained of waits in a queue; hearing all of it takes no longer.
const COMPLAINTS_WITHIN: Duration = Duration::from_millis(200);

/// Validate the configuration and print the effective one, without secrets
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Also ask the brokers for the topics
    #[arg(long)]
    connect: bool,
}

/// What the brokers say stands as TOML comments below the configuration.
pub(super) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load()?;
    io::stdout().lock().write_all(config.effective().as_bytes())?;
    for account in &config.accounts {
        for route in account.routes(&config.kafka) {
            note(format_args!("account.{}: {}: {route}", account.name, route.pushes));
        }
    }
    if !args.connect {
        return Ok(ExitCode::SUCCESS);
    }
    if config.kafka.brokers.is_empty() {
        note("kafka.brokers is empty: there is nobody to ask");
        return Ok(ExitCode::SUCCESS);
    }
    telemetry::init(&config.log);
    let all_well = ask(&config)?;
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks for each topic that this configuration writes to; false when one cannot be written to.
fn ask(config: &Config) -> anyhow::Result<bool> {
    let client_config = client_config_of(config);
    let refused = "kafka.options: librdkafka refuses them together";
    let client: BaseProducer<Complaint> = client_config.create_with_context(Complaint::default()).context(refused)?;
    let mut well = Vec::new();
    let mut all_well = true;
    for topic in topics(config) {
        let metadata = client.client().fetch_metadata(Some(topic), ANSWER_WITHIN).with_context(|| {
            client.poll(COMPLAINTS_WITHIN);
            format!("no answer from the brokers {}: {}", config.kafka.brokers.join(", "), client.context().cure())
        })?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        match found.map_or_else(|| Err("the brokers do not speak of it".into()), state) {
            Ok(state) => well.push((topic, state)),
            Err(problem) => {
                all_well = false;
                note(format_args!("{topic}: {problem}"));
            }
        }
    }
    let admin = client_config.create().context(refused)?;
    let in_sync = min_in_sync_replicas(&admin, well.iter().map(|(topic, _)| *topic));
    for (topic, state) in well {
        let in_sync = in_sync.get(topic).map_or("not told", String::as_str);
        writeln!(io::stdout().lock(), "# {topic}: {state}, min.insync.replicas {in_sync}")?;
    }
    Ok(all_well)
}

fn topics(config: &Config) -> Vec<&str> {
    let kafka = &config.kafka;
    let mut topics = vec![kafka.topic.as_str(), &kafka.dlq_topic];
    if config.accounts.iter().any(|account| account.other.publishes()) {
        topics.push(&kafka.other_topic);
    }
    topics
}

fn client_config_of(config: &Config) -> ClientConfig {
    let mut client = client_config(&config.kafka);
    // Asking for a topic would otherwise make it on brokers that allow that.
    client.set("allow.auto.create.topics", "false");
    client
}

/// librdkafka's words, up to where they quote the value of a property that is a secret.
fn unquoted(reason: &str) -> String {
    const QUOTED: &str = "sasl.oauthbearer.config";
    reason.split_once(QUOTED).map_or_else(|| reason.to_owned(), |(before, _)| format!("{before}{QUOTED}\""))
}

/// What librdkafka complained of: the first refusal at the door, else the last thing.
#[derive(Default)]
struct Complaint(Mutex<Option<(RDKafkaErrorCode, String)>>);

impl Complaint {
    /// What is wrong, and where to look.
    fn cure(&self) -> String {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some((RDKafkaErrorCode::Authentication, why)) => {
                format!("{why}; are kafka.sasl_password, and sasl.username and sasl.mechanism in kafka.options, right?")
            }
            Some((RDKafkaErrorCode::SSL, why)) => {
                format!("{why}; does ssl.ca.location in kafka.options name who signed the brokers' certificates?")
            }
            Some((_, why)) => format!("{why}; are kafka.brokers and security.protocol in kafka.options right?"),
            None => "are kafka.brokers and security.protocol in kafka.options right?".to_owned(),
        }
    }
}

impl ClientContext for Complaint {
    /// What matters comes as an error too.
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = matches!(*heard, Some((RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL, _)));
        // That all brokers are down says less than what came before it.
        let code = error.rdkafka_error_code().filter(|code| *code != RDKafkaErrorCode::AllBrokersDown && !refused);
        if let Some(code) = code {
            *heard = Some((code, unquoted(reason)));
        }
    }
}

impl ProducerContext for Complaint {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// Partitions and replicas in words, or why the topic cannot be written to.
fn state(topic: &MetadataTopic) -> Result<String, String> {
    match topic.error().map(RDKafkaErrorCode::from) {
        None => {}
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            return Err("does not exist; `cardhook topics create` makes it".into());
        }
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            return Err("is forbidden to this user; allow Describe and Write on it".into());
        }
        Some(other) => return Err(format!("cannot be used: {other}")),
    }
    let partitions = topic.partitions();
    let leaderless = partitions.iter().filter(|partition| partition.leader() < 0).count();
    if leaderless > 0 {
        return Err(format!(
            "{leaderless} of {} partitions have no leader; start the missing brokers",
            partitions.len()
        ));
    }
    let replicas = partitions.iter().map(|partition| partition.replicas().len()).min().unwrap_or_default();
    Ok(format!("partitions {}, replicas {replicas}", partitions.len()))
}

/// By topic. Not everyone may ask for a topic's settings, and nothing hangs on them: what is not told is left out.
fn min_in_sync_replicas<'a>(
    admin: &AdminClient<DefaultClientContext>,
    topics: impl Iterator<Item = &'a str>,
) -> HashMap<String, String> {
    let asked: Vec<_> = topics.map(ResourceSpecifier::Topic).collect();
    let options = AdminOptions::new().request_timeout(Some(SETTINGS_WITHIN));
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let (Ok(runtime), false) = (runtime, asked.is_empty()) else { return HashMap::new() };
    let told = runtime.block_on(admin.describe_configs(&asked, &options));
    told.into_iter()
        .flatten()
        .flatten()
        .filter_map(|settings| {
            let value = settings.get("min.insync.replicas")?.value.clone()?;
            match settings.specifier {
                OwnedResourceSpecifier::Topic(topic) => Some((topic, value)),
                OwnedResourceSpecifier::Group(_) | OwnedResourceSpecifier::Broker(_) => None,
            }
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

    #[test]
    fn topics_that_exist_are_well_and_asking_makes_none() {
        let cluster = MockCluster::new(3).unwrap();
        let config = config(&cluster, "ignore");
        assert!(!ask(&config).unwrap(), "no topic exists");
        assert!(!ask(&config).unwrap(), "asking made the topics");
        cluster.create_topic("wechat.card.events", 3, 3).unwrap();
        cluster.create_topic("wechat.card.dlq", 3, 3).unwrap();
        assert!(ask(&config).unwrap());
    }

    #[test]
    fn the_topic_of_other_messages_counts_only_where_an_account_publishes_them() {
        let cluster = MockCluster::new(1).unwrap();
        assert_eq!(topics(&config(&cluster, "ignore")), ["wechat.card.events", "wechat.card.dlq"]);
        assert_eq!(topics(&config(&cluster, "publish")), ["wechat.card.events", "wechat.card.dlq", "wechat.other"]);
    }
}
