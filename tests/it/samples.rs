//! The public samples beside the checkout: each gets the right answer, type and fields. Skipped where they are absent.

use std::{collections::HashMap, path::Path};

use serde_json::Value;

use crate::{
    spool_store::export,
    support::{
        cardhook::Setup,
        consume::python,
        http::Connection,
        shared,
        wechat::{Account, Mode},
    },
};

#[test]
fn every_public_body_becomes_what_the_python_reading_of_the_contract_says() {
    let Some(folder) = shared("fixtures") else { return };
    let mut bodies: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension != "tsv"))
        .map(|path| path.display().to_string())
        .collect();
    bodies.sort();
    let expectations = python("expect.py", &bodies.iter().map(String::as_str).collect::<Vec<_>>());
    let setup = Setup::without_brokers();
    let service = setup.serve();
    let account = Account::of(Mode::Plaintext);
    for path in &bodies {
        let push = account.push("");
        let mut connection = Connection::open(service.public).unwrap();
        let answer = connection.post(&push.target, &std::fs::read(path).unwrap()).unwrap();
        assert!(answer.is_success(), "{path}: {answer:?}");
    }
    let (quarantined, events): (Vec<Value>, Vec<Value>) =
        export(&setup.spool()).into_iter().partition(|line| line.get("dlq_reason").is_some());
    let events: HashMap<String, Value> =
        events.into_iter().map(|event| (event["event_id"].as_str().unwrap().to_owned(), event)).collect();
    let mut ids = std::collections::HashSet::new();
    for (path, expected) in bodies.iter().zip(&expectations) {
        if expected["kind"] == "card" {
            let name = Path::new(path).file_name().unwrap().display();
            let id = expected["value"]["event_id"].as_str().unwrap();
            let event = events.get(id).unwrap_or_else(|| panic!("{name}: no event of id {id}"));
            assert_value(&name.to_string(), &expected["value"], event);
            ids.insert(id);
        }
    }
    assert!(ids.len() > 30, "only {} card events among the samples", ids.len());
    assert_eq!(events.len(), ids.len(), "no other event came of them");
    let bad = expectations.iter().filter(|expected| expected["kind"] == "quarantined").count();
    assert_eq!(quarantined.len(), bad, "{quarantined:#?}");
}

/// Every expected field is there, and no others but those that only the receiver knows.
fn assert_value(name: &str, expected: &Value, event: &Value) {
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(event.get(field), Some(value), "{field} of {name}");
    }
    assert_eq!(event.as_object().unwrap().len(), expected.as_object().unwrap().len() + 3, "fields of {name}: {event}");
}
