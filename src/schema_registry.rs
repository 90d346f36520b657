//! Registering the Avro schema with a schema registry that speaks Confluent's API (`kafka.schema_registry`).
//!
//! One call, asked again by who needs it. Does not depend on the pipeline: records wait by themselves until the id is known.

use std::time::Duration;

use reqwest::{Client, StatusCode, Url, header::CONTENT_TYPE, redirect::Policy};
use serde::Deserialize;

/// For a whole call, from the name's resolution to the answer's last byte.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a registry gave no id. Shows neither its address, which can hold a password, nor its answer's text.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// `kafka.schema_registry` is no URL that has paths.
    #[error("the address is no URL of http or https")]
    Address,
    /// The registry is away, or TLS failed.
    #[error("no answer: {}", .0.to_string())]
    Away(#[source] reqwest::Error),
    /// The registry answered with an error: 409 says that the schema is not compatible with the subject's last one.
    #[error("it answered {0}{hint}", hint = if *.0 == 409 { ": the schema is not compatible with the subject's" } else { "" })]
    Refused(u16),
}

/// One registry.
#[derive(Clone)]
pub struct Registry {
    client: Client,
    base: Url,
}

/// Without the address: it can hold a password.
impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registry")
    }
}

#[derive(Deserialize)]
struct Registered {
    id: u32,
}

#[derive(Deserialize)]
struct Compatible {
    is_compatible: bool,
}

/// An error's body; the code tells a subject that is not there (40401, 40402) from a path that is not there.
#[derive(Deserialize)]
struct Refusal {
    error_code: u32,
}

impl Registry {
    /// A registry at `address`, such as `http://127.0.0.1:8081` or Apicurio's `…/apis/ccompat/v7`; a user and a password in
    /// it are sent as basic authentication.
    ///
    /// # Errors
    /// When the address is no URL, or the TLS library cannot be set up.
    pub fn new(address: &str) -> Result<Self, RegistryError> {
        let base: Url = address.trim_end_matches('/').parse().map_err(|_| RegistryError::Address)?;
        if base.cannot_be_a_base() {
            return Err(RegistryError::Address);
        }
        let client = Client::builder().redirect(Policy::none()).timeout(PATIENCE).build();
        Ok(Self { client: client.map_err(away)?, base })
    }

    /// The id of `schema` (Avro) under `subject`, which it is added to where it is new.
    ///
    /// # Errors
    /// When the registry is away or refuses the schema.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let (status, body) = self.post(&["subjects", subject, "versions"], schema).await?;
        let registered = status.is_success().then(|| serde_json::from_slice::<Registered>(&body).ok()).flatten();
        registered.map(|registered| registered.id).ok_or(RegistryError::Refused(status.as_u16()))
    }

    /// Whether `schema` could be registered under `subject`; registers nothing.
    ///
    /// # Errors
    /// When the registry is away, is not at this address, or refuses the question.
    pub async fn would_take(&self, subject: &str, schema: &str) -> Result<bool, RegistryError> {
        let path = ["compatibility", "subjects", subject, "versions", "latest"];
        let (status, body) = self.post(&path, schema).await?;
        let answer = status.is_success().then(|| serde_json::from_slice::<Compatible>(&body).ok()).flatten();
        let is_new = || {
            serde_json::from_slice::<Refusal>(&body).is_ok_and(|refusal| [40401, 40402].contains(&refusal.error_code))
        };
        match answer {
            Some(answer) => Ok(answer.is_compatible),
            None if is_new() => Ok(true),
            None => Err(RegistryError::Refused(status.as_u16())),
        }
    }

    /// One question about a schema: the answer's status and body.
    async fn post(&self, path: &[&str], schema: &str) -> Result<(StatusCode, Vec<u8>), RegistryError> {
        let mut url = self.base.clone();
        url.path_segments_mut().map_err(|()| RegistryError::Address)?.extend(path);
        let body = serde_json::json!({ "schemaType": "AVRO", "schema": schema }).to_string();
        let request = self.client.post(url).header(CONTENT_TYPE, "application/vnd.schemaregistry.v1+json").body(body);
        let answer = request.send().await.map_err(away)?;
        let status = answer.status();
        Ok((status, answer.bytes().await.map_err(away)?.to_vec()))
    }
}

fn away(error: reqwest::Error) -> RegistryError {
    RegistryError::Away(error.without_url())
}
