//! Reading topics with clients that are not our code: Debian's kcat, and Python scripts.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::{kafka::Kafka, project};

/// A record as kcat reads it.
#[derive(Debug, Clone)]
pub struct Record {
    pub timestamp_ms: i64,
    pub key: Option<String>,
    /// In the order they stand in the record.
    pub headers: Vec<(String, String)>,
    pub payload: String,
    /// Partition and offset.
    pub position: (i64, i64),
}

impl Record {
    /// The value as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.payload).unwrap()
    }

    /// A text field of the value; panics when it is none.
    pub fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_else(|| panic!("{field} in {}", self.payload)).to_owned()
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Everything that stands on a topic now, each partition in its order.
pub fn records(kafka: &Kafka, topic: &str) -> Vec<Record> {
    records_at(&kafka.bootstrap(), topic)
}

/// As [`records`], with the broker's address.
pub fn records_at(broker: &str, topic: &str) -> Vec<Record> {
    let output = Command::new("kcat")
        .args(["-C", "-e", "-q", "-J", "-o", "beginning", "-X", "check.crcs=true", "-b"])
        .args([broker, "-t", topic])
        .stdin(Stdio::null())
        .output()
        .expect("kcat runs");
    assert!(output.status.success(), "kcat: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| record(&serde_json::from_str(line).unwrap())).collect()
}

fn record(line: &Value) -> Record {
    let headers: Vec<String> = line.get("headers").map_or_else(Vec::new, |headers| {
        headers.as_array().unwrap().iter().map(|part| part.as_str().unwrap().to_owned()).collect()
    });
    Record {
        timestamp_ms: line["ts"].as_i64().unwrap(),
        key: line["key"].as_str().map(str::to_owned),
        headers: headers.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
        payload: line["payload"].as_str().unwrap_or_default().to_owned(),
        position: (line["partition"].as_i64().unwrap(), line["offset"].as_i64().unwrap()),
    }
}

/// Runs a script of `tests/consumers` and reads the JSON lines it prints.
pub fn python(script: &str, args: &[&str]) -> Vec<Value> {
    let python = project("tests/consumers/venv/bin/python");
    assert!(python.exists(), "the Python consumers are missing: run tests/run.sh, which installs them");
    let script = project("tests/consumers").join(script);
    let output = Command::new(python).arg("-B").arg(script).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
