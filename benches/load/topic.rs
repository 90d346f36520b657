//! What stands on a topic, as Debian's kcat reads it: a client that is not our code.

use std::{
    collections::HashSet,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::Context as _;

use crate::support::kafka::Kafka;

/// Records of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub records: u64,
    /// Distinct `ce_id`s among them.
    pub events: u64,
}

/// Counts everything that stands on a topic now.
pub fn count(kafka: &Kafka, topic: &str) -> anyhow::Result<Count> {
    let mut kcat = Command::new("kcat")
        .args(["-C", "-e", "-q", "-o", "beginning", "-f", "%h\\n", "-b", &kafka.bootstrap(), "-t", topic])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("kcat does not run")?;
    let (mut records, mut events) = (0, HashSet::new());
    for line in BufReader::new(kcat.stdout.take().context("no standard output")?).lines() {
        let line = line?;
        let id = line.split(',').find_map(|header| header.strip_prefix("ce_id=")).context("a record without ce_id")?;
        records += 1;
        events.insert(id.to_owned());
    }
    anyhow::ensure!(kcat.wait()?.success(), "kcat failed");
    Ok(Count { records, events: events.len() as u64 })
}
