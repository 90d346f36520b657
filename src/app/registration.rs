//! How each topic's values are written, and the registration of the Avro schema where one is needed.

use std::time::Duration;

use anyhow::Context as _;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::sleep;

use crate::{
    config::{self, Format},
    event::{Encoding, SchemaId, avro_schema},
    schema_registry::{Registry, RegistryError},
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

/// Between two tries: at first, and at most, which is also how often a registry that answers is asked again.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(15)];

impl Registration {
    /// Registers every subject, and again for as long as the service runs: whoever reads needs the registry too, so that it
    /// is away has to be known; and one that lost its schemas gives other ids. Events wait only while there is no id.
    pub(super) async fn run(self, up: Gauge) {
        let schema = avro_schema().to_string();
        let [first, longest] = PAUSES;
        up.set(0);
        let (mut pause, mut was_up) = (first, true);
        loop {
            let is_up = self.register_all(&schema, was_up).await;
            up.set(is_up.into());
            if is_up && !was_up {
                tracing::info!("the schema registry answers again");
            }
            sleep(if is_up { longest } else { pause }).await;
            pause = if is_up { first } else { (pause * 2).min(longest) };
            was_up = is_up;
        }
    }

    /// Whether the registry gave an id for every subject.
    async fn register_all(&self, schema: &str, was_up: bool) -> bool {
        let mut all = true;
        for (subject, id) in &self.subjects {
            match (self.registry.register(subject, schema).await, id.get()) {
                (Ok(new), old) => {
                    id.set(new);
                    tell(subject, new, old);
                }
                (Err(error), known) => {
                    all = false;
                    match known {
                        None => {
                            tracing::warn!(subject, %error, "the schema registry gives no id: events wait in the spool");
                        }
                        // Once an outage.
                        Some(id) if was_up => {
                            tracing::warn!(subject, id, %error, "the schema registry is away: events go on under the id known");
                        }
                        Some(_) => (),
                    }
                    // The other subjects would wait for the same answer.
                    if matches!(error, RegistryError::Away(_)) {
                        break;
                    }
                }
            }
        }
        all
    }
}

/// What is new about an id.
fn tell(subject: &str, new: u32, old: Option<u32>) {
    match old {
        None => tracing::info!(subject, id = new, "the schema registry knows the schema"),
        Some(old) if old != new => {
            tracing::warn!(
                subject,
                old,
                id = new,
                "the schema registry gives another id: it lost its schemas, or is another one"
            );
        }
        Some(_) => (),
    }
}
