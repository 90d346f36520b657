//! How each topic's values are written, and the registration of the Avro schema where one is needed.

use anyhow::Context as _;

use crate::{
    config::{self, Format},
    event::{Encoding, SchemaId, avro_schema},
    schema_registry::Registry,
};

/// The subjects to register, and where to put their ids.
#[derive(Debug)]
pub(super) struct Registration {
    registry: Registry,
    subjects: Vec<(String, SchemaId)>,
}

/// The encodings of the events', the dead letters' and the other messages' topics.
pub(super) fn encodings(kafka: &config::Kafka) -> anyhow::Result<([Encoding; 3], Option<Registration>)> {
    let of = |encoding: Encoding| [encoding.clone(), Encoding::Json, encoding];
    match kafka.format {
        Format::Json => Ok((of(Encoding::Json), None)),
        Format::CloudEvents => Ok((of(Encoding::CloudEvents), None)),
        Format::Avro => {
            let address = kafka.schema_registry.as_ref().context("kafka.schema_registry is missing")?;
            let registry = Registry::new(address.expose()).context("kafka.schema_registry cannot be used")?;
            let (events, other) = (SchemaId::default(), SchemaId::default());
            let subjects = [(&kafka.topic, &events), (&kafka.other_topic, &other)];
            let subjects = subjects.map(|(topic, id)| (format!("{topic}-value"), id.clone())).into();
            let encodings = [Encoding::Avro(events), Encoding::Json, Encoding::Avro(other)];
            Ok((encodings, Some(Registration { registry, subjects })))
        }
    }
}

/// The same for a command that sends records at once and has no spool for them to wait in.
///
/// # Errors
/// When the registry is needed and does not answer with an id.
pub async fn encodings_at_once(kafka: &config::Kafka) -> anyhow::Result<[Encoding; 3]> {
    let (encodings, registration) = encodings(kafka)?;
    if let Some(Registration { registry, subjects }) = registration {
        let schema = avro_schema().to_string();
        for (subject, id) in &subjects {
            let registered = registry.register(subject, &schema).await;
            id.set(registered.with_context(|| format!("the schema registry gives no id for {subject}"))?);
        }
    }
    Ok(encodings)
}

impl Registration {
    /// Registers subject by subject; ends when the registry has answered for each.
    pub(super) async fn run(self) {
        let schema = avro_schema().to_string();
        for (subject, id) in &self.subjects {
            id.set(self.registry.register_at_last(subject, &schema).await);
        }
    }
}
