//! `cardhook tail`: reads the topic and prints its typed events, or the funnel that they make.
//!
//! Does not depend on a consumer group: reading leaves no trace on the brokers.

mod filter;
mod funnel;
mod line;
mod place;
mod progress;

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use indicatif::ProgressBar;
use rdkafka::ClientConfig;
use tokio::time::{MissedTickBehavior, interval};

use self::{
    filter::Filter,
    funnel::Funnel,
    line::{Event, Format},
};
use super::{
    Misconfigured, Usage,
    kafka_client::{Read, TopicReader, client_config},
    load_config, note, signal,
};
use crate::event::record_json;

/// How often the funnel is drawn again on a terminal.
const REDRAW: Duration = Duration::from_secs(1);
/// How many rows a screen has room for; all are printed at the end.
const ROWS_DRAWN: usize = 20;

/// Read the topic and print its events
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(after_help = "openids, codes and `extra` are masked unless --unmasked (or --json) is given.

The funnel counts each card once, by the outer_str it was received with; a gifted card stays one card. On a terminal it is
drawn again each second. It remembers the last 1,000,000 event ids and 1,000,000 cards and says when that was too few.

Examples:
  cardhook tail --config cardhook.toml
  cardhook tail --config cardhook.toml --since 2h --type 'card.*' --outer-str poster-7
  cardhook tail --brokers 127.0.0.1:9092 --topic wechat.card.events --from-beginning --until-end
  cardhook tail --config cardhook.toml --json | jq .card_id
  cardhook tail --config cardhook.toml --from-beginning --until-end --format csv > events.csv
  cardhook tail --config cardhook.toml --funnel --from-beginning")]
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
    /// How to print events; --funnel prints a table, or JSON
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "pretty")]
    format: Format,
    /// The same as --format json --unmasked
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Print openids, codes and `extra` as they are
    #[arg(long)]
    unmasked: bool,
    /// In place of events: how many cards were received, activated, viewed, consumed and deleted, by `outer_str`
    #[arg(long)]
    funnel: bool,
    /// Begin with the oldest event that is still there
    #[arg(long, conflicts_with_all = ["since", "offset"])]
    from_beginning: bool,
    /// Begin with the events of this time: how long ago (2h) or when (2026-08-30T10:24:02Z)
    #[arg(long, value_name = "AGO|TIME", value_parser = place::since, conflicts_with = "offset")]
    since: Option<i64>,
    /// Begin at an offset: of every partition (1200), or of the partitions that are named (3:1200, repeatable)
    #[arg(long, value_name = "[PARTITION:]N", value_parser = place::offset)]
    offset: Vec<(Option<i32>, i64)>,
    /// Stop at what was the topic's end at the start
    #[arg(long)]
    until_end: bool,
    /// Stop after so many events that the filters let through
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    filter: Filter,
}

impl TailArgs {
    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }

    fn unmasked(&self) -> bool {
        self.json || self.unmasked
    }
}

/// Follows the topic to the end that was asked for, or until Ctrl-C.
pub(super) fn run(args: &TailArgs) -> anyhow::Result<ExitCode> {
    if args.funnel && args.format() == Format::Csv {
        return Err(Usage("--funnel prints a table, or --format json".to_owned()).into());
    }
    for unknown in args.filter.unknown_types() {
        note(format_args!(
            "--type {unknown}: this release knows no such event type (`cardhook schema --format catalogue`)"
        ));
    }
    let (client, topic) = source(args)?;
    let start = place::start(args.from_beginning, args.since, &args.offset);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let reader = TopicReader::open(client, &topic, &start)?;
        if args.funnel { count(reader, args).await } else { follow(reader, args).await }
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
        return Err(Misconfigured::without_brokers("`cardhook spool export` shows the events").into());
    }
    let topic = args.topic.clone().unwrap_or_else(|| kafka.topic.clone());
    Ok((client_config(&kafka), topic))
}

/// Reads on; each event that the filters let through, until the end that was asked for.
struct Events<'a> {
    reader: TopicReader,
    args: &'a TailArgs,
    bar: ProgressBar,
    left: u64,
}

impl<'a> Events<'a> {
    fn of(reader: TopicReader, args: &'a TailArgs) -> Self {
        let bar = progress::bar(reader.backlog(), !args.funnel);
        Self { reader, args, bar, left: args.count.unwrap_or(u64::MAX) }
    }

    /// The next event; `None` at the end. Cancel-safe.
    async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        while self.left > 0 {
            if self.reader.at_end() {
                self.bar.finish_and_clear();
                if self.args.until_end {
                    break;
                }
            }
            let Some(record) = self.reader.next().await? else { continue };
            self.bar.inc(1);
            match event(&record) {
                None => note(format_args!(
                    "skipped: a record of {} bytes that is no event of cardhook's",
                    record.value.len()
                )),
                Some(event) if self.args.filter.passes(&event) => {
                    self.left -= 1;
                    return Ok(Some(event));
                }
                Some(_) => (),
            }
        }
        self.bar.finish_and_clear();
        Ok(None)
    }
}

async fn follow(reader: TopicReader, args: &TailArgs) -> anyhow::Result<()> {
    let mut events = Events::of(reader, args);
    let stop = signal::first_stops_second_ends()?;
    tokio::pin!(stop);
    if args.format() == Format::Csv {
        writeln!(io::stdout().lock(), "{}", line::csv_header())?;
    }
    loop {
        let event = tokio::select! {
            () = &mut stop => return Ok(()),
            event = events.next() => event?,
        };
        let Some(event) = event else { return Ok(()) };
        let event = if args.unmasked() { event } else { event.masked() };
        let mut out = io::stdout().lock();
        match args.format() {
            // Colours only on a terminal, and not where NO_COLOR is set.
            Format::Pretty => writeln!(anstream::AutoStream::auto(&mut out), "{event:#}")?,
            Format::Json => writeln!(out, "{}", event.json())?,
            Format::Csv => writeln!(out, "{}", event.csv())?,
        }
    }
}

/// Prints the funnel at the end, and on a terminal also each second once the backlog is read.
async fn count(reader: TopicReader, args: &TailArgs) -> anyhow::Result<()> {
    let mut funnel = Funnel::default();
    let mut events = Events::of(reader, args);
    let json = args.format() == Format::Json;
    let live = !json && io::stdout().is_terminal();
    let mut redraw = interval(REDRAW);
    redraw.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let stop = signal::first_stops_second_ends()?;
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            event = events.next() => match event? {
                Some(event) => funnel.count(&event),
                None => break,
            },
            _ = redraw.tick(), if live && events.reader.at_end() => draw(&funnel)?,
        }
    }
    let whole = if json { funnel.json() } else { funnel.table() };
    write!(io::stdout().lock(), "{whole}")?;
    funnel.remarks().iter().for_each(note);
    Ok(())
}

/// Draws the table's first rows on a cleared screen, as watch(1) does: lines may wrap, and nothing of the last one stays.
fn draw(funnel: &Funnel) -> anyhow::Result<()> {
    let table = funnel.table();
    let mut out = io::stdout().lock();
    // The cursor to the top left, and everything behind it cleared (ECMA-48).
    write!(out, "\x1b[H\x1b[J")?;
    for row in table.lines().take(ROWS_DRAWN + 1) {
        writeln!(out, "{row}")?;
    }
    Ok(out.flush()?)
}

/// The event of a record, whichever way it is encoded.
fn event(record: &Read) -> Option<Event> {
    let headers = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    Event::new(record_json(&record.value, headers).ok()?)
}

/// One event as a masked line for people; `None` for what is no event.
pub(super) fn line(record: &Read) -> Option<String> {
    event(record).map(|event| event.masked().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_structured_cloud_event_is_read_as_its_data() {
        let value =
            br#"{"specversion":"1.0","id":"e1","type":"x","data":{"event_type":"card.deleted","card_id":"p1"}}"#;
        let headers = vec![("content-type".to_owned(), b"application/cloudevents+json".to_vec())];
        let read = event(&Read { value: value.to_vec(), headers: headers.clone() }).unwrap();
        assert_eq!((read.text("event_type"), read.text("card_id")), (Some("card.deleted"), Some("p1")));
        assert!(event(&Read { value: br#"{"specversion":"1.0"}"#.to_vec(), headers }).is_none());
    }
}
