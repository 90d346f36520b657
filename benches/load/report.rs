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
#[derive(Debug, Clone, Copy)]
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

    fn is_of_leg(&self, other: &Self) -> bool {
        let leg = |row: &Self| (row.answer_after, row.before, row.connections);
        leg(self) == leg(other)
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
        for rows in self.rounds().iter().filter(|rows| rows.iter().all(|row| !row.before)) {
            let Some(mean) = mean(rows) else { continue };
            let Some((answer_after, least)) = RATES.iter().find(|(name, _)| Some(*name) == mean.answer_after) else {
                continue;
            };
            let mut goal = |what: &str, met: bool| {
                let of = format!("answer_after = \"{answer_after}\", connections {}: {what}", mean.connections.name());
                goals.push(Goal { of, met });
            };
            let (rate, cpu) = (mean.rate(), mean.cpu());
            if mean.connections == Connections::KeptAlive {
                goal(&format!("events/s {rate:.3} of the bare handler's, at least {least}"), rate >= *least);
            }
            goal(&format!("CPU {cpu:.2} times the bare handler's, at most {CPU}"), cpu <= CPU);
            let memory = rows.iter().map(|row| row.measured.peak_memory).fold(0.0, f64::max);
            goal(&format!("{memory:.0} MiB at its peak, less than {MEMORY}"), memory < MEMORY);
            goal("every answered event is on the topic", rows.iter().all(|row| row.is_complete()));
        }
        goals
    }

    /// The rows of the same legs, round by round.
    fn rounds(&self) -> Vec<Vec<&Row>> {
        let mut all: Vec<Vec<&Row>> = Vec::new();
        for row in &self.0 {
            match all.iter_mut().find(|rows| rows.first().is_some_and(|first| first.is_of_leg(row))) {
                Some(rows) => rows.push(row),
                None => all.push(vec![row]),
            }
        }
        all
    }
}

/// One round's ratio varies with what the host does meanwhile; the means' does less.
fn mean(rows: &[&Row]) -> Option<Row> {
    let first = rows.first()?;
    let of = |which: fn(&Row) -> &Measured| {
        let all: Vec<&Measured> = rows.iter().map(|row| which(row)).collect();
        Measured::mean(&all)
    };
    Some(Row { measured: of(|row| &row.measured), bare: of(|row| &row.bare), ..**first })
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
            writeln!(f, "{row}")?;
        }
        writeln!(f, "\nmeans\n")?;
        for row in self.rounds().iter().filter_map(|rows| mean(rows)) {
            writeln!(f, "{row}")?;
        }
        writeln!(f)?;
        for Goal { of, met } in self.goals() {
            writeln!(f, "{} {of}", if met { "met   " } else { "MISSED" })?;
        }
        Ok(())
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Measured { seen, cpu, peak_memory, on_topic } = self.measured;
        write!(
            f,
            "{:<13} {:<13} {:>9.0} {:>6.3} {:>8.1} {:>8.1} {:>9.1} {:>6.2} {:>9.1} {:>9} {:>9}",
            self.connections.name(),
            match self.answer_after {
                None => "(bare)".to_owned(),
                Some(answer_after) if self.before => format!("{answer_after}, before"),
                Some(answer_after) => answer_after.to_owned(),
            },
            seen.rate(),
            self.rate(),
            millis(seen.p50),
            millis(seen.p99),
            cpu,
            self.cpu(),
            peak_memory,
            seen.answered,
            on_topic.map_or_else(|| "-".to_owned(), |count| count.to_string()),
        )
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
