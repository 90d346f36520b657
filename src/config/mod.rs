//! File, environment and flags into one validated [`Config`]; every error at once, each with its key and its cure.
//!
//! The only place that reads the environment. Does not depend on how a value is used.

mod account;
mod changes;
mod error;
mod forward;
mod kafka_options;
mod overlay;
mod print;
mod raw;
mod section;
#[cfg(test)]
mod tests;
mod traces;
mod validate;
mod values;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use secrecy::{ExposeSecret as _, SecretString};

pub use self::{
    error::ConfigError,
    forward::{OtherPolicy, Route, Upstream, UpstreamFailure, upstream_url},
};
pub use crate::delivery::AnswerAfter;
use crate::{
    protocol::Credentials,
    wechat_api::{AppSecret, Caller},
};

/// A secret other than tokens and keys. Prints as `[redacted]`, zeroed on drop.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(SecretString::from(secret.into()))
    }

    /// The secret itself, for the one place that sends or compares it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The validated configuration (contract §4.1).
#[derive(Debug, Clone)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[admin]`
    pub admin: Admin,
    /// `[[account]]`, at least one.
    pub accounts: Vec<Account>,
    /// `[kafka]`
    pub kafka: Kafka,
    /// `[spool]`
    pub spool: Spool,
    /// `[delivery]`
    pub delivery: Delivery,
    /// `[dedup]`
    pub dedup: Dedup,
    /// `[wechat_api]`
    pub wechat_api: WeChatApi,
    /// `[unverified]`
    pub unverified: Unverified,
    /// `[log]`
    pub log: Log,
    /// Whether OpenTelemetry's standard variables ask for traces; its SDK reads the rest of them.
    pub traces: bool,
}

impl Config {
    /// Reads the file, then `environment` over it, then `overrides` (flags, by dotted key) over both.
    ///
    /// `token` and `token_file` are one thing said in two ways: setting either replaces both of a lower source.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: &[(String, String)],
    ) -> Result<Self, Vec<ConfigError>> {
        let mut raw = file.map_or_else(|| Ok(raw::Raw::default()), raw::Raw::read)?;
        let mut errors = Vec::new();
        let (of_traces, ours): (Vec<_>, Vec<_>) =
            environment.into_iter().partition(|(variable, _)| traces::is_meant(variable));
        overlay::environment(&mut raw, ours, &mut errors);
        overlay::flags(&mut raw, overrides, &mut errors);
        let traces = traces::are_sent(&of_traces, &mut errors);
        validate::validate(raw, traces, errors)
    }

    /// A promise that was asked for and is not kept: its key, what was found, and the cure.
    #[must_use]
    pub fn without_effect(&self) -> Option<(&'static str, &'static str, &'static str)> {
        self.delivery.kafka_only_without_brokers.then_some((
            "delivery.answer_after",
            "\"kafka_only\" has no effect: kafka.brokers is empty, and answers wait for the disk",
            "write kafka.brokers = [\"host:9092\"], or answer_after = \"disk\"",
        ))
    }

    /// In whose name WeChat's API is called: the first account with an AppSecret.
    #[must_use]
    pub fn api_caller(&self) -> Option<Caller> {
        self.accounts.iter().find_map(|account| {
            let app_id = account.credentials.app_id.as_ref()?.as_str().to_owned();
            Some(Caller { app_id, app_secret: account.app_secret.clone()? })
        })
    }
}

/// The variables of the process that are meant for cardhook or for OpenTelemetry. What is not UTF-8 in them becomes U+FFFD, which
/// [`Config::load`] refuses.
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, value)| overlay::is_meant(name, value) || traces::is_meant(name))
        .collect()
}

/// The language that the environment asks for, such as `zh_CN.UTF-8`: the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is
/// set.
#[must_use]
pub fn locale() -> Option<String> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set).map(|locale| locale.to_string_lossy().into_owned())
}

/// Whether systemd hands secrets over to this process (`LoadCredential`): those never change while it runs.
#[must_use]
pub fn has_system_credentials() -> bool {
    std::env::var_os("CREDENTIALS_DIRECTORY").is_some()
}

/// `[server]`: the public listener.
#[derive(Debug, Clone)]
pub struct Server {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Largest accepted body, bytes.
    pub max_body_bytes: usize,
    /// Who may call; empty: anyone.
    pub allow_from: Vec<Source>,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// One of `server.allow_from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The addresses that WeChat publishes its callbacks to come from.
    WeChat,
    /// A network.
    Network(IpNet),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WeChat => f.write_str(validate::WECHAT),
            Self::Network(network) => network.fmt(f),
        }
    }
}

/// `[admin]`: the admin listener.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Bearer token; required unless `listen` is a loopback address.
    pub token: Option<Secret>,
    /// Whether the console runs.
    pub console: bool,
}

/// Where an account's token and key are read from; `None`: they stand in the configuration or in a variable.
#[derive(Debug, Clone, Default)]
pub struct SecretFiles {
    /// Of the token.
    pub token: Option<String>,
    /// Of the EncodingAESKey.
    pub aes_key: Option<String>,
}

/// One `[[account]]`.
#[derive(Debug, Clone)]
pub struct Account {
    /// `[a-z0-9-]{1,32}`
    pub name: String,
    /// The URL path of its callbacks.
    pub path: String,
    /// Expected `ToUserName`.
    pub account_id: Option<String>,
    /// Mode, tokens, keys, AppID.
    pub credentials: Credentials,
    /// The files that hold its token and its key.
    pub secret_files: SecretFiles,
    /// How old a callback's timestamp may be.
    pub max_age: Option<Duration>,
    /// What to do with messages that are no card events.
    pub other: OtherPolicy,
    /// The application behind, when something is forwarded to it.
    pub upstream: Option<Upstream>,
    /// Of WeChat's own API. With it there is an AppID.
    pub app_secret: Option<AppSecret>,
    /// A file that a token server keeps: `cardhook card` calls with its access token, in place of one of the AppSecret.
    pub access_token_file: Option<PathBuf>,
}

/// `kafka.format`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON, CloudEvents in binary mode.
    Json,
    /// CloudEvents in structured mode.
    CloudEvents,
    /// Avro in a schema registry's framing.
    Avro,
}

/// `[kafka]`
#[derive(Debug, Clone)]
pub struct Kafka {
    /// `host:port` each; empty: the spool is the store.
    pub brokers: Vec<String>,
    /// Topic of card events.
    pub topic: String,
    /// Topic of quarantined pushes.
    pub dlq_topic: String,
    /// Topic of other messages.
    pub other_topic: String,
    /// How values are written.
    pub format: Format,
    /// The schema registry's address, with [`Format::Avro`]; it can hold a password.
    pub schema_registry: Option<Secret>,
    /// `sasl.password`
    pub sasl_password: Option<Secret>,
    /// Further librdkafka properties, validated against the reserved ones (stack.md).
    pub options: Vec<(String, Secret)>,
}

impl Kafka {
    /// librdkafka's properties, less what only a producer has.
    #[must_use]
    pub fn client_properties(&self) -> Vec<(String, String)> {
        let mut properties = vec![("bootstrap.servers".to_owned(), self.brokers.join(","))];
        properties.extend(self.options.iter().map(|(key, value)| (key.clone(), value.expose().to_owned())));
        let password = self.sasl_password.as_ref().map(|secret| secret.expose().to_owned());
        properties.extend(password.map(|password| ("sasl.password".to_owned(), password)));
        properties
    }
}

/// `[spool]`
#[derive(Debug, Clone)]
pub struct Spool {
    /// The folder.
    pub path: PathBuf,
    /// Bound of the bytes of pending records.
    pub max_bytes: u64,
}

/// `[delivery]`
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What `success` waits for. Always `Disk` without brokers.
    pub answer_after: AnswerAfter,
    /// `kafka_only` was written, and there are no brokers.
    pub kafka_only_without_brokers: bool,
    /// How long an answer waits for the broker's ack; at most 3 s.
    pub ack_timeout: Duration,
    /// How long a stop may take to finish requests and flush.
    pub shutdown_timeout: Duration,
}

/// `[dedup]`
#[derive(Debug, Clone)]
pub struct Dedup {
    /// How long ids are remembered after receipt.
    pub window: Duration,
    /// Bound of the remembered ids, bytes.
    pub max_bytes: u64,
}

/// `[wechat_api]`
#[derive(Debug, Clone)]
pub struct WeChatApi {
    /// Where WeChat's API is called, without a slash at its end.
    pub base_url: String,
}

/// `[unverified]`: pushes that failed verification.
#[derive(Debug, Clone)]
pub struct Unverified {
    /// How long they are kept after receipt.
    pub window: Duration,
    /// Bound of their bytes; 0: nothing is kept.
    pub max_bytes: u64,
}

/// `[log]`
#[derive(Debug, Clone)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`.
    pub level: tracing::Level,
    /// Lines for people or for machines.
    pub format: LogFormat,
}

/// `log.format`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
