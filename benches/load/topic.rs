//! What stands on a topic, as Debian's kcat reads it: a client that is not our code.

use std::{
    collections::{HashMap, HashSet},
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
    let (mut records, mut events) = (0, HashSet::new());
    read(kafka, topic, "%h\\n", |line| {
        let id = line.split(',').find_map(|header| header.strip_prefix("ce_id=")).context("a record without ce_id")?;
        records += 1;
        events.insert(id.to_owned());
        Ok(())
    })?;
    Ok(Count { records, events: events.len() as u64 })
}

/// How many records have a key with `prefix` that is above all such keys before it in its partition.
pub fn rising(kafka: &Kafka, topic: &str, prefix: &str) -> anyhow::Result<u64> {
    let (mut rising, mut last) = (0, HashMap::<String, String>::new());
    read(kafka, topic, "%p %k\\n", |line| {
        let (partition, key) = line.split_once(' ').context("a partition and a key")?;
        if !key.contains(prefix) {
            return Ok(());
        }
        match last.get_mut(partition) {
            None => _ = last.insert(partition.to_owned(), key.to_owned()),
            Some(highest) if highest.as_str() < key => key.clone_into(highest),
            Some(_) => return Ok(()),
        }
        rising += 1;
        Ok(())
    })?;
    Ok(rising)
}

/// Calls `take` with a line of kcat's `format` for each record.
fn read(
    kafka: &Kafka,
    topic: &str,
    format: &str,
    mut take: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut kcat = Command::new("kcat")
        .args(["-C", "-e", "-q", "-o", "beginning", "-f", format, "-b", &kafka.bootstrap(), "-t", topic])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("kcat does not run")?;
    for line in BufReader::new(kcat.stdout.take().context("no standard output")?).lines() {
        take(&line?)?;
    }
    anyhow::ensure!(kcat.wait()?.success(), "kcat failed");
    Ok(())
}
