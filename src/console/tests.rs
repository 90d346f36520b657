//! The schema stands in its file; what an observed push costs.

mod rules;

use std::{path::PathBuf, time::Duration};

use super::{Facts, MadeWith, Observer, Push, Seen, Sight, What, api_schema, snapshot::Snapshot, state::State};
use crate::{
    delivery::{Complaint, Probe, Published},
    event::{EventId, EventType},
    metrics::{AnsweredBy, CallbackResult, Cause, Metrics, QUARANTINED},
};

/// Every hint but `recovered`, which has no cure.
const HINTS: [&str; 23] = [
    "handshake_never",
    "handshake_failed",
    "signatures_fail",
    "strangers",
    "mode_mismatch",
    "body_changed",
    "quarantine_decrypt",
    "quarantine_app_id",
    "quarantine_other",
    "silence",
    "nowhere_durable",
    "kafka_away",
    "kafka_refuses",
    "spool_fills",
    "disk_fails",
    "parked",
    "slow",
    "retries",
    "clock",
    "open_to_anyone",
    "forbidden_sources",
    "previous_secret_used",
    "previous_secret_unused",
];

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

fn seen(id: EventId, json: &[u8]) -> Seen {
    let record = Some(Sight::new(Some("card.received"), id, 1_700_000_000, &json.into()));
    let push = Push {
        result: CallbackResult::Accepted,
        by: AnsweredBy::Kafka,
        took: Duration::from_millis(2),
        made_with: MadeWith::default(),
        record,
    };
    Seen { account: 0, at_ms: 1_700_000_000_000, what: What::Push(push) }
}

/// CPU time of this thread: what else runs on the machine does not count.
fn cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap())
}

/// Prints both parts of the cost: `cargo test --release --lib -- --nocapture costs`. The bound here is for any build.
#[test]
fn a_push_costs_little_on_the_listener_and_on_the_consoles_thread() {
    const PUSHES: u32 = 100_000;
    let example = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/examples/card.received.json")).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&example).unwrap();
    let json = value.to_string();
    let (observer, queue) = Observer::new(&Metrics::new());
    let facts = Facts { name: "shop".to_owned(), path: "/wechat/shop".to_owned(), mode: "secure", ..Facts::default() };
    let mut state = State::new(vec![facts], Snapshot::default(), 0);
    let (probe, acknowledged) = Probe::new();
    let mut spent = [Duration::ZERO; 4];
    let id = EventId::of_quarantined("shop", b"1");
    for batch in 0..PUSHES / 1000 {
        let values: Vec<String> =
            (0..1000).map(|number| json.replace("072000000001", &format!("{:012}", batch * 1000 + number))).collect();
        let topic: std::sync::Arc<str> = "wechat.card.events".into();
        let mut timed = |place: usize, what: &mut dyn FnMut()| {
            let began = cpu();
            what();
            spent[place] += cpu().saturating_sub(began);
        };
        timed(0, &mut || values.iter().for_each(|value| observer.offer(seen(id, value.as_bytes()))));
        timed(1, &mut || assert!(queue.try_iter().all(|seen| state.take(seen))));
        let ids: Vec<_> = values.iter().map(|value| EventId::of_quarantined("shop", value.as_bytes())).collect();
        timed(2, &mut || {
            for (offset, event_id) in (0..).zip(&ids) {
                let topic = std::sync::Arc::clone(&topic);
                probe.published(Published { event_id: *event_id, at_ms: 1, topic, partition: 0, offset });
            }
        });
        timed(3, &mut || acknowledged.try_iter().for_each(|published| state.published(published)));
    }
    let [told, taken, acked, placed] = spent.map(|spent| spent / PUSHES);
    println!("observer: {told:?} a push on the listener, {taken:?} on the console's thread");
    println!("probe: {acked:?} an acknowledgement on the coordinator, {placed:?} on the console's thread");
    assert!([told, taken, acked, placed].iter().all(|spent| *spent < Duration::from_micros(50)));
    assert_eq!(state.events.len(), 500);
}

/// The page's own files (uPlot is not ours) stay small enough to be read in an afternoon, without a build step.
#[test]
fn the_pages_own_script_and_style_stay_small() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/console/page");
    let bytes = |extension: &str| -> u64 {
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
        let files = files.filter(|file| file.path().extension().is_some_and(|found| found == extension));
        files.map(|file| file.metadata().unwrap().len()).sum()
    };
    let (script, style) = (bytes("js"), bytes("css"));
    assert!(script > 0 && script <= 40 * 1024, "{script} bytes of JavaScript");
    assert!(style > 0 && style <= 6 * 1024, "{style} bytes of CSS");
}

#[test]
fn everything_that_the_api_names_has_words_in_both_languages() {
    let languages = [include_str!("page/i18n/en.json"), include_str!("page/i18n/zh-CN.json")];
    for words in languages.map(|json| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json).unwrap())
    {
        let mut keys = Vec::new();
        for cause in Cause::ALL {
            keys.extend([format!("cause.{}", cause.label()), format!("cause.{}.cure", cause.label())]);
        }
        for reason in QUARANTINED {
            keys.extend([format!("reason.{reason}"), format!("reason.{reason}.cure")]);
        }
        keys.extend(EventType::ALL.iter().map(|event_type| format!("type.{}", event_type.as_str())));
        keys.extend(CallbackResult::ALL.iter().map(|result| format!("result.{}", result.label())));
        keys.extend(Complaint::ALL.iter().map(|complaint| format!("complaint.{}", complaint.label())));
        for hint in HINTS {
            keys.extend([format!("hintname.{hint}"), format!("hint.{hint}"), format!("cure.{hint}")]);
        }
        for key in keys {
            assert!(words.contains_key(&key), "{key} has no words");
        }
    }
}

#[test]
fn every_hint_is_in_the_list_whose_words_are_checked() {
    let rules = include_str!("hints.rs").split("#[cfg(test)]").next().unwrap();
    let named = rules.split("Hint::new(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let named =
        named.filter(|id| *id != "recovered").chain(rules.split("(\"quarantine_").skip(1).map(|_| "quarantine_other"));
    for id in named {
        assert!(HINTS.contains(&id), "{id}");
    }
}
