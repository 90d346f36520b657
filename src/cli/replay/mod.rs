//! `cardhook replay`: the DLQ topic's records once more, with today's keys and code.
//!
//! A round reads some records, decides about each, sends, waits for the acks, and only then commits: whenever it is killed,
//! the next run finds every record that was not acknowledged. Does not depend on how a push is read.

mod dlq;
mod outbox;
mod report;
mod reprocess;
mod retention;
mod round;
mod unverified;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use futures_util::FutureExt as _;

use self::{
    dlq::Dlq,
    outbox::Outbox,
    report::Report,
    reprocess::{Judge, Reason},
    retention::Retention,
    round::Item,
};
use super::{Misconfigured, load_config, note, signal};
use crate::{clock, cluster, config::Config};

/// A wait that is longer is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// Read the quarantined pushes again and publish those that can be read now
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cardhook replay --config cardhook.toml
  cardhook replay --config cardhook.toml --reason decrypt --timestamp now
  cardhook replay --config cardhook.toml --unverified

Reads kafka.dlq_topic from where the last run came to, up to what is its end now. What can be read is published under
the event id that it would have had at once; what still cannot goes to the end of the DLQ topic again, unchanged, for a
later run. What a push had to be verified for was verified when it was received, and is not verified again: whoever may
write to the DLQ topic is trusted.

Ctrl-C stops it, and the next run goes on from there. The place is kept by the brokers as the offsets of the group
cardhook-replay, moved on after the acks: a killed run sends a few records once more. They forget it after
offsets.retention.minutes (7 days) without a run, and the next one begins at the beginning, which it says. Run one at a
time.

With --unverified it reads the pushes that were refused with 403 and kept in the spool's folder (unverified.window): after
a wrong token was corrected, those that verify now are published, in the order in which they came; the others stay there
until the window ends. What the service has accepted since, because WeChat sent it again, is not published twice.

A running service does not matter: replay does not know which ids it has published (its spool is locked), so
consumers tell events apart by ce_id, as ever. Replayed events come late: order them by event_time.")]
pub(super) struct ReplayArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Replay only what was quarantined for this reason; may be repeated [default: all but `nonce_reused`]
    #[arg(long = "reason", value_name = "REASON", conflicts_with = "unverified")]
    reasons: Vec<Reason>,
    /// Replay the pushes that failed verification and were kept, with today's tokens
    #[arg(long)]
    unverified: bool,
    /// The timestamp of published records [default: event, and events older than the topic's retention.ms, which the
    /// brokers would sweep away at once, go back to the DLQ topic]
    #[arg(long, value_name = "WHICH")]
    timestamp: Option<Timestamp>,
}

/// What `--timestamp` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Timestamp {
    /// The event's, however old
    Event,
    /// The time of the replay
    Now,
}

/// Goes through the DLQ topic once, or to the first signal.
pub(super) fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let config = load_config(&args.config)?;
    if config.kafka.brokers.is_empty() {
        let problem = if args.unverified {
            "there is no topic to publish to (unverified pushes stay until unverified.window ends)"
        } else {
            "there is no DLQ topic to read"
        };
        return Err(Misconfigured::without_brokers(problem).into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if args.unverified {
        let mut tally = unverified::Tally::default();
        let replayed = runtime.block_on(unverified::replay(&config, args, &mut tally));
        runtime.shutdown_background();
        tally.print()?;
        replayed?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut report = Report::default();
    let replayed = runtime.block_on(replay(&config, args, &mut report));
    // A commit that the brokers never answer is not waited for.
    runtime.shutdown_background();
    report.print()?;
    replayed?;
    Ok(ExitCode::SUCCESS)
}

async fn replay(config: &Config, args: &ReplayArgs, report: &mut Report) -> anyhow::Result<()> {
    let stop = signal::first_stops_second_ends()?.shared();
    let mut dlq = Dlq::open(&config.kafka)?;
    tell_faults(config).await?;
    let mut outbox = Outbox::open(&config.kafka).await?;
    let judge = Judge::new(&config.accounts, &args.reasons);
    let mut retention = Retention::ask(config).await?;

    let out_of_time = || async {
        stop.clone().await;
        tokio::time::sleep(config.delivery.shutdown_timeout).await;
    };
    while !dlq.at_end() {
        let messages = tokio::select! {
            biased;
            () = stop.clone() => {
                note("stopped before the end; the next run goes on from here");
                return Ok(());
            }
            messages = dlq.some() => messages?,
        };
        let decide = |message| {
            let verdict = judge.judge(&message);
            Item::new(message, retention.consider(verdict, args.timestamp, clock::unix_millis()))
        };
        let mut items: Vec<Item> = messages.into_iter().map(decide).collect();
        let sent = tokio::select! {
            sent = patiently(outbox.send(&mut items)) => sent,
            () = out_of_time() => Err(anyhow!("stopped, and the brokers did not acknowledge in time")),
        };
        report.count(&items);
        let committed = tokio::select! {
            committed = patiently(dlq.commit(&items)) => committed,
            () = out_of_time() => Err(anyhow!("stopped, and the brokers did not take the place in time")),
        };
        committed.context("what was sent is sent again by the next run, under the same ids")?;
        sent.context("the next run goes on from there")?;
    }
    Ok(())
}

/// Waits as long as it takes, and says so.
async fn patiently<T>(work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
        return done;
    }
    note("the brokers have not answered for a while; still waiting, Ctrl-C stops and loses nothing");
    work.await
}

/// Says what stops records, before any is sent.
async fn tell_faults(config: &Config) -> anyhow::Result<()> {
    let config = config.clone();
    let faults = tokio::task::spawn_blocking(move || cluster::topic_faults(&config)).await?;
    faults?.into_iter().for_each(note);
    Ok(())
}
