//! `[kafka.options]`: librdkafka's producer properties as the operator gives them, less those that would undo the promise.
//!
//! librdkafka itself is asked about names and values. It refuses to know which properties cardhook sets on its own.

use rdkafka::{config::ClientConfig, error::KafkaError};

use super::{
    ConfigError, Secret,
    raw::{Origin, Value},
    section::Section,
};

const SAFE: &str = "an event counts as safe only when all in-sync replicas acknowledged it once, in order";
const RETRY: &str = "a record that times out leaves a gap in the order; it stays in the spool until it is acknowledged";
const REPORTS: &str = "cardhook needs every delivery report";
const BROKERS: &str = "the brokers stand in kafka.brokers";
const IN_FLIGHT: &str = "over 5 requests in flight break the order";

/// Reserved names and why. A name that ends in `*` stands for all with that beginning.
const RESERVED: [(&str, &str); 16] = [
    ("bootstrap.servers", BROKERS),
    ("metadata.broker.list", BROKERS),
    ("acks", SAFE),
    ("request.required.acks", SAFE),
    ("enable.idempotence", SAFE),
    ("enable.gapless.guarantee", SAFE),
    ("partitioner", "records are placed by murmur2_random, as Java clients place them"),
    ("transactional.id", "cardhook writes without transactions"),
    ("message.timeout.ms", RETRY),
    ("delivery.timeout.ms", RETRY),
    ("delivery.report.only.error", REPORTS),
    ("dr_*", REPORTS),
    ("dr.*", REPORTS),
    ("plugin.library.paths", "cardhook loads no foreign code"),
    ("enable.ssl.certificate.verification", "a broker that proves nothing may be anyone's"),
    ("allow.auto.create.topics", "a mistyped topic must be an error; `cardhook topics create` makes topics"),
];

/// Parts of the names whose values are secrets.
const SECRET_PARTS: [&str; 5] = ["password", "secret", "key.pem", "jaas", "oauthbearer"];

/// Whether a property's value is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_PARTS.iter().any(|part| name.contains(part))
}

/// Reads and judges every property of the section.
pub(super) fn read(mut section: Section, errors: &mut Vec<ConfigError>) -> Vec<(String, Secret)> {
    let mut options = Vec::new();
    for (name, value, origin) in section.drain() {
        match judge(&name, &value, &origin) {
            Ok(text) => options.push((name, Secret::new(text))),
            Err(error) => errors.push(error),
        }
    }
    options
}

fn judge(name: &str, value: &Value, origin: &Origin) -> Result<String, ConfigError> {
    let fail = |problem: String, cure: &str| {
        Err(ConfigError::new(format!("kafka.options.{name:?}"), format!("{problem} ({origin})"), cure))
    };
    if let Some((_, reason)) = RESERVED.iter().find(|(reserved, _)| matches(reserved, name)) {
        return fail(format!("is reserved: {reason}"), "remove it");
    }
    let text = match value {
        Value::Text(text) | Value::Untyped(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::List(_) | Value::Other(_) => {
            return fail(format!("{} is no text, integer or boolean", value.describe()), "write a text in quotes");
        }
    };
    if name.starts_with("max.in.flight") && text.trim().parse::<i64>().is_ok_and(|requests| requests > 5) {
        return fail(format!("is reserved over 5: {IN_FLIGHT}"), "write 5 or less, or remove it");
    }
    match ClientConfig::new().set(name, &text).create_native_config() {
        Ok(_) => Ok(text),
        // librdkafka's words quote the value.
        Err(KafkaError::ClientConfig(_, words, ..)) if !is_secret(name) => fail(
            format!("is refused by librdkafka: {words}"),
            "correct it by librdkafka's CONFIGURATION.md, or remove it",
        ),
        Err(_) => fail(
            "is refused by librdkafka (not shown)".into(),
            "correct name and value by librdkafka's CONFIGURATION.md, or remove it",
        ),
    }
}

fn matches(reserved: &str, name: &str) -> bool {
    match reserved.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => reserved == name,
    }
}
