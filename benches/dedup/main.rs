//! The window of remembered ids at full size: how much disk it takes, how long forgetting takes, and what an append costs
//! while it runs.
//!
//! `cargo bench --bench dedup -- --hours 48` is the default window at 1,000 events a second: 172.8 million ids, 7 GB of disk
//! and a quarter of an hour; without arguments it is a hundredth of that. The ids go through the spool's own code, without
//! HTTP and Kafka. Appends with and without forgetting take turns, so that other load on the machine hits both.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use cardhook::{
    delivery::bench::Measured,
    event::{EventId, Headers, Record},
};
use clap::Parser;
use rustix::fs::{Advice, fadvise};

/// As cardhook's own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// 2023-11-14T22:13:20Z, the second of the first event.
const START: i64 = 1_700_000_000;
/// Later than any event: everything may be forgotten.
const END: i64 = START + 1_000_000_000;
/// Events of one commit while the window fills: more than the writer's, to spend less on fsync.
const FILL: u64 = 16_384;
/// Events of one measured commit: as many as wait for one fsync at some thousand events a second.
const BATCH: u64 = 32;
/// Commits of one turn.
const TURN: usize = 100;
/// Bytes of a usual event's JSON.
const VALUE: usize = 700;

/// Measures the remembered ids
#[derive(Debug, Parser)]
struct Arguments {
    /// Hours of events
    #[arg(long, default_value_t = 0.5)]
    hours: f64,
    /// Events a second
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// Measured commits, with forgetting and without
    #[arg(long, default_value_t = 500)]
    commits: usize,
    /// Where to make the spool, on the disk to be measured; it is removed afterwards
    #[arg(long, value_name = "DIR", default_value = ".")]
    under: PathBuf,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let folder = tempfile::Builder::new().prefix("cardhook-dedup").tempdir_in(&arguments.under)?;
    #[expect(clippy::cast_possible_truncation, reason = "a span of hours fits in 63 bits of seconds")]
    let seconds = (arguments.hours * 3600.0) as i64;
    let mut events = Events { next: 0, per_second: arguments.rate.into() };
    fill(folder.path(), &mut events, seconds)?;
    forget_page_cache(folder.path())?;
    let mut spool = Measured::open(folder.path())?;
    take_turns(&mut spool, &mut events, arguments.commits)?;
    minutes_of_service(&mut spool, &mut events)?;
    forget_a_minute(&mut spool, arguments.rate)
}

/// Events one after the other, so many in each second.
struct Events {
    next: u64,
    per_second: u64,
}

impl Events {
    fn take(&mut self, count: u64) -> impl Iterator<Item = (EventId, i64)> {
        let (first, per_second) = (self.next, self.per_second);
        self.next += count;
        (first..first + count).map(move |number| {
            let second = START + (number / per_second).cast_signed();
            (EventId::of_quarantined("shop", &number.to_be_bytes()), second)
        })
    }
}

fn record(bytes: usize) -> Record {
    Record {
        key: Some("o".repeat(28)),
        timestamp_ms: START * 1000,
        headers: Headers::default(),
        value: vec![b'x'; bytes].into(),
    }
}

fn fill(folder: &Path, events: &mut Events, seconds: i64) -> anyhow::Result<()> {
    let mut spool = Measured::open(folder)?;
    // The record is removed again and leaves nothing behind: a small one fills sooner.
    let small = record(1);
    let began = Instant::now();
    let count = seconds.cast_unsigned() * events.per_second;
    while events.next < count {
        let left = count - events.next;
        spool.commit(&small, events.take(left.min(FILL)), None)?;
    }
    let took = began.elapsed();
    let remembered = spool.remembered();
    spool.close();
    let bytes = fs::metadata(folder.join("spool.db"))?.len();
    println!("ids remembered          {remembered}");
    println!("disk                    {bytes} bytes, {:.1} an id", ratio(bytes, remembered));
    println!("filled in               {took:.1?}, {:.0} ids/s", per_second(remembered, took));
    Ok(())
}

/// As after a start: nothing of the database is in memory.
fn forget_page_cache(folder: &Path) -> anyhow::Result<()> {
    let database = File::open(folder.join("spool.db"))?;
    database.sync_all()?;
    Ok(fadvise(&database, 0, None, Advice::DontNeed)?)
}

fn take_turns(spool: &mut Measured, events: &mut Events, commits: usize) -> anyhow::Result<()> {
    let usual = record(VALUE);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    while with.len() < commits {
        for (times, forget_before) in [(&mut without, None), (&mut with, Some(END))] {
            for _ in 0..TURN {
                let began = Instant::now();
                spool.commit(&usual, events.take(BATCH), forget_before)?;
                times.push(began.elapsed());
            }
        }
    }
    println!("commits of {BATCH} appends   events/s    p50        p99        max");
    show("  without forgetting   ", without);
    show("  forgetting in each   ", with);
    Ok(())
}

/// As a service with a full window does it: what a minute brought is forgotten at the minute's begin, a little in each of so
/// many commits. A minute with it, and one without.
fn minutes_of_service(spool: &mut Measured, events: &mut Events) -> anyhow::Result<()> {
    let usual = record(VALUE);
    let due = (60 * events.per_second).div_ceil(1000);
    for (name, forgetting) in [("  a minute without     ", 0), ("  a minute of service  ", due)] {
        let (began, mut times) = (Instant::now(), Vec::new());
        while began.elapsed() < Duration::from_mins(1) {
            let forget_before = (times.len() < usize::try_from(forgetting)?).then_some(END);
            let began = Instant::now();
            spool.commit(&usual, events.take(BATCH), forget_before)?;
            times.push(began.elapsed());
        }
        show(name, times);
    }
    Ok(())
}

/// What a service does once a minute in a window that is full.
fn forget_a_minute(spool: &mut Measured, rate: u32) -> anyhow::Result<()> {
    let (began, before) = (Instant::now(), spool.remembered());
    let minute = u64::from(rate) * 60;
    while spool.remembered() > before.saturating_sub(minute) && spool.remembered() > 0 {
        spool.commit(&record(1), std::iter::empty(), Some(END))?;
    }
    println!("a minute's ids forgotten in {:.2?}, with nothing else to do", began.elapsed());
    Ok(())
}

fn show(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a list of some thousand"
        )]
        let place = (times.len() as f64 * share) as usize;
        times.get(place).or(times.last()).copied().unwrap_or_default()
    };
    let rate = per_second(times.len() as u64 * BATCH, times.iter().sum());
    println!("{name} {rate:>9.0}    {:<10.2?} {:<10.2?} {:.2?}", at(0.5), at(0.99), at(1.0));
}

fn per_second(count: u64, took: Duration) -> f64 {
    ratio(count, 1) / took.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "figures to be read by people")]
fn ratio(count: u64, of: u64) -> f64 {
    count as f64 / of as f64
}
