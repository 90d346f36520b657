//! The load benchmark: wrk drives secure-mode pushes, each a different event, into the release binary before a real Kafka,
//! and into a bare actix-web handler in the same run. Prints a table and the goals; fails when one is missed.
//!
//! Start it with `benches/run.sh`. Broker, load and server share the machine, so the goals are ratios to the bare handler.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

mod bare;
mod forwarding;
mod leg;
mod paced;
mod process;
mod pushes;
mod report;
mod sizing;
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
mod topic;
mod waiting;
mod wrk;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use pushes::{Connections, Pushes};
use report::{Report, Row};

/// As cardhook's own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// More pushes a second than cardhook takes on the machines it was measured on.
const PUSHES_PER_SECOND: [(Connections, usize); 2] =
    [(Connections::KeptAlive, 50_000), (Connections::OnePerPush, 25_000)];
/// What is measured of `delivery.answer_after`.
const ANSWER_AFTER: [&str; 2] = ["disk", "kafka"];
/// Each way of answering, before what is shown: the broker's JVM still compiles then, on the two cores that all share.
const WARM_UP: Duration = Duration::from_secs(20);

/// Pushes a second that go on while waiting records drain.
const PUSHES_BESIDE: usize = 2000;

/// Measures cardhook under load
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Arguments {
    /// Seconds of each of a round's six legs
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(3..=60))]
    seconds: u16,
    /// Writes what was printed to this file too
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// A property of librdkafka, to see what it changes
    #[arg(long, value_name = "KEY=VALUE")]
    option: Vec<String>,
    /// Another cardhook binary, measured in turns with this one
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
    /// How often everything is measured: the goals are for the means
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Only what forwarding costs: messages beside a direct call, and card events beside a hanging application
    #[arg(long)]
    forwarding: bool,
    /// Only what these rates take, in events a second: `10,100,1000,10000`
    #[arg(long, value_name = "RATES", value_delimiter = ',')]
    sizing: Vec<usize>,
    /// Only what so many waiting records take: at a start, in memory, to drain
    #[arg(long, value_name = "RECORDS")]
    waiting: Option<usize>,
    /// With `--sizing`: one connection for each push, as WeChat opens them
    #[arg(long, requires = "sizing")]
    one_per_push: bool,
    /// Only with kept-alive connections
    #[arg(long)]
    kept_alive_only: bool,
    /// Serves the bare handler: how this program starts it
    #[arg(long, hide = true)]
    serve_bare: bool,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.serve_bare {
        bare::serve()?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.forwarding {
        let met = forwarding::measure(Duration::from_secs(arguments.seconds.into()), arguments.rounds)?;
        return Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    if !arguments.sizing.is_empty() {
        sizing::measure(&arguments.sizing, Duration::from_secs(arguments.seconds.into()), arguments.one_per_push)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(records) = arguments.waiting {
        waiting::measure(records, PUSHES_BESIDE, &arguments.option)?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = measure(&arguments)?;
    println!("{report}");
    if let Some(file) = &arguments.save {
        std::fs::write(file, format!("{report}\n"))?;
    }
    Ok(if report.goals_are_met() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(arguments: &Arguments) -> anyhow::Result<Report> {
    let kafka = support::kafka::Kafka::start_as_users_do();
    let folder = tempfile::Builder::new().prefix("cardhook-bench").tempdir()?;
    let duration = Duration::from_secs(arguments.seconds.into());
    let mut binaries: Vec<Option<&PathBuf>> = arguments.before.iter().map(Some).chain([None]).collect();
    let leg = |answer_after, binary, pushes: &Pushes, duration| {
        leg::cardhook(&kafka, answer_after, binary, &arguments.option, pushes, duration)
    };
    let mut report = Report::default();
    for (connections, per_second) in PUSHES_PER_SECOND {
        if arguments.kept_alive_only && connections == Connections::OnePerPush {
            break;
        }
        let count = per_second * usize::try_from(duration.max(WARM_UP).as_secs())?;
        println!("making {count} pushes");
        let pushes = Pushes::write(folder.path(), count, connections)?;
        if connections == Connections::KeptAlive {
            for answer_after in ANSWER_AFTER {
                println!("warming up, answer_after = \"{answer_after}\"");
                leg(answer_after, None, &pushes, WARM_UP)?;
            }
        }
        for _ in 0..arguments.rounds {
            println!("connections {}: the bare handler", connections.name());
            let bare = leg::bare(&pushes, duration)?;
            report.add(Row { answer_after: None, before: false, connections, measured: bare, bare });
            // Whichever comes second may find the disk busy with the first one's.
            binaries.reverse();
            for answer_after in ANSWER_AFTER {
                println!("connections {}: answer_after = \"{answer_after}\"", connections.name());
                for binary in &binaries {
                    let measured = leg(answer_after, *binary, &pushes, duration)?;
                    let row =
                        Row { answer_after: Some(answer_after), before: binary.is_some(), connections, measured, bare };
                    report.add(row);
                }
            }
        }
    }
    Ok(report)
}
