//! Reads the topic, counts each event once, and prints the totals as JSON after every batch, with cardhook's own types.
//!
//! Arguments: brokers, group, topic. Does not depend on cardhook's server.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    io::Write as _,
    time::Duration,
};

use cardhook::event::{CardEvent, EventId};
use rdkafka::{
    ClientConfig, Message as _,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
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
    fn count(&mut self, value: Option<&[u8]>) -> Result<(), serde_json::Error> {
        self.records += 1;
        let Some(value) = value else {
            self.skipped += 1; // a tombstone
            return Ok(());
        };
        // A type of a newer cardhook is not one of these types: its common fields read as JSON all the same.
        let event: serde_json::Value = serde_json::from_slice(value)?;
        let known: Option<CardEvent> = serde_json::from_slice(value).ok();
        let id = known.as_ref().map(CardEvent::event_id).map(|id: EventId| id.to_string());
        let id = id.unwrap_or_else(|| event["event_id"].as_str().unwrap_or_default().to_owned());
        if !self.seen.insert(id.clone()) {
            return Ok(());
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.events += 1;
        match known.as_ref().map_or("card.unknown", CardEvent::event_type) {
            "card.received" => {
                let channel = event["outer_str"].as_str().unwrap_or("-").to_owned();
                *self.received.entry(channel).or_default() += 1;
            }
            "card.unknown" => self.unknown += 1,
            _ => (),
        }
        Ok(())
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
            totals.count(record?.payload())?;
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
