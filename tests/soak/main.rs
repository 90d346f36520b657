//! The soak: a simulated WeChat drives the real binary against three real brokers while a seeded plan of faults runs, and a
//! judge compares what was answered with what stands on the topic.
//!
//! `tests/soak/run.sh` runs it; without `CARDHOOK_SOAK_SECONDS` only the judge and the plan are tested.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "clippy allows these in test functions, and this whole crate is their support"
)]

mod cardhook;
mod checker;
mod cluster;
mod faults;
mod plan;
mod proxy;
#[path = "../it/support/mod.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod support;
mod wechat;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use cardhook::Cardhook;
use checker::{Evidence, Verdict, check};
use cluster::Cluster;
use faults::Disk;
use plan::Plan;
use wechat::WeChat;

/// How long the backlog of the whole run may take to reach the topic.
const DRAIN: Duration = Duration::from_mins(3);
const PENDING: &str = "cardhook_spool_records";

#[test]
fn the_promise_holds_under_a_seeded_plan_of_faults() {
    let Some(seconds) = number("CARDHOOK_SOAK_SECONDS") else {
        println!("not run: the soak is driven by tests/soak/run.sh, which sets its length");
        return;
    };
    let seed = number("CARDHOOK_SOAK_SEED").unwrap_or(1);
    let length = Duration::from_secs(seconds);
    let plan = Plan::new(seed, length);
    println!("seed {seed}, {seconds} s; the plan:\n{plan}");
    let folder = tempfile::Builder::new().prefix("cardhook-soak").disable_cleanup(true).tempdir().unwrap();
    println!("logs and evidence: {}", folder.path().display());

    let evidence = run(folder.path(), seed, length, &plan);
    let verdict = check(&evidence);
    print(&evidence, &verdict);
    std::fs::write(folder.path().join("evidence"), format!("{verdict:#?}\n{evidence:#?}\n")).unwrap();
    assert!(verdict.holds(), "seed {seed}: the promise is broken; see {}", folder.path().display());
    std::fs::remove_dir_all(folder.path()).unwrap();
}

/// Runs the plan and gathers what it leaves behind.
fn run(folder: &Path, seed: u64, length: Duration, plan: &Plan) -> Evidence {
    let cluster = Cluster::start(folder);
    for (topic, partitions) in [("events", 6), ("dlq", 1), ("other", 1)] {
        cluster.create_topic(topic, partitions);
    }
    let disk = Disk::new(folder.join("disk"), length);
    let mut cardhook = Cardhook::start(folder, &disk.spool(), &cluster.bootstrap());
    let begun = Instant::now();
    let wechat = WeChat::start(cardhook.public, seed);
    let (disk_failed, broker_faults) = std::thread::scope(|scope| {
        let brokers = scope.spawn(|| faults::against_brokers(&plan.brokers, begun, &cluster));
        let failed = faults::against_cardhook(&plan.cardhook, begun, &mut cardhook, &disk);
        (failed, brokers.join().unwrap())
    });
    std::thread::sleep(length.saturating_sub(begun.elapsed()).max(faults::SETTLING));
    let sent = wechat.join();
    println!("  {:7.1} s  all sent, {:?} records wait", begun.elapsed().as_secs_f64(), cardhook.metric(PENDING));
    support::eventually("the spool drains", DRAIN, || (cardhook.metric(PENDING)? == 0).then_some(()));
    println!("  {:7.1} s  all drained", begun.elapsed().as_secs_f64());
    let interruptions = cardhook.interruptions();
    let cardhook_down = std::mem::take(&mut cardhook.down);
    Evidence {
        attempts: sent.genuine,
        forgeries: sent.forged,
        quarantined: cluster.read("dlq").len(),
        records: cluster.read("events"),
        interruptions,
        cardhook_down,
        disk_failed,
        broker_faults,
    }
}

fn print(evidence: &Evidence, verdict: &Verdict) {
    let Verdict { accepted, ids, doubles_allowed, oldest_in_flight_ms, refusals_allowed, slowest_ms, .. } = verdict;
    let Verdict { missing, doubled, order_breaks, refused, late, unknown, forged, .. } = verdict;
    println!("attempts                               {}", evidence.attempts.len());
    println!("pushes answered success                {accepted}");
    println!("ids on the topic                       {ids}");
    println!("missing                                {}  {:?}", missing.len(), missing.first());
    println!("published twice                        {}  {:?}", doubled.len(), doubled.first());
    println!(
        "  in flight at an interruption         {doubles_allowed}  ({} interruptions, at most {oldest_in_flight_ms} ms before)",
        evidence.interruptions.len()
    );
    println!("order breaks per key                   {}  {:?}", order_breaks.len(), order_breaks.first());
    println!("refused while disk or broker was whole {}  {:?}", refused.len(), refused.first());
    println!("  while neither was, or cardhook down  {refusals_allowed}");
    println!("answers over 4.5 s                     {}  {:?}  (slowest {slowest_ms} ms)", late.len(), late.first());
    println!("on the topic, never sent               {}  {:?}", unknown.len(), unknown.first());
    println!("forged pushes                          {}", evidence.forgeries.len());
    println!("  answered 403                         {}", verdict.forgeries_refused);
    println!("  taken, or answered otherwise         {}  {:?}", forged.len(), forged.first());
    println!("on the DLQ topic                       {}", verdict.quarantined);
}

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name).map(|value| value.to_str().and_then(|text| text.parse().ok()).expect(name))
}

/// Now, in Unix milliseconds.
#[expect(clippy::disallowed_methods, reason = "WeChat and the judge have a clock of their own")]
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}
