//! `schemas/` is what the types generate, and what is published fits it.

use std::{fs, path::PathBuf};

use serde_json::Value;

use super::{document, published, push};
use crate::event::{
    EventType,
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
