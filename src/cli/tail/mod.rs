//! `cardhook tail`: reads the topic and prints its typed events.

mod funnel;
mod line;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use rdkafka::ClientConfig;

use self::{funnel::Funnel, line::Event};
use super::{
    Usage,
    json_line::json_line,
    kafka_client::{Start, TopicReader, client_config},
    load_config, note, signal,
};

/// Read the topic and print its events
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(after_help = "Examples:
  cardhook tail --config cardhook.toml
  cardhook tail --brokers 127.0.0.1:9092 --topic wechat.card.events --from-beginning --until-end
  cardhook tail --config cardhook.toml --json | jq .card_id
  cardhook tail --config cardhook.toml --funnel --from-beginning --until-end")]
pub(super) struct TailArgs {
    /// The configuration file: its brokers, options and topic
    #[arg(long, value_name = "FILE", required_unless_present = "brokers")]
    config: Option<PathBuf>,
    /// Brokers as host:port,…, in place of a configuration
    #[arg(long, value_name = "LIST", requires = "topic", conflicts_with = "config")]
    brokers: Option<String>,
    /// The topic, in place of the configuration's kafka.topic
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// Print each value as it is, one JSON object a line, unmasked
    #[arg(long)]
    json: bool,
    /// Print at the end how many cards were received and consumed, by `outer_str`
    #[arg(long)]
    funnel: bool,
    /// Begin with the oldest event that is still there
    #[arg(long)]
    from_beginning: bool,
    /// Stop at what was the topic's end at the start
    #[arg(long)]
    until_end: bool,
    /// Stop after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// Follows the topic to the end that was asked for, or until Ctrl-C.
pub(super) fn run(args: &TailArgs) -> anyhow::Result<ExitCode> {
    let (client, topic) = source(args)?;
    let start = if args.from_beginning { Start::Beginning } else { Start::Now };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let reader = TopicReader::open(client, &topic, start)?;
        follow(reader, args).await
    })?;
    Ok(ExitCode::SUCCESS)
}

fn source(args: &TailArgs) -> anyhow::Result<(ClientConfig, String)> {
    let Some(file) = &args.config else {
        let (Some(brokers), Some(topic)) = (&args.brokers, &args.topic) else {
            return Err(Usage("give --config FILE, or --brokers LIST with --topic NAME".to_owned()).into());
        };
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", brokers);
        return Ok((client, topic.clone()));
    };
    let kafka = load_config(file)?.kafka;
    if kafka.brokers.is_empty() {
        return Err(Usage("kafka.brokers is empty: `cardhook spool export` shows the events".to_owned()).into());
    }
    let topic = args.topic.clone().unwrap_or_else(|| kafka.topic.clone());
    Ok((client_config(&kafka), topic))
}

async fn follow(mut reader: TopicReader, args: &TailArgs) -> anyhow::Result<()> {
    let mut funnel = args.funnel.then(Funnel::default);
    let mut left = args.count.unwrap_or(u64::MAX);
    let stop = signal::first_stops_second_ends()?;
    tokio::pin!(stop);
    while left > 0 && !(args.until_end && reader.at_end()) {
        let value = tokio::select! {
            () = &mut stop => break,
            value = reader.next() => value?,
        };
        show(&value, args.json, funnel.as_mut())?;
        left -= 1;
    }
    match funnel {
        Some(funnel) => funnel.print(args.json),
        None => Ok(()),
    }
}

fn show(value: &[u8], json: bool, funnel: Option<&mut Funnel>) -> anyhow::Result<()> {
    let event = serde_json::from_slice::<Event>(value);
    let mut out = io::stdout().lock();
    match &event {
        _ if json => {
            out.write_all(&json_line(value))?;
            writeln!(out)?;
        }
        Ok(event) => writeln!(out, "{event}")?,
        Err(_) => note(format_args!("skipped: a record of {} bytes that is no event of cardhook's", value.len())),
    }
    if let (Some(funnel), Ok(event)) = (funnel, &event) {
        funnel.count(event);
    }
    Ok(())
}

/// One event as a line for people; `None` for what is no event.
pub(super) fn line(value: &[u8]) -> Option<String> {
    serde_json::from_slice::<Event>(value).ok().map(|event| event.to_string())
}
