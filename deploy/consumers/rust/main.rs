//! Reads the topic, counts each event once, and prints the totals as JSON after every batch, with cardhook's own types.
//!
//! Arguments: brokers, group, topic. Does not depend on cardhook's server.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    io::Write as _,
    time::Duration,
};

use cardhook::event::{Event, Fields, RecordError, record_json};
use rdkafka::{
    ClientConfig, Message as _,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    message::{BorrowedMessage, Headers as _},
};

/// Ids; in production a table with a unique key.
const REMEMBERED: usize = 1_000_000;
const BATCH: usize = 500;

#[derive(Default)]
struct Totals {
    records: u64,
    skipped: u64,
    unknown: u64,
    received: BTreeMap<String, u64>,
    events: u64,
    seen: HashSet<String>,
    order: VecDeque<String>,
}

impl Totals {
    fn count(&mut self, record: &BorrowedMessage<'_>) -> Result<(), Box<dyn std::error::Error>> {
        self.records += 1;
        let Some(value) = record.payload() else {
            self.skipped += 1; // a tombstone
            return Ok(());
        };
        let headers = record.headers().into_iter().flat_map(|headers| headers.iter());
        let headers: Vec<_> = headers.map(|header| (header.key, header.value.unwrap_or_default())).collect();
        match Event::from_record(value, headers.iter().copied()) {
            Ok(Event::Card(event)) if self.is_first(event.event_id().to_string()) => match event.fields() {
                Fields::Received(card) => {
                    let channel = card.outer_str.as_deref().unwrap_or("-").to_owned();
                    *self.received.entry(channel).or_default() += 1;
                }
                Fields::Unknown(_) => self.unknown += 1,
                _ => (),
            },
            Ok(_) => (),
            // Never an error: new types come without notice. What all events have is there.
            Err(RecordError::NewType(_)) => {
                let event = record_json(value, headers)?;
                let id = event.get("event_id").and_then(serde_json::Value::as_str).unwrap_or_default();
                if self.is_first(id.to_owned()) {
                    self.unknown += 1;
                }
            }
            Err(wrong) => return Err(wrong.into()),
        }
        Ok(())
    }

    /// Whether the event did not come before.
    fn is_first(&mut self, id: String) -> bool {
        if !self.seen.insert(id.clone()) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.events += 1;
        true
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, group, topic] = arguments.as_slice() else { return Err("arguments: brokers, group, topic".into()) };
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()?;
    consumer.subscribe(&[topic])?;
    let mut totals = Totals::default();
    loop {
        let mut batch = 0;
        while batch < BATCH {
            let Some(record) = consumer.poll(Duration::from_millis(200)) else { break };
            totals.count(&record?)?;
            batch += 1;
        }
        if batch == 0 {
            continue;
        }
        consumer.commit_consumer_state(CommitMode::Sync)?; // after the work: at least once
        let Totals { records, skipped, unknown, received, events, .. } = &totals;
        let line = serde_json::json!({
            "records": records, "skipped": skipped, "events": events, "unknown": unknown, "received": received,
        });
        writeln!(std::io::stdout().lock(), "{line}")?;
    }
}
