//! Does the schema registry answer, and would it take the Avro schema? Nothing is registered.

use crate::{
    config::{Config, Format},
    event::avro_schema,
    finding::Findings,
    schema_registry::{Registry, RegistryError},
};

const KEY: &str = "kafka.schema_registry";

pub(super) fn look(config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
    let kafka = &config.kafka;
    let (Format::Avro, Some(address)) = (kafka.format, &kafka.schema_registry) else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let schema = avro_schema().to_string();
    for topic in [&kafka.topic, &kafka.other_topic] {
        let subject = format!("{topic}-value");
        let answer = Registry::new(address.expose())
            .and_then(|registry| runtime.block_on(registry.would_take(&subject, &schema)));
        match answer {
            Ok(true) => findings.ok(KEY, format_args!("takes the schema of {subject}")),
            Ok(false) => findings.fail(
                KEY,
                format_args!("the schema is not compatible with the last one of {subject}"),
                "is the subject another program's? Give cardhook a topic of its own, or set the subject's compatibility to NONE",
            ),
            Err(error) => {
                findings.fail(KEY, format_args!("{subject}: {error}"), cure(&error));
                // The other subject would meet the same.
                break;
            }
        }
    }
    Ok(())
}

fn cure(error: &RegistryError) -> &'static str {
    match error {
        RegistryError::Address => "write it as http://host:port or https://host:port, with the path of its API",
        RegistryError::Away(_) => {
            "start the registry, or correct the address; until it answers, events wait in the spool"
        }
        RegistryError::Refused(401 | 403) => "write user and password into the address: http://user:password@host:port",
        RegistryError::Refused(404) => {
            "write the address with the path of Confluent's API: …/apis/ccompat/v7 for Apicurio, none for Confluent's"
        }
        RegistryError::Refused(_) => "see the registry's own log",
    }
}
