//! The schema stands in its file; what an observed push costs.

use std::{path::PathBuf, time::Instant};

use super::{Facts, Observer, Push, Seen, Sight, What, api_schema, state::State, vitals::Vitals};
use crate::{
    event::EventId,
    metrics::{AnsweredBy, CallbackResult, Metrics},
};

/// Set at compile time to write the file instead of comparing it: `UPDATE_SCHEMAS=1 cargo test --lib schemas`.
const UPDATE: bool = option_env!("UPDATE_SCHEMAS").is_some();

#[test]
fn the_console_api_stands_in_schemas() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas/console-api.json");
    let generated = format!("{:#}\n", api_schema());
    if UPDATE {
        std::fs::write(&path, &generated).unwrap();
    }
    let standing = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(standing == generated, "schemas/console-api.json has drifted from the types: see schemas/README.md");
}

fn seen(number: u64, json: &[u8]) -> Seen {
    let id = EventId::of_quarantined("shop", &number.to_le_bytes());
    let record = Some(Box::new(Sight::new(Some("card.received"), id, 1_700_000_000, json)));
    let push = Push {
        result: CallbackResult::Accepted,
        by: AnsweredBy::Kafka,
        took: std::time::Duration::from_millis(2),
        record,
    };
    Seen { account: 0, at_ms: 1_700_000_000_000, what: What::Push(push) }
}

/// Prints both parts of the cost: `cargo test --release --lib -- --nocapture costs`. The bound here is for any build.
#[test]
fn a_push_costs_little_on_the_listener_and_on_the_consoles_thread() {
    const PUSHES: u32 = 20_000;
    let example = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/examples/card.received.json")).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&example).unwrap();
    let json = value.to_string().into_bytes();
    let (observer, queue) = Observer::new(&Metrics::new());
    let facts = Facts { name: "shop".to_owned(), path: "/wechat/shop".to_owned(), mode: "secure" };
    let mut state = State::new(vec![facts], Vitals::default());
    let (mut told, mut taken) = (std::time::Duration::ZERO, std::time::Duration::ZERO);
    for batch in 0..PUSHES / 1000 {
        let began = Instant::now();
        for number in 0..1000 {
            observer.offer(seen(u64::from(batch * 1000 + number), &json));
        }
        told += began.elapsed();
        let began = Instant::now();
        for seen in queue.try_iter() {
            state.take(seen);
        }
        taken += began.elapsed();
    }
    println!("observer: {:?} a push on the listener, {:?} on the console's thread", told / PUSHES, taken / PUSHES);
    assert!(told / PUSHES < std::time::Duration::from_micros(50), "{told:?}");
    assert_eq!(state.events.len(), 500);
}
