//! `cardhook check`: is the configuration right, and with `--connect` do the brokers have the topics?
//!
//! It refuses to change anything.

use std::{io::Write, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use rdkafka::{
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    client::DefaultClientContext,
    config::ClientConfig,
    metadata::MetadataTopic,
    types::RDKafkaErrorCode,
};

use crate::config::{self, Config, OtherPolicy};

/// How long the brokers may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `check` is asked.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The configuration file; without it the environment alone counts.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Also ask the brokers for the topics.
    #[arg(long)]
    pub connect: bool,
}

/// Prints the effective configuration, and with `--connect` what the brokers say of each topic, as TOML comments.
///
/// # Errors
/// When the brokers cannot be asked or standard output cannot be written.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let config = match config::load_for_cli(args.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    std::io::stdout().lock().write_all(config.effective().as_bytes())?;
    if !args.connect {
        return Ok(ExitCode::SUCCESS);
    }
    if config.kafka.brokers.is_empty() {
        writeln!(std::io::stderr().lock(), "kafka.brokers is empty: there is nobody to ask")?;
        return Ok(ExitCode::SUCCESS);
    }
    let all_well = ask(&config)?;
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks for each topic that this configuration writes to; false when one cannot be written to.
fn ask(config: &Config) -> anyhow::Result<bool> {
    let admin = client(config)?;
    let mut all_well = true;
    for topic in topics(config) {
        let metadata = admin.inner().fetch_metadata(Some(topic), PATIENCE).with_context(|| {
            format!("the brokers {} do not answer: are address, TLS and SASL right?", config.kafka.brokers.join(", "))
        })?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        match found.map(state) {
            Some(Ok(state)) => {
                let in_sync = min_in_sync_replicas(&admin, topic).unwrap_or_else(|| "not told".into());
                writeln!(std::io::stdout().lock(), "# {topic}: {state}, min.insync.replicas {in_sync}")?;
            }
            Some(Err(problem)) => {
                all_well = false;
                writeln!(std::io::stderr().lock(), "{topic}: {problem}")?;
            }
            None => {
                all_well = false;
                writeln!(std::io::stderr().lock(), "{topic}: the brokers do not speak of it")?;
            }
        }
    }
    Ok(all_well)
}

fn topics(config: &Config) -> Vec<&str> {
    let kafka = &config.kafka;
    let mut topics = vec![kafka.topic.as_str(), &kafka.dlq_topic];
    if config.accounts.iter().any(|account| account.other == OtherPolicy::Publish) {
        topics.push(&kafka.other_topic);
    }
    topics
}

fn client(config: &Config) -> anyhow::Result<AdminClient<DefaultClientContext>> {
    let kafka = &config.kafka;
    let mut client = ClientConfig::new();
    for (name, value) in &kafka.options {
        client.set(name, value.expose());
    }
    if let Some(password) = &kafka.sasl_password {
        client.set("sasl.password", password.expose());
    }
    // Asking for a topic would otherwise make it on brokers that allow that.
    client.set("bootstrap.servers", kafka.brokers.join(",")).set("allow.auto.create.topics", "false");
    client.create().context("kafka.options: librdkafka refuses them together")
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
        return Err(format!("{leaderless} of {} partitions have no leader; start the missing brokers", partitions.len()));
    }
    let replicas = partitions.iter().map(|partition| partition.replicas().len()).min().unwrap_or_default();
    Ok(format!("partitions {}, replicas {replicas}", partitions.len()))
}

/// Not everyone may ask for a topic's settings, and nothing hangs on it: `None` then.
fn min_in_sync_replicas(admin: &AdminClient<DefaultClientContext>, topic: &str) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let answers = runtime.block_on(admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &options)).ok()?;
    let settings = answers.into_iter().next()?.ok()?;
    settings.get("min.insync.replicas")?.value.clone()
}
