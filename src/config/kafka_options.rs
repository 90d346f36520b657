//! `[kafka.options]`: librdkafka's producer properties as the operator gives them, less those that would undo the promise.
//!
//! librdkafka itself is asked about names and values. Does not depend on which properties cardhook sets on its own.

use std::fs::File;

use rdkafka::{config::ClientConfig, error::KafkaError, producer::BaseProducer};

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

/// Judges the properties together, as the Kafka client does when the service starts: it makes one, without brokers.
pub(super) fn judge_together(
    options: &[(String, Secret)],
    sasl_password: Option<&Secret>,
    errors: &mut Vec<ConfigError>,
) {
    let own = |error: &ConfigError| error.key.starts_with("kafka.options");
    if errors.iter().any(own) {
        return;
    }
    let get = |name: &str| options.iter().find(|(key, _)| key == name).map(|(_, value)| value.expose());
    let fail =
        |name: &str, problem: String, cure: &str| ConfigError::new(format!("kafka.options.{name:?}"), problem, cure);
    // "probe" lets librdkafka look for the system's authorities.
    let is_file =
        |name: &str, value: &str| name.ends_with(".location") && !(name == "ssl.ca.location" && value == "probe");
    for (name, value) in options {
        let path = value.expose();
        if is_file(name, path)
            && let Err(error) = File::open(path)
        {
            errors.push(fail(
                name,
                format!("{path} cannot be read: {error}"),
                "name a file that cardhook's user may read",
            ));
        }
    }
    let sasl = get("security.protocol").is_some_and(|protocol| protocol.to_ascii_lowercase().starts_with("sasl"));
    if sasl && get("sasl.mechanism").or_else(|| get("sasl.mechanisms")).is_none() {
        let cure = "write what the brokers take: \"PLAIN\", \"SCRAM-SHA-256\" or \"SCRAM-SHA-512\"";
        errors.push(fail("sasl.mechanism", "is missing, and security.protocol asks for SASL".to_owned(), cure));
    }
    if errors.iter().any(own) {
        return;
    }
    let own = options.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
    let mut client: ClientConfig = own.collect();
    if let Some(password) = sasl_password {
        client.set("sasl.password", password.expose());
    }
    if let Err(error) = client.create::<BaseProducer>() {
        let words = match error {
            KafkaError::ClientCreation(words) => words,
            other => other.to_string(),
        };
        // The words may quote a value.
        let quotes = options.iter().any(|(name, value)| is_secret(name) && words.contains(value.expose()))
            || sasl_password.is_some_and(|password| words.contains(password.expose()));
        let problem = if quotes { "(not shown: it quotes a secret)".to_owned() } else { words };
        errors.push(ConfigError::new(
            "kafka.options".to_owned(),
            format!("the Kafka client refuses them: {problem}"),
            "correct them by librdkafka's CONFIGURATION.md",
        ));
    }
}

fn matches(reserved: &str, name: &str) -> bool {
    match reserved.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => reserved == name,
    }
}
