//! `cardhook topics create`: the topics that are missing, and what the others have.

use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    metadata::{Metadata, MetadataTopic},
    types::RDKafkaErrorCode,
};

use super::{
    ConfigArgs, Misconfigured,
    kafka_client::{ANSWER_WITHIN, client_config},
};
use crate::{
    cluster::{self, Size, judge, no_answer, settings, unreached},
    config::{Config, Kafka},
};

/// What an existing topic is asked for.
const SHOWN: [&str; 2] = ["min.insync.replicas", "retention.ms"];

/// Look after the Kafka topics
#[derive(Debug, Args)]
pub(super) struct TopicsArgs {
    #[command(subcommand)]
    command: TopicsCommand,
}

#[derive(Debug, Subcommand)]
enum TopicsCommand {
    /// Create the topics that are missing, and say what the others have
    Create(CreateArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cardhook topics create --config cardhook.toml
  cardhook topics create --config cardhook.toml --partitions 3 --replication 1    # one broker")]
struct CreateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Partitions of a created topic
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    /// Replicas of a created topic; min.insync.replicas is one less, and at least 1
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=32_767))]
    replication: i32,
}

pub(super) fn run(args: &TopicsArgs) -> anyhow::Result<ExitCode> {
    let TopicsCommand::Create(args) = &args.command;
    let config = args.config.load()?;
    if config.kafka.brokers.is_empty() {
        return Err(Misconfigured::without_brokers("there are no topics to create").into());
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(create(&config, args))
}

async fn create(config: &Config, args: &CreateArgs) -> anyhow::Result<ExitCode> {
    let kafka = &config.kafka;
    let client = client_config(kafka);
    let admin: AdminClient<DefaultClientContext> = client.create()?;
    let metadata = admin.inner().fetch_metadata(None, ANSWER_WITHIN).with_context(|| no_answer(&client))?;
    let unreached = unreached(&metadata);
    if unreached.len() == metadata.brokers().len()
        && let Some((found, cure)) = unreached.first()
    {
        bail!("{found}; {cure}");
    }
    let topics = [&kafka.topic, &kafka.dlq_topic, &kafka.other_topic].map(String::as_str);
    let (existing, missing): (Vec<&str>, Vec<&str>) =
        topics.into_iter().partition(|name| find(&metadata, name).is_some());
    describe(&admin, config, &metadata, &existing).await?;
    if missing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let brokers = metadata.brokers().len();
    if usize::try_from(args.replication).is_ok_and(|replicas| brokers < replicas) {
        bail!(
            "{} replicas need as many brokers, and the cluster has {brokers}: add brokers, or pass --replication {brokers} \
             (missing: {})",
            args.replication,
            missing.join(", ")
        );
    }
    create_missing(&admin, kafka, args, &missing).await
}

async fn create_missing(
    admin: &AdminClient<DefaultClientContext>,
    kafka: &Kafka,
    args: &CreateArgs,
    missing: &[&str],
) -> anyhow::Result<ExitCode> {
    let min_insync = min_insync_replicas(args.replication).to_string();
    let new: Vec<NewTopic<'_>> = missing
        .iter()
        .map(|&name| {
            let topic = NewTopic::new(name, args.partitions, TopicReplication::Fixed(args.replication))
                .set("min.insync.replicas", &min_insync);
            // Quarantined pushes wait for people: they must not expire meanwhile.
            if name == kafka.dlq_topic { topic.set("retention.ms", "-1") } else { topic }
        })
        .collect();
    let options = AdminOptions::new().request_timeout(Some(ANSWER_WITHIN)).operation_timeout(Some(ANSWER_WITHIN));
    let results = admin.create_topics(&new, &options).await.context("the brokers did not create the topics")?;
    let mut code = ExitCode::SUCCESS;
    for result in results {
        match result {
            Ok(name) => {
                let retention = if name == kafka.dlq_topic { ", retention.ms=-1" } else { "" };
                writeln!(
                    io::stdout().lock(),
                    "{name}: created, {}, min.insync.replicas={min_insync}{retention}",
                    size(args.partitions, args.replication),
                )?;
            }
            Err((name, reason)) => {
                let cure = match reason {
                    RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed => {
                        "; allow Create on it, or let somebody create it who may"
                    }
                    _ => "",
                };
                super::note(format_args!("error: {name}: not created: {reason}{cure}"));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// Prints partitions, replicas and configuration of topics that are there, and what is wrong with them.
async fn describe(
    admin: &AdminClient<DefaultClientContext>,
    config: &Config,
    metadata: &Metadata,
    existing: &[&str],
) -> anyhow::Result<()> {
    // Without the right to see the settings, the sizes are still known.
    let settings = settings(admin, existing).await;
    for &name in existing {
        let Some(topic) = find(metadata, name) else { continue };
        let settings = settings.get(name);
        let faults = match cluster::size(topic) {
            Ok(found) => {
                let Size { partitions, replicas, .. } = found;
                let shown = SHOWN.iter().filter_map(|name| Some([", ", *name, "=", settings?.get(*name)?.as_str()]));
                let shown: String = shown.flatten().collect();
                writeln!(io::stdout().lock(), "{name}: exists, {}{shown}", size(partitions, replicas))?;
                judge(name == config.kafka.dlq_topic, config.server.max_body_bytes, found, settings)
            }
            Err(fault) => vec![fault],
        };
        for fault in faults {
            super::note(format_args!("{name}: {}; {}", fault.found(), fault.cure()));
        }
    }
    Ok(())
}

fn size(partitions: impl Display, replicas: impl Display) -> String {
    format!("partitions={partitions}, replicas={replicas}")
}

fn find<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a MetadataTopic> {
    metadata.topics().iter().find(|topic| topic.name() == name)
}

/// One replica may be away without holding up `acks=all`.
fn min_insync_replicas(replicas: i32) -> i32 {
    (replicas - 1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_replica_may_be_away_but_one_must_be_there() {
        assert_eq!([1, 2, 3, 5].map(min_insync_replicas), [1, 1, 2, 4]);
    }
}
