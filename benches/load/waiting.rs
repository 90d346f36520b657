//! What many waiting records take: the time until a start is ready, memory, and how fast they drain while pushes go on.

use std::{
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use cardhook::{
    delivery::{AnswerAfter, Delivery, Lane, Settings, Submission},
    event::{self, Event, Receipt},
    metrics::Metrics,
    protocol::{Callback, Credentials, Query, Token},
    telemetry::traces::Traces,
};
use futures_util::future::join_all;

use crate::{
    leg, paced, process,
    support::{
        cardhook::Topics,
        kafka::Kafka,
        unix_seconds,
        wechat::{Account, Mode, claim},
    },
    topic,
};

/// Handed in at once by the filling delivery.
const AT_ONCE: usize = 4000;
/// Events of one second: a busy account's.
const PER_SECOND: usize = 10_000;
/// Of the pushes that go on: so long until it is asked whether the records are drained.
const SLICE: Duration = Duration::from_secs(2);
/// Between two looks at the metrics and the memory.
const LOOK: Duration = Duration::from_millis(100);
/// What the openids of the waiting records begin with.
const USER: &str = "oWaiting";
/// `spool.max_bytes`: more than any of these spools takes.
const MAX_BYTES: u64 = 1 << 40;

/// Fills a spool with so many records, starts the service on it, drains it beside `rate` pushes a second, and prints what that
/// took.
pub fn measure(records: usize, rate: usize, options: &[String]) -> anyhow::Result<()> {
    let mut kafka = Kafka::start_as_users_do();
    let topics = Topics::create(&kafka);
    let setup = leg::setup(&kafka, &topics, options).set("spool", &format!("max_bytes = {MAX_BYTES}"));
    kafka.stop();
    println!("storing {records} records");
    let began = Instant::now();
    fill(&setup.spool(), records)?;
    println!("stored in {:.1} s; {:.0} MiB", began.elapsed().as_secs_f64(), mebibytes(&setup.spool())?);

    let began = Instant::now();
    let service = setup.serve();
    let ready = began.elapsed();
    let mut sent = 1;
    paced::send(service.public, &paced::pushes_from(0, 1), rate, false)?;
    let accepted = began.elapsed();
    let beside_kafka_away = slice(service.public, &mut sent, rate)?;
    let away = process::memory(service.id())?;
    println!(
        "ready {:.2} s after the start, the first push answered after {:.2} s; with Kafka away an answer took {:.1} ms (p50), \
         {:.1} ms (p99); memory {away:.0} MiB, peak {:.0} MiB",
        ready.as_secs_f64(),
        accepted.as_secs_f64(),
        millis(&beside_kafka_away, 50),
        millis(&beside_kafka_away, 99),
        process::peak_memory(service.id())?,
    );

    kafka.run();
    service.wait_kafka(true);
    process::forget_peak_memory(service.id())?;
    let (began, cpu) = (Instant::now(), process::cpu(service.id())?);
    let (public, drained) = (service.public, AtomicBool::new(false));
    let (mut took, lasted, draining) = std::thread::scope(|scope| -> anyhow::Result<_> {
        let pushing = scope.spawn(|| -> anyhow::Result<_> {
            let mut took = Vec::new();
            while !drained.load(Ordering::Relaxed) {
                took.extend(slice(public, &mut sent, rate)?);
            }
            Ok(took)
        });
        let mut draining = Vec::new();
        while service.metric("cardhook_spool_records", "") > rate as u64 && !pushing.is_finished() {
            draining.push(process::memory(service.id())?);
            std::thread::sleep(LOOK);
        }
        let lasted = began.elapsed();
        drained.store(true, Ordering::Relaxed);
        let took = pushing.join().unwrap_or_else(|_| anyhow::bail!("the sender panicked"))?;
        Ok((took, lasted, draining))
    })?;
    service.wait_drained();
    took.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 records")]
    let (all, pushed) = ((records + sent) as f64, took.len() as f64);
    println!(
        "drained in {:.1} s, {:.0} of the waiting records a second, beside {rate} pushes a second; of {pushed} answers 50 % took \
         {:.1} ms, 90 % {:.1} ms, 99 % {:.1} ms; CPU {:.1} µs a record; memory {:.0} MiB on average, peak {:.0} MiB",
        lasted.as_secs_f64(),
        (all - pushed) / lasted.as_secs_f64(),
        millis(&took, 50),
        millis(&took, 90),
        millis(&took, 99),
        process::cpu(service.id())?.saturating_sub(cpu).as_secs_f64() * 1e6 / all,
        draining.iter().sum::<f64>() / f64::from(u32::try_from(draining.len())?.max(1)),
        process::peak_memory(service.id())?,
    );
    let counted = topic::count(&kafka, &topics.events)?;
    anyhow::ensure!(counted.events == (records + sent) as u64, "{} of {} on the topic", counted.events, records + sent);
    anyhow::ensure!(counted.records == counted.events, "{} records for {} events", counted.records, counted.events);
    let in_order = topic::rising(&kafka, &topics.events, USER)?;
    anyhow::ensure!(in_order == records as u64, "{in_order} of {records} in order");
    println!("each of {} is on the topic once, the waiting ones in their order", counted.events);
    Ok(())
}

/// Pushes of one slice, each a new event; how long each answer took, sorted.
fn slice(public: SocketAddr, sent: &mut usize, rate: usize) -> anyhow::Result<Vec<Duration>> {
    let pushes = paced::pushes_from(*sent, rate * usize::try_from(SLICE.as_secs())?);
    *sent += pushes.len();
    let mut took = paced::send(public, &pushes, rate, false)?;
    took.sort_unstable();
    Ok(took)
}

fn millis(sorted: &[Duration], of_hundred: usize) -> f64 {
    sorted.get(sorted.len() * of_hundred / 100).copied().unwrap_or_default().as_secs_f64() * 1e3
}

/// Stores records as a service without brokers does: through the delivery, each with its remembered id.
fn fill(spool: &Path, records: usize) -> anyhow::Result<()> {
    let accounts = Mode::ALL.map(|mode| (Account::of(mode).name.to_owned(), mode.name())).to_vec();
    let settings = Settings {
        path: spool.to_owned(),
        max_bytes: MAX_BYTES,
        answer_after: AnswerAfter::Disk,
        ack_timeout: Duration::from_secs(2),
        dedup_window: Duration::from_hours(48),
        dedup_max_bytes: 6 << 30,
        accounts,
        producer: None,
        topics: ["events".into(), "dlq".into(), "other".into()],
        encodings: Default::default(),
        traces: Traces::default(),
        probe: None,
    };
    let (delivery, running) = Delivery::start(settings, Metrics::new())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let account = Mode::ALL.iter().position(|mode| *mode == Mode::Secure).context("the account")?;
    let credentials = Credentials {
        mode: Mode::Plaintext,
        token: Token::new(Account::of(Mode::Plaintext).token),
        previous_token: None,
        aes_key: None,
        previous_aes_key: None,
        app_id: None,
    };
    let oldest = unix_seconds() - i64::try_from(records / PER_SECOND)?;
    for first in (0..records).step_by(AT_ONCE) {
        let deadline = Instant::now() + Duration::from_mins(1);
        let submissions = (first..records.min(first + AT_ONCE)).map(|number| {
            let second = oldest + i64::try_from(number / PER_SECOND)?;
            Ok(delivery.submit(submission(number, second, account, &credentials)?, deadline))
        });
        let waiting = submissions.collect::<anyhow::Result<Vec<_>>>()?;
        for answer in runtime.block_on(join_all(waiting)) {
            answer?;
        }
    }
    running.stop(Duration::from_mins(1));
    Ok(())
}

/// A claim of a user of its own, as the handler makes it of a push.
fn submission(number: usize, second: i64, account: usize, credentials: &Credentials) -> anyhow::Result<Submission> {
    let sender = Account::of(Mode::Plaintext);
    let push = sender.push(&claim(&format!("{USER}{number:020}"), &format!("{number:012}"), second));
    let (_, query) = push.target.split_once('?').context("a query")?;
    let verified = Callback::new(Query::parse(query)?, &push.body).verify(credentials)?;
    let message = verified.open(credentials)?;
    let received_at_ms = second * 1000 + 500;
    let receipt = Receipt { account: "secure", account_id: None, received_at_ms };
    let Event::Card(card) = event::read(&message, receipt)? else { anyhow::bail!("no card event") };
    let (event_id, event_time, record) = (card.event_id(), card.event_time(), card.record());
    let lane = Lane::Events;
    Ok(Submission { lane, account, event_id, event_time, received_at_ms, record, binding: None })
}

fn mebibytes(folder: &Path) -> anyhow::Result<f64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(folder)? {
        bytes += file?.metadata()?.len();
    }
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 bytes")]
    Ok(bytes as f64 / f64::from(1 << 20))
}
