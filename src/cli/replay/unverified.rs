//! `cardhook replay --unverified`: pushes that failed verification when they came, verified with today's tokens.
//!
//! Each goes the way of a push that comes now, at the age that it had when it came. What verifies is published, or goes to
//! the DLQ topic where it cannot be read; what does not stays where it is, until its window ends. What the service has
//! accepted meanwhile, because WeChat sent it again, is not published a second time. Does not depend on how pushes are kept.

mod judge;
mod tally;

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures_util::FutureExt as _;

use self::judge::{Judge, Judged};
pub(super) use self::tally::Tally;
use super::{
    ReplayArgs, outbox::Outbox, patiently, reprocess::Verdict, retention::Retention, round::Item, tell_faults,
};
use crate::{
    cli::{note, signal},
    clock,
    config::Config,
    delivery::{Memory, spool_folder},
    unverified::{Kept, Place, Reader},
};

/// Pushes of one round.
const PUSHES: usize = 500;
/// Bytes of their bodies.
const BYTES: usize = 8 << 20;
/// WeChat sends a refused push again within seconds: a younger one may be on its way to the service, which does not know
/// what is published here.
const SETTLED_MS: i64 = 20_000;

/// Goes once through what was kept when it began, or to the first signal.
pub(super) async fn replay(config: &Config, args: &ReplayArgs, tally: &mut Tally) -> anyhow::Result<()> {
    let stop = signal::first_stops_second_ends()?.shared();
    let window_ms = i64::try_from(config.unverified.window.as_millis()).unwrap_or(i64::MAX);
    let from_ms = clock::unix_millis().saturating_sub(window_ms);
    let folder = spool_folder(&config.spool.path);
    if folder.try_exists().is_ok_and(|there| !there) {
        let folder = folder.display();
        return Err(anyhow!("there is no spool in {folder}: name the spool.path of a service that has run"));
    }
    let mut kept = Reader::open(&folder, from_ms).context("cannot read the unverified pushes")?;
    let memory = Memory::open(&folder);
    if let Err(error) = &memory {
        note(format_args!("{error}: what the service accepted meanwhile is not known, and may be published twice"));
    }
    let mut judge = Judge::new(&config.accounts, memory.ok());
    tell_faults(config).await?;
    let mut outbox = Outbox::open(&config.kafka).await?;
    let mut retention = Retention::ask(config).await?;
    let mut next = kept.next_kept()?;
    while next.is_some() {
        let mut round = Vec::new();
        let mut bytes = 0;
        let mut young_ms = 0;
        while let Some(push) = next.take_if(|_| round.len() < PUSHES && bytes < BYTES) {
            young_ms = push.received_at_ms + SETTLED_MS - clock::unix_millis();
            // One from the future is none that could come again.
            if (1..=SETTLED_MS).contains(&young_ms) {
                next = Some(push);
                break;
            }
            bytes += push.body.len();
            round.push(push);
            next = kept.next_kept()?;
        }
        if round.is_empty() {
            if !wait(young_ms, stop.clone()).await {
                tell_stopped();
                return Ok(());
            }
            continue;
        }
        let mut with =
            Round { judge: &mut judge, outbox: &mut outbox, retention: &mut retention, args, tally: &mut *tally };
        let sending = send(&mut with, round);
        let out_of_time = async {
            stop.clone().await;
            tokio::time::sleep(config.delivery.shutdown_timeout).await;
        };
        let (places, sent) = tokio::select! {
            sent = patiently(sending) => sent,
            () = out_of_time => (Vec::new(), Err(anyhow!("stopped, and the brokers did not acknowledge in time"))),
        };
        kept.published(places)
            .context("cannot note what was published; the next run sends it again, under the same ids")?;
        sent.context("the next run goes on from there")?;
        if stop.clone().now_or_never().is_some() {
            tell_stopped();
            return Ok(());
        }
    }
    Ok(())
}

fn tell_stopped() {
    note("stopped before the end; the next run goes on from here");
}

/// Waits until the youngest push is settled; false when a signal comes first.
async fn wait(young_ms: i64, stop: impl Future<Output = ()>) -> bool {
    note(format_args!(
        "the next push came {} s ago and WeChat may still send it again: waiting {} s",
        (SETTLED_MS - young_ms) / 1000,
        young_ms / 1000 + 1
    ));
    tokio::select! {
        () = stop => false,
        () = tokio::time::sleep(Duration::from_millis(young_ms.unsigned_abs())) => true,
    }
}

/// What a round works with.
struct Round<'a, 'b> {
    judge: &'a mut Judge<'b>,
    outbox: &'a mut Outbox<'b>,
    retention: &'a mut Retention,
    args: &'a ReplayArgs,
    tally: &'a mut Tally,
}

/// Decides about pushes and sends what verifies. Returns those that are done with: they may be noted, also with an error.
async fn send(round: &mut Round<'_, '_>, pushes: Vec<Kept>) -> (Vec<Place>, anyhow::Result<()>) {
    let mut done = Vec::new();
    let mut sending = Vec::new();
    let mut items = Vec::new();
    for push in pushes {
        let judged = match round.judge.judge(&push) {
            Ok(judged) => judged,
            Err(error) => return (done, Err(error.into())),
        };
        match judged {
            Judged::Left(reason) => round.tally.left(reason),
            Judged::Known => {
                round.tally.known();
                done.push(push.place);
            }
            Judged::Ignored => {
                round.tally.ignored();
                done.push(push.place);
            }
            Judged::Send(message, verdict) => {
                let was_event = matches!(verdict, Verdict::Publish { .. });
                let verdict = round.retention.consider(verdict, round.args.timestamp, clock::unix_millis());
                match verdict {
                    Verdict::Return(reason) if was_event => round.tally.left(reason),
                    verdict => {
                        items.push(Item::new(message, verdict));
                        sending.push(push.place);
                    }
                }
            }
        }
    }
    let sent = round.outbox.send(&mut items).await;
    for (item, place) in items.iter().zip(sending).filter(|(item, _)| item.settled) {
        round.tally.sent(&item.verdict);
        done.push(place);
    }
    (done, sent)
}
