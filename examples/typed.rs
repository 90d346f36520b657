//! Reads records' values from standard input, one a line, and prints the cards that were received and redeemed.
//!
//! With the library alone: `kcat -C -b 127.0.0.1:9092 -t wechat.card.events | cargo run --no-default-features --example typed`
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::{collections::HashSet, error::Error, io};

use cardhook::event::{Event, Fields, RecordError};

fn main() -> Result<(), Box<dyn Error>> {
    let mut seen = HashSet::new(); // in production: a table with a unique key
    for line in io::stdin().lines() {
        // A Kafka client gives the headers too. Without them the value's beginning tells how it is encoded.
        let event = match Event::from_record(line?.as_bytes(), []) {
            Ok(Event::Card(event)) => event,
            Ok(Event::Other(_)) => continue,
            Err(RecordError::NewType(name)) => {
                println!("{name}: newer than this release");
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if !seen.insert(event.event_id()) {
            continue;
        }
        let card_id = event.card_id().unwrap_or("-");
        match event.fields() {
            Fields::Received(card) => println!("received {card_id} {}", card.outer_str.as_deref().unwrap_or("-")),
            Fields::Consumed(card) => println!("redeemed {card_id} {}", card.location_name.as_deref().unwrap_or("-")),
            _ => (),
        }
    }
    Ok(())
}
