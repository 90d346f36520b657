//! `cardhook spool ls | verify | export`: looks into a spool, beside a running service too.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value};

use super::{json_line::json_line, load_config};
use crate::delivery::{Lane, Reader, Spooled, Stored, Verified, each_page, take_out};

/// Look into a spool
#[derive(Debug, clap::Args)]
pub(super) struct SpoolArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show what waits: records, bytes and the oldest one's receipt, by topic; parked records; remembered ids
    Ls(Place),
    /// Check the database and read every pending record; exit code 1 when something is wrong
    Verify(Place),
    /// Print the pending records as JSON lines, in order of receipt within each topic
    Export(Export),
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// The configuration whose `spool.path` to look into
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The spool's folder
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// A database that was set aside
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Export {
    #[command(flatten)]
    place: Place,
    /// Only these records; all of them when not given
    #[arg(long, value_enum)]
    lane: Option<LaneName>,
    /// Take out of the spool what was written out (with the service stopped)
    #[arg(long, conflicts_with = "file")]
    remove: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LaneName {
    /// Card events
    Events,
    /// Quarantined pushes
    Dlq,
    /// Other messages
    Other,
    /// Records that the broker refused on the DLQ topic too
    Parked,
}

pub(super) fn run(args: &SpoolArgs) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::Ls(place) => ls(place),
        Action::Verify(place) => verify(place),
        Action::Export(export) => write_out(export),
    }
}

impl Place {
    fn folder(&self) -> anyhow::Result<PathBuf> {
        match (&self.path, &self.config) {
            (Some(path), _) => Ok(path.clone()),
            (None, Some(file)) => Ok(load_config(file)?.spool.path),
            (None, None) => anyhow::bail!("name the spool: --config FILE, --path DIR or --file FILE"),
        }
    }

    fn reader(&self) -> anyhow::Result<Reader> {
        Ok(match &self.file {
            Some(file) => Reader::open_file(file).with_context(|| file.display().to_string())?,
            None => Reader::open(&self.folder()?)?,
        })
    }
}

fn name(lane: Lane) -> &'static str {
    match lane {
        Lane::Events => "events",
        Lane::Dlq => "dlq",
        Lane::Other => "other",
        Lane::Parked => "parked",
    }
}

fn ls(place: &Place) -> anyhow::Result<ExitCode> {
    let reader = place.reader()?;
    let mut out = io::stdout().lock();
    writeln!(out, "{:<8} {:>10} {:>14}  oldest received", "lane", "records", "bytes")?;
    for (lane, report) in Lane::ALL.into_iter().zip(reader.report()?) {
        let oldest = report.oldest_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let oldest = oldest.map_or_else(|| "-".to_owned(), |time| time.to_string());
        writeln!(out, "{:<8} {:>10} {:>14}  {oldest}", name(lane), report.records, report.bytes)?;
    }
    writeln!(out, "remembered ids: {}", reader.counters()?.remembered)?;
    Ok(ExitCode::SUCCESS)
}

fn verify(place: &Place) -> anyhow::Result<ExitCode> {
    let reader = place.reader()?;
    let verified = Verified::of(&reader)?;
    let mut out = io::stdout().lock();
    if verified.is_whole() {
        writeln!(out, "ok: the database is whole and every pending record reads")?;
        return Ok(ExitCode::SUCCESS);
    }
    let Verified { wrong, records, damaged } = verified;
    for line in wrong {
        writeln!(out, "{line}")?;
    }
    let counted =
        reader.counters().map_or_else(|_| "an unknown number".to_owned(), |counters| counters.records.to_string());
    writeln!(out, "{records} of {counted} pending records read; {damaged} places among them do not")?;
    Ok(ExitCode::FAILURE)
}

fn write_out(export: &Export) -> anyhow::Result<ExitCode> {
    let lanes: Vec<Lane> = match export.lane {
        None => Lane::ALL.to_vec(),
        Some(LaneName::Events) => vec![Lane::Events],
        Some(LaneName::Dlq) => vec![Lane::Dlq],
        Some(LaneName::Other) => vec![Lane::Other],
        Some(LaneName::Parked) => vec![Lane::Parked],
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let damaged = if export.remove {
        // A page is removed only after it was written out.
        take_out(&export.place.folder()?, &lanes, |page| print(&mut out, page))?
    } else {
        let reader = export.place.reader()?;
        let mut damaged = 0;
        for lane in lanes {
            damaged += each_page(&reader, lane, |page| print(&mut out, page))?;
        }
        damaged
    };
    anyhow::ensure!(damaged == 0, "what reads was written out; {damaged} places among the pending records do not read");
    Ok(ExitCode::SUCCESS)
}

fn print(out: &mut impl Write, page: &[Stored]) -> Result<(), Spooled> {
    for stored in page {
        write_line(out, stored)?;
    }
    Ok(out.flush()?)
}

fn write_line(out: &mut impl Write, stored: &Stored) -> io::Result<()> {
    let quarantined = stored.record.headers.get("dlq_reason").is_some();
    if quarantined {
        out.write_all(&json_line(quarantine(stored).to_string().as_bytes()))?;
    } else {
        // An event's value is one JSON object without a line feed already.
        out.write_all(&json_line(&stored.record.value))?;
    }
    out.write_all(b"\n")
}

/// A quarantined push is no JSON: its headers, and the body as text, or in base64 where it is none.
fn quarantine(stored: &Stored) -> Value {
    let record = &stored.record;
    let mut line: Map<String, Value> =
        record.headers.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    if let Ok(text) = std::str::from_utf8(&record.value) {
        line.insert("value".into(), text.into());
    } else {
        line.insert("value_base64".into(), BASE64_STANDARD.encode(&record.value).into());
    }
    line.into()
}
