//! How many allocations an event costs, from the socket to the ack: Rust's (cardhook, actix) and the C libraries' (librdkafka).
//!
//! The service runs in a process of its own that is this program again, with a counting allocator for Rust and `count.c` before
//! the system's, which counts all; it takes secure pushes at a fixed rate from here. `cargo bench --bench allocations`.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

#[path = "../load/paced.rs"]
mod paced;
#[path = "../../tests/it/support/mod.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the integration tests' broker and service; they use more of it"
)]
mod support;

use std::{
    alloc::System,
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::Context as _;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use support::{
    cardhook::{Setup, Topics},
    kafka::Kafka,
};

/// Events before the count begins: what is allocated once is allocated.
const WARM_UP: usize = 2000;
/// Events that are counted.
const COUNTED: usize = 20_000;
/// Events a second.
const RATE: usize = 2000;
/// Of Rust's, with Kafka up and `answer_after = "kafka"`.
const GOAL: f64 = 20.0;
/// Where the counts stand: in the file that this variable names, all of them and then Rust's.
const FILE: &str = "BENCH_ALLOCATIONS";
/// How often Rust's are written there.
const OFTEN: Duration = Duration::from_millis(10);

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> anyhow::Result<ExitCode> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        #[expect(clippy::disallowed_methods, reason = "it is this program's own, for count.c and this")]
        let file = std::env::var(FILE)?;
        let counts = File::options().write(true).open(file)?;
        std::thread::spawn(move || tell(&counts));
        return Ok(cardhook::cli::main());
    }
    let kafka = Kafka::start();
    let mut met = true;
    for answer_after in ["kafka", "disk"] {
        let [all, of_rust] = measure(&kafka, answer_after)?;
        println!(
            "answer_after = {answer_after:?}: {of_rust:.1} allocations an event in Rust, {:.1} in C",
            all - of_rust
        );
        met &= answer_after != "kafka" || of_rust <= GOAL;
    }
    println!("{} at most {GOAL} in Rust with \"kafka\"", if met { "met   " } else { "MISSED" });
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes Rust's count, until the process ends.
fn tell(counts: &File) -> io::Result<()> {
    loop {
        counts.write_all_at(&ALLOCATOR.stats().allocations.to_ne_bytes(), 8)?;
        std::thread::sleep(OFTEN);
    }
}

/// Allocations an event: all, and Rust's.
fn measure(kafka: &Kafka, answer_after: &str) -> anyhow::Result<[f64; 2]> {
    let topics = Topics::create(kafka);
    let mut setup = Setup::new(kafka, &topics).set("delivery", &format!("answer_after = {answer_after:?}"));
    setup.binary = std::env::current_exe()?;
    let library = compile(setup.folder())?;
    let shared = setup.folder().join("allocations");
    let count = File::options().read(true).write(true).create_new(true).open(&shared)?;
    count.set_len(16)?;
    let service = setup.serve_with(|command| {
        command.env("LD_PRELOAD", &library).env(FILE, &shared);
    });
    service.wait_ready();
    service.wait_kafka(true);
    let pushes = paced::pushes(WARM_UP + COUNTED);
    let (first, counted) = pushes.split_at(WARM_UP);
    paced::send(service.public, first, RATE, false)?;
    service.wait_drained();
    let [all_before, of_rust_before] = read(&count)?;
    paced::send(service.public, counted, RATE, false)?;
    service.wait_drained();
    let [all, of_rust] = read(&count)?;
    anyhow::ensure!(of_rust > of_rust_before, "Rust's count does not reach the file");
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 allocations")]
    let an_event = |after: u64, before: u64| (after - before) as f64 / COUNTED as f64;
    Ok([an_event(all, all_before), an_event(of_rust, of_rust_before)])
}

fn compile(folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    let library = folder.join("count.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/allocations/count.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]).arg(&library).args([source, "-ldl"]);
    anyhow::ensure!(compiler.status().context("no C compiler")?.success(), "cc does not compile {source}");
    Ok(library)
}

/// All, and Rust's, once what has happened is written.
fn read(count: &File) -> anyhow::Result<[u64; 2]> {
    std::thread::sleep(OFTEN * 5);
    let mut number = [0; 8];
    let mut at = |place: u64| count.read_exact_at(&mut number, place).map(|()| u64::from_ne_bytes(number));
    Ok([at(0)?, at(8)?])
}
