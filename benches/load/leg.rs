//! One leg of the run: one server, one way of connecting, a few seconds.

use std::{path::PathBuf, time::Duration};

use crate::{
    bare::Bare,
    process,
    pushes::Pushes,
    support::{
        cardhook::{Setup, Topics},
        kafka::Kafka,
    },
    topic,
    wrk::{self, Seen},
};

/// Far more than it takes: cardhook's own limit is 8 s.
const STOP: Duration = Duration::from_secs(20);

/// What a leg measured.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub seen: Seen,
    /// Of the server's process, until everything it took is on the topic; µs per answer.
    pub cpu: f64,
    /// MiB
    pub peak_memory: f64,
    /// Distinct events on the topic; `None` for the bare handler.
    pub on_topic: Option<u64>,
}

impl Measured {
    /// Of the same leg in several rounds, at least one.
    pub fn mean(rounds: &[&Self]) -> Self {
        let count = u32::try_from(rounds.len()).unwrap_or(u32::MAX);
        let time = |of: fn(&Seen) -> Duration| rounds.iter().map(|round| of(&round.seen)).sum::<Duration>() / count;
        let number = |of: fn(&Self) -> f64| rounds.iter().map(|round| of(round)).sum::<f64>() / f64::from(count);
        Self {
            seen: Seen {
                answered: rounds.iter().map(|round| round.seen.answered).sum::<u64>() / u64::from(count),
                took: time(|seen| seen.took),
                p50: time(|seen| seen.p50),
                p99: time(|seen| seen.p99),
            },
            cpu: number(|round| round.cpu),
            peak_memory: number(|round| round.peak_memory),
            on_topic: rounds.iter().map(|round| round.on_topic).sum::<Option<u64>>().map(|sum| sum / u64::from(count)),
        }
    }
}

/// The handler that cardhook is compared with.
pub fn bare(pushes: &Pushes, duration: Duration) -> anyhow::Result<Measured> {
    let bare = Bare::start()?;
    let before = process::cpu(bare.id())?;
    let seen = wrk::drive(bare.address, pushes, duration)?;
    measured(seen, bare.id(), before, None)
}

/// A service with these properties of librdkafka, each `KEY=VALUE`.
pub fn setup(kafka: &Kafka, topics: &Topics, options: &[String]) -> Setup {
    let properties = options.iter().filter_map(|option| option.split_once('='));
    properties.fold(Setup::new(kafka, topics), |setup, (key, value)| {
        setup.set("kafka.options", &format!("{key:?} = {value:?}"))
    })
}

/// cardhook with a new spool and new topics, so that every push is new to it.
pub fn cardhook(
    kafka: &Kafka,
    answer_after: &str,
    binary: Option<&PathBuf>,
    options: &[String],
    pushes: &Pushes,
    duration: Duration,
) -> anyhow::Result<Measured> {
    // What the leg before left in the kernel's memory is written back before, not during this one.
    rustix::fs::sync();
    let topics = Topics::create(kafka);
    let mut setup = setup(kafka, &topics, options).set("delivery", &format!("answer_after = {answer_after:?}"));
    if let Some(binary) = binary {
        setup.binary.clone_from(binary);
    }
    let service = setup.serve();
    service.wait_kafka(true);
    let before = process::cpu(service.id())?;
    let seen = wrk::drive(service.public, pushes, duration)?;
    anyhow::ensure!(seen.answered < pushes.count as u64, "{} pushes were too few", pushes.count);
    service.wait_drained();
    let measured = measured(seen, service.id(), before, None)?;
    anyhow::ensure!(service.stop(STOP).success(), "cardhook did not stop as it should");
    let counted = topic::count(kafka, &topics.events)?;
    let twice = counted.records - counted.events;
    anyhow::ensure!(twice == 0, "{twice} events stand on the topic twice");
    Ok(Measured { on_topic: Some(counted.events), ..measured })
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 answers")]
fn measured(seen: Seen, id: u32, before: Duration, on_topic: Option<u64>) -> anyhow::Result<Measured> {
    let cpu = process::cpu(id)?.saturating_sub(before).as_secs_f64() * 1e6 / seen.answered as f64;
    Ok(Measured { seen, cpu, peak_memory: process::peak_memory(id)?, on_topic })
}
