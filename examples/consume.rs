//! Prints who received which card through which channel, as the README shows it.
//!
//! `cargo run --example consume -- 127.0.0.1:9092`
#![expect(clippy::print_stdout, reason = "printing is what it is for")]
#![expect(clippy::indexing_slicing, reason = "a JSON value answers null where it has no such field")]

use std::{collections::HashSet, error::Error};

use rdkafka::{
    ClientConfig, Message as _,
    consumer::{BaseConsumer, Consumer as _},
};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let brokers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9092".to_owned());
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "reports")
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&["wechat.card.events"])?;
    let mut seen = HashSet::new(); // in production: a table with a unique key
    for record in &consumer {
        let record = record?;
        let event: Value = serde_json::from_slice(record.payload().unwrap_or_default())?;
        if seen.insert(event["event_id"].to_string()) && event["event_type"] == "card.received" {
            println!("{} {} {}", event["openid"], event["card_id"], event["outer_str"]);
        }
    }
    Ok(())
}
