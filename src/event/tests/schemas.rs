//! `schemas/` is what the types generate, and what is published fits it.

use std::{fs, path::PathBuf};

use serde_json::Value;

use super::{document, published, push};
use crate::event::{
    EventType, asyncapi, avro_schema,
    schema::{examples, schema},
};

/// Set at compile time to write the files instead of comparing them: `UPDATE_SCHEMAS=1 cargo test schemas`.
const UPDATE: bool = option_env!("UPDATE_SCHEMAS").is_some();

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema()).unwrap()
}

/// Compares a file of `schemas/` with what the types generate.
fn assert_stands(name: &str, generated: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas").join(name);
    let generated = format!("{generated:#}\n");
    if UPDATE {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &generated).unwrap();
    }
    let standing = fs::read_to_string(&path).unwrap_or_default();
    assert!(standing == generated, "schemas/{name} has drifted from the types: see schemas/README.md");
}

#[test]
fn the_schema_stands_in_its_file() {
    assert_stands("cardhook-events.v1.schema.json", &schema());
}

#[test]
fn the_asyncapi_document_and_the_avro_schema_stand_in_their_files() {
    assert_stands("cardhook-events.v1.asyncapi.json", &asyncapi().unwrap());
    assert_stands("cardhook-events.v1.avsc", &avro_schema());
}

fn released(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas/released").join(name);
    serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap()
}

/// What of the older JSON Schema a reader relies on and the newer one breaks.
fn broken_promises(older: &Value, newer: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    for (event_type, definition) in older["$defs"].as_object().unwrap() {
        let now = &newer["$defs"][event_type];
        for (field, property) in definition["properties"].as_object().unwrap() {
            let now = &now["properties"][field];
            for keyword in ["type", "const", "format", "additionalProperties"] {
                if now[keyword] != property[keyword] {
                    broken.push(format!("{event_type}.{field}: {keyword}"));
                }
            }
        }
        for field in definition["required"].as_array().unwrap() {
            if !now["required"].as_array().is_some_and(|required| required.contains(field)) {
                broken.push(format!("{event_type}.{field}: required"));
            }
        }
    }
    broken
}

#[test]
fn a_reader_of_the_last_released_json_schema_reads_todays_events() {
    let released = released("cardhook-events.v1.schema.json");
    assert_eq!(broken_promises(&released, &schema()), [""; 0]);
    assert_eq!(released["$defs"].as_object().unwrap().len(), EventType::ALL.len() + 1);
}

#[test]
fn a_field_that_goes_changes_its_type_or_becomes_optional_breaks_the_promise() {
    let today = schema();
    let broken = |change: fn(&mut Value)| {
        let mut changed = today.clone();
        change(&mut changed["$defs"]["card.viewed"]);
        broken_promises(&today, &changed)
    };
    assert_eq!(
        broken(|definition| drop(definition["properties"].as_object_mut().unwrap().remove("code"))),
        ["card.viewed.code: type"]
    );
    assert_eq!(
        broken(|definition| definition["properties"]["code"]["type"] = "integer".into()),
        ["card.viewed.code: type"]
    );
    assert_eq!(
        broken(|definition| definition["properties"]["openid"]["type"] = serde_json::json!(["string", "null"])),
        ["card.viewed.openid: type"]
    );
    assert_eq!(
        broken(|definition| drop(definition["required"].as_array_mut().unwrap().remove(0))),
        ["card.viewed.event_id: required"]
    );
    assert_eq!(
        broken(|definition| definition["properties"]["added"] = serde_json::json!({ "type": "string" })),
        [""; 0]
    );
}

#[test]
fn the_avro_schema_grows_only_at_its_end_and_by_fields_with_a_default() {
    let (released, today) = (released("cardhook-events.v1.avsc"), avro_schema());
    let [older, newer] = [&released, &today].map(|schema| schema["fields"].as_array().unwrap().clone());
    assert!(older.len() > 40 && newer.len() >= older.len());
    for (older, newer) in older.iter().zip(&newer) {
        assert_eq!((&older["name"], &older["type"]), (&newer["name"], &newer["type"]));
    }
    for added in &newer[older.len()..] {
        assert!(added.get("default").is_some(), "{added}");
    }
}

#[test]
fn an_example_of_every_type_stands_in_its_file_and_fits_the_schema() {
    let validator = validator();
    let examples = examples().unwrap();
    assert_eq!(examples.len(), EventType::ALL.len() + 1);
    for (event_type, example) in examples {
        assert_eq!(example["event_type"], event_type);
        assert_stands(&format!("examples/{event_type}.json"), &example);
        if let Err(error) = validator.validate(&example) {
            panic!("{event_type}: {error}");
        }
    }
}

#[test]
fn an_event_of_nulls_fits_the_schema_and_one_with_new_fields_too() {
    let validator = validator();
    for row in EventType::ALL {
        let mut event = published(&push(row.wechat_event().unwrap_or("new_card_event"), &[("New", "1"), ("New", "2")]));
        assert!(validator.is_valid(&event), "{event}");
        event["added_within_v1"] = 1.into();
        assert!(validator.is_valid(&event), "{event}");
    }
    assert!(validator.is_valid(&published(&document(&[]))));
}

#[test]
fn an_event_with_a_field_missing_or_of_another_json_type_does_not_fit() {
    let validator = validator();
    for (event_type, example) in examples().unwrap() {
        for field in example.as_object().unwrap().keys() {
            let mut without = example.clone();
            without.as_object_mut().unwrap().remove(field);
            assert!(!validator.is_valid(&without), "{event_type} without {field}");
            let mut odd = example.clone();
            odd[field] = serde_json::json!([1.5]);
            assert!(!validator.is_valid(&odd), "{event_type} with an odd {field}");
        }
    }
}
