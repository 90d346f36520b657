//! What cardhook takes at a given rate: CPU, memory, bytes written, fsyncs, time of an answer; and what the broker takes.
//!
//! The broker's JVM runs as users run it.

use std::time::{Duration, Instant};

use crate::{
    paced, process,
    support::{
        cardhook::{Setup, Topics},
        faults::Faults,
        kafka::Kafka,
    },
    topic,
};

/// At a rate that lets the JVM compile what a produce request needs.
const WARM_UP: (usize, Duration) = (4000, Duration::from_secs(30));

/// What a rate took.
struct Taken {
    rate: f64,
    p50: Duration,
    p99: Duration,
    /// µs per event.
    cpu: f64,
    broker_cpu: f64,
    /// Bytes per event.
    written: f64,
    syncs_per_second: f64,
    /// MiB
    peak_memory: f64,
}

/// Measures each rate with each way of answering, and prints a table.
pub fn measure(rates: &[usize], duration: Duration, one_per_push: bool) -> anyhow::Result<()> {
    let kafka = Kafka::start_as_users_do();
    println!("warming up the broker");
    leg(&kafka, "kafka", WARM_UP.0, WARM_UP.1, one_per_push)?;
    println!(
        "| events/s | answer_after | p50 ms | p99 ms | CPU µs/event | of a core | broker µs/event | bytes/event | fsyncs/s | peak MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for rate in rates {
        for answer_after in crate::ANSWER_AFTER {
            let taken = leg(&kafka, answer_after, *rate, duration, one_per_push)?;
            let millis = |time: Duration| time.as_secs_f64() * 1e3;
            println!(
                "| {:.0} | {answer_after} | {:.2} | {:.2} | {:.1} | {:.1} % | {:.1} | {:.0} | {:.1} | {:.0} |",
                taken.rate,
                millis(taken.p50),
                millis(taken.p99),
                taken.cpu,
                taken.cpu * taken.rate / 1e4,
                taken.broker_cpu,
                taken.written,
                taken.syncs_per_second,
                taken.peak_memory,
            );
        }
    }
    Ok(())
}

fn leg(
    kafka: &Kafka,
    answer_after: &str,
    rate: usize,
    duration: Duration,
    one_per_push: bool,
) -> anyhow::Result<Taken> {
    let pushes = paced::pushes(rate * usize::try_from(duration.as_secs())?);
    rustix::fs::sync();
    let topics = Topics::create(kafka);
    let setup = Setup::new(kafka, &topics).set("delivery", &format!("answer_after = {answer_after:?}"));
    let faults = Faults::new(setup.folder());
    let service = setup.serve_under(&faults);
    service.wait_ready();
    service.wait_kafka(true);
    let before =
        (process::cpu(service.id())?, process::cpu(kafka.id())?, process::written(service.id())?, faults.syncs());
    let began = Instant::now();
    let mut took = paced::send(service.public, &pushes, rate, one_per_push)?;
    let lasted = began.elapsed().as_secs_f64();
    service.wait_drained();
    let events = topic::count(kafka, &topics.events)?;
    anyhow::ensure!(events.events == pushes.len() as u64, "{} of {} on the topic", events.events, pushes.len());
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 events")]
    let count = pushes.len() as f64;
    let micros = |now: Duration, before: Duration| now.saturating_sub(before).as_secs_f64() * 1e6 / count;
    took.sort_unstable();
    let quantile = |of_hundred: usize| took.get(took.len() * of_hundred / 100).copied().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 bytes and fsyncs")]
    let taken = Taken {
        rate: count / lasted,
        p50: quantile(50),
        p99: quantile(99),
        cpu: micros(process::cpu(service.id())?, before.0),
        broker_cpu: micros(process::cpu(kafka.id())?, before.1),
        written: (process::written(service.id())? - before.2) as f64 / count,
        syncs_per_second: (faults.syncs() - before.3) as f64 / lasted,
        peak_memory: process::peak_memory(service.id())?,
    };
    Ok(taken)
}
