//! The table, and the goals.

use std::{
    fmt::{self, Display, Formatter},
    time::Duration,
};

use crate::{leg::Measured, pushes::Connections, wrk::CONNECTIONS};

/// Events a second at least, of the bare handler's, on kept-alive connections.
const RATES: [(&str, f64); 2] = [("disk", 0.30), ("kafka", 0.25)];
/// CPU per event at most, of the bare handler's.
const CPU: f64 = 5.0;
/// MiB
const MEMORY: f64 = 100.0;

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    /// `None`: the bare handler.
    pub answer_after: Option<&'static str>,
    /// Of the binary given with `--before`.
    pub before: bool,
    pub connections: Connections,
    pub measured: Measured,
    /// The bare handler's of the same run.
    pub bare: Measured,
}

impl Row {
    fn rate(&self) -> f64 {
        self.measured.seen.rate() / self.bare.seen.rate()
    }

    fn cpu(&self) -> f64 {
        self.measured.cpu / self.bare.cpu
    }

    /// Every answered event stands on the topic. Some more may: those under way when wrk went.
    fn is_complete(&self) -> bool {
        self.measured.on_topic.is_none_or(|on_topic| on_topic >= self.measured.seen.answered)
    }
}

/// All lines.
#[derive(Debug, Default)]
pub struct Report(Vec<Row>);

impl Report {
    pub fn add(&mut self, row: Row) {
        self.0.push(row);
    }

    pub fn goals_are_met(&self) -> bool {
        self.goals().iter().all(|goal| goal.met)
    }

    fn goals(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        for row in self.0.iter().filter(|row| !row.before) {
            let Some(answer_after) = row.answer_after else { continue };
            let mut goal = |what: &str, met: bool| {
                let of = format!("answer_after = \"{answer_after}\", connections {}: {what}", row.connections.name());
                goals.push(Goal { of, met });
            };
            let least =
                RATES.iter().find(|(name, _)| *name == answer_after && row.connections == Connections::KeptAlive);
            if let Some((_, least)) = least {
                goal(
                    &format!("events/s {:.3} of the bare handler's, at least {least}", row.rate()),
                    row.rate() >= *least,
                );
            }
            goal(&format!("CPU {:.2} times the bare handler's, at most {CPU}", row.cpu()), row.cpu() <= CPU);
            let memory = row.measured.peak_memory;
            goal(&format!("{memory:.0} MiB at its peak, less than {MEMORY}"), memory < MEMORY);
            goal("every answered event is on the topic", row.is_complete());
        }
        goals
    }
}

struct Goal {
    of: String,
    met: bool,
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{CONNECTIONS} connections; ratios are to the bare handler of this run\n")?;
        writeln!(
            f,
            "{:<13} {:<13} {:>9} {:>6} {:>8} {:>8} {:>9} {:>6} {:>9} {:>9} {:>9}",
            "connections",
            "answer after",
            "events/s",
            "ratio",
            "p50 ms",
            "p99 ms",
            "CPU µs/ev",
            "ratio",
            "peak MiB",
            "answered",
            "on topic"
        )?;
        for row in &self.0 {
            let Measured { seen, cpu, peak_memory, on_topic } = row.measured;
            writeln!(
                f,
                "{:<13} {:<13} {:>9.0} {:>6.3} {:>8.1} {:>8.1} {:>9.1} {:>6.2} {:>9.1} {:>9} {:>9}",
                row.connections.name(),
                match row.answer_after {
                    None => "(bare)".to_owned(),
                    Some(answer_after) if row.before => format!("{answer_after}, before"),
                    Some(answer_after) => answer_after.to_owned(),
                },
                seen.rate(),
                row.rate(),
                millis(seen.p50),
                millis(seen.p99),
                cpu,
                row.cpu(),
                peak_memory,
                seen.answered,
                on_topic.map_or_else(|| "-".to_owned(), |count| count.to_string()),
            )?;
        }
        writeln!(f)?;
        for Goal { of, met } in self.goals() {
            writeln!(f, "{} {of}", if met { "met   " } else { "MISSED" })?;
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
