//! How many allocations an event costs, from the socket to the ack: Rust's and the C libraries'.
//!
//! The service runs in a process of its own that is this program again, with the system's allocator and `count.c` before it;
//! it takes secure pushes at a fixed rate from here. `cargo bench --bench allocations`.
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
    fs::File,
    os::unix::fs::FileExt as _,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::Context as _;
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
/// With Kafka up and `answer_after = "kafka"`.
const GOAL: f64 = 20.0;

fn main() -> anyhow::Result<ExitCode> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return Ok(cardhook::cli::main());
    }
    let kafka = Kafka::start();
    let mut met = true;
    for answer_after in ["kafka", "disk"] {
        let allocations = measure(&kafka, answer_after)?;
        println!("answer_after = {answer_after:?}: {allocations:.1} allocations an event");
        met &= answer_after != "kafka" || allocations <= GOAL;
    }
    println!("{} at most {GOAL} with \"kafka\"", if met { "met   " } else { "MISSED" });
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(kafka: &Kafka, answer_after: &str) -> anyhow::Result<f64> {
    let topics = Topics::create(kafka);
    let mut setup = Setup::new(kafka, &topics).set("delivery", &format!("answer_after = {answer_after:?}"));
    setup.binary = std::env::current_exe()?;
    let library = compile(setup.folder())?;
    let shared = setup.folder().join("allocations");
    let count = File::options().read(true).write(true).create_new(true).open(&shared)?;
    count.set_len(8)?;
    let service = setup.serve_with(|command| {
        command.env("LD_PRELOAD", &library).env("BENCH_ALLOCATIONS", &shared);
    });
    service.wait_ready();
    service.wait_kafka(true);
    let pushes = paced::pushes(WARM_UP + COUNTED);
    let (first, counted) = pushes.split_at(WARM_UP);
    paced::send(service.public, first, RATE, false)?;
    service.wait_drained();
    let before = read(&count)?;
    paced::send(service.public, counted, RATE, false)?;
    service.wait_drained();
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 allocations")]
    let allocations = (read(&count)? - before) as f64 / COUNTED as f64;
    Ok(allocations)
}

fn compile(folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    let library = folder.join("count.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/allocations/count.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]).arg(&library).args([source, "-ldl"]);
    anyhow::ensure!(compiler.status().context("no C compiler")?.success(), "cc does not compile {source}");
    Ok(library)
}

fn read(count: &File) -> anyhow::Result<u64> {
    let mut bytes = [0; 8];
    count.read_exact_at(&mut bytes, 0)?;
    Ok(u64::from_ne_bytes(bytes))
}
