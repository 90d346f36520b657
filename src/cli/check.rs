//! `cardhook check`: is the configuration right, and with `--connect` do the brokers have the topics?
//!
//! It refuses to change anything.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use rdkafka::{
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    client::DefaultClientContext,
    metadata::MetadataTopic,
    types::RDKafkaErrorCode,
};

use super::{
    kafka_client::{ANSWER_WITHIN, client_config},
    load_config, note,
};
use crate::config::{Config, OtherPolicy};

/// Validate the configuration and print the effective one, without secrets
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// The configuration (TOML); the environment's `CARDHOOK__…` override it
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Also ask the brokers for the topics
    #[arg(long)]
    connect: bool,
}

/// What the brokers say stands as TOML comments below the configuration.
pub(super) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let config = load_config(&args.config)?;
    io::stdout().lock().write_all(config.effective().as_bytes())?;
    if !args.connect {
        return Ok(ExitCode::SUCCESS);
    }
    if config.kafka.brokers.is_empty() {
        note("kafka.brokers is empty: there is nobody to ask");
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
        let metadata = admin.inner().fetch_metadata(Some(topic), ANSWER_WITHIN).with_context(|| {
            format!("the brokers {} do not answer: are address, TLS and SASL right?", config.kafka.brokers.join(", "))
        })?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        match found.map(state) {
            Some(Ok(state)) => {
                let in_sync = min_in_sync_replicas(&admin, topic).unwrap_or_else(|| "not told".into());
                writeln!(io::stdout().lock(), "# {topic}: {state}, min.insync.replicas {in_sync}")?;
            }
            Some(Err(problem)) => {
                all_well = false;
                note(format_args!("{topic}: {problem}"));
            }
            None => {
                all_well = false;
                note(format_args!("{topic}: the brokers do not speak of it"));
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
    let mut client = client_config(&config.kafka);
    // Asking for a topic would otherwise make it on brokers that allow that.
    client.set("allow.auto.create.topics", "false").create().context("kafka.options: librdkafka refuses them together")
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

/// Not everyone may ask for a topic's settings, and nothing hangs on it: `None` then.
fn min_in_sync_replicas(admin: &AdminClient<DefaultClientContext>, topic: &str) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
    let options = AdminOptions::new().request_timeout(Some(ANSWER_WITHIN));
    let answers = runtime.block_on(admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &options)).ok()?;
    let settings = answers.into_iter().next()?.ok()?;
    settings.get("min.insync.replicas")?.value.clone()
}
