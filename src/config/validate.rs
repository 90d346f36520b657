//! From what was written to a [`Config`]: every key of contract §4.1, its type, its default and its limits.
//!
//! A value stands in for what is wrong, so that one error does not hide the next; a `Config` leaves only when there is
//! no error at all.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;

use super::{
    Account, Admin, AnswerAfter, Config, ConfigError, Dedup, Delivery, Format, Kafka, Log, LogFormat, Secret, Server,
    Source, Spool, Unverified, WeChatApi, account, kafka_options,
    raw::{Raw, Value},
    section::{Section, suggestion},
    values,
};
use crate::{protocol::MAX_BYTES, wechat_api::BASE};

const SECTIONS: [&str; 10] =
    ["server", "admin", "kafka", "kafka.options", "spool", "delivery", "dedup", "unverified", "wechat_api", "log"];
const ANSWERS: [(&str, AnswerAfter); 3] =
    [("kafka", AnswerAfter::Kafka), ("disk", AnswerAfter::Disk), ("kafka_only", AnswerAfter::KafkaOnly)];
const LEVELS: [(&str, tracing::Level); 5] = [
    ("error", tracing::Level::ERROR),
    ("warn", tracing::Level::WARN),
    ("info", tracing::Level::INFO),
    ("debug", tracing::Level::DEBUG),
    ("trace", tracing::Level::TRACE),
];
const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
/// In `server.allow_from`: the addresses that WeChat publishes.
pub(super) const WECHAT: &str = "wechat";
const ADDRESS: &str = "write an IP address and a port, such as \"0.0.0.0:8080\"";
const NETWORKS: &str = "write each as \"10.0.0.0/8\" or \"203.0.113.9\"";
const SIZE: &str = "write bytes, or a text with KiB, MiB, GiB or TiB";
const DURATION: &str = "write a whole number with ms, s, m or h, in quotes";

/// Judges everything that was written.
pub(super) fn validate(mut raw: Raw, traces: bool, mut errors: Vec<ConfigError>) -> Result<Config, Vec<ConfigError>> {
    let mut section = |name: &str| raw.sections.remove(name).unwrap_or_else(|| Section::new(name));
    let server = server(section("server"), &mut errors);
    let admin = admin(section("admin"), &mut errors);
    let kafka = kafka(section("kafka"), section("kafka.options"), &mut errors);
    let spool = spool(section("spool"), &mut errors);
    let delivery = delivery(section("delivery"), &kafka, &mut errors);
    let dedup = dedup(section("dedup"), &mut errors);
    let wechat_api = wechat_api(section("wechat_api"), &mut errors);
    let unverified = unverified(section("unverified"), &mut errors);
    let log = log(section("log"), &mut errors);
    for name in raw.sections.keys() {
        let cure = suggestion(name, SECTIONS.into_iter().chain(["[account]"]));
        errors.push(ConfigError::new(name, "is no known section", cure));
    }
    let accounts: Vec<_> = raw.accounts.into_iter().map(|section| account::read(section, &mut errors)).collect();
    across_accounts(&accounts, &mut errors);
    across_listeners(server.listen, admin.listen, &mut errors);
    wechat_can_be_asked(&server, &accounts, &mut errors);
    upstreams_lead_elsewhere(server.listen, &accounts, &mut errors);
    let config = Config { server, admin, accounts, kafka, spool, delivery, dedup, wechat_api, unverified, log, traces };
    if errors.is_empty() { Ok(config) } else { Err(errors) }
}

fn server(mut section: Section, errors: &mut Vec<ConfigError>) -> Server {
    let listen = section.get("listen", SocketAddr::from(([0, 0, 0, 0], 8080)), values::address, ADDRESS);
    let max_body_bytes = section.get("max_body_bytes", 64 << 10, values::size(1 << 10..=MAX_BYTES as u64), SIZE);
    let allow_from = section.get("allow_from", Vec::new(), values::list, NETWORKS);
    let allow_from = allow_from.iter().filter_map(|written| match written.as_str() {
        WECHAT => Some(Source::WeChat),
        written => network(&mut section, "allow_from", written).map(Source::Network),
    });
    let allow_from = allow_from.collect();
    let trusted_proxies = section.get("trusted_proxies", Vec::new(), values::list, NETWORKS);
    let trusted_proxies =
        trusted_proxies.iter().filter_map(|written| network(&mut section, "trusted_proxies", written)).collect();
    errors.extend(section.finish());
    let max_body_bytes = usize::try_from(max_body_bytes).unwrap_or(usize::MAX);
    Server { listen, max_body_bytes, allow_from, trusted_proxies }
}

fn network(section: &mut Section, name: &str, written: &str) -> Option<IpNet> {
    let network = written.parse().or_else(|_| written.parse().map(|address: IpAddr| IpNet::from(address))).ok();
    if network.is_none() {
        section.fail(name, format!("{written:?} is no network"), NETWORKS);
    }
    network
}

fn admin(mut section: Section, errors: &mut Vec<ConfigError>) -> Admin {
    let listen = section.get("listen", SocketAddr::from(([127, 0, 0, 1], 9090)), values::address, ADDRESS);
    let token = section.secret("token", bearer, "write letters, digits and signs without blanks");
    if token.is_none() && !section.failed("token") && !listen.ip().is_loopback() {
        section.fail(
            "token",
            format!("is missing, and {listen} is no loopback address"),
            "write token or token_file, or listen on 127.0.0.1",
        );
    }
    let console = section.get("console", true, values::boolean, "write true or false");
    errors.extend(section.finish());
    Admin { listen, token, console }
}

/// What an `Authorization` header can carry.
fn bearer(secret: &str) -> Result<Secret, String> {
    if !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Secret::new(secret))
    } else {
        Err("is empty, or holds a blank or a character outside ASCII".into())
    }
}

fn kafka(mut section: Section, options: Section, errors: &mut Vec<ConfigError>) -> Kafka {
    let both = "write brokers = [\"host:9092\"], or brokers = [] to keep events in the spool only";
    if !section.has("brokers") {
        section.fail("brokers", "is missing", both);
    }
    let brokers = section.get("brokers", Vec::new(), values::list, both);
    for broker in brokers.iter().filter(|broker| !is_broker(broker)) {
        section.fail("brokers", format!("{broker:?} is no host:port"), "write each as \"host:9092\"");
    }
    let topics = [("topic", "wechat.card.events"), ("dlq_topic", "wechat.card.dlq"), ("other_topic", "wechat.other")];
    let [topic, dlq_topic, other_topic] = topics.map(|(name, default)| {
        section.get(
            name,
            default.into(),
            topic,
            "a topic is 1 to 249 of A-Z, a-z, 0-9, '.', '_' and '-', and not . or ..",
        )
    });
    for (name, topic, others) in
        [("dlq_topic", &dlq_topic, [&topic].as_slice()), ("other_topic", &other_topic, [&topic, &dlq_topic].as_slice())]
    {
        if others.contains(&topic) {
            section.fail(
                name,
                format!("{topic:?} is another topic's name already"),
                "give each of the three its own name",
            );
        }
    }
    let (format, schema_registry) = format(&mut section);
    let sasl_password = section.secret("sasl_password", password, "write the password, or remove the key");
    if sasl_password.is_some() && options.has("sasl.password") {
        section.fail("sasl_password", "stands beside kafka.options.\"sasl.password\"", "keep one of them");
    }
    errors.extend(section.finish());
    let options = kafka_options::read(options, errors);
    kafka_options::judge_together(&options, sasl_password.as_ref(), errors);
    Kafka { brokers, topic, dlq_topic, other_topic, format, schema_registry, sasl_password, options }
}

/// The format, and the registry that Avro needs.
fn format(section: &mut Section) -> (Format, Option<Secret>) {
    let choices = [("json", Format::Json), ("cloudevents", Format::CloudEvents), ("avro", Format::Avro)];
    let format =
        section.get("format", Format::Json, values::one_of(&choices), "write \"json\", \"cloudevents\" or \"avro\"");
    let written = section.has("schema_registry");
    let address = "write its address, such as \"http://127.0.0.1:8081\"";
    let registry = section.optional("schema_registry", values::text, address);
    match (format, &registry) {
        (Format::Avro, None) if !written => {
            section.fail("schema_registry", "is missing: the format \"avro\" needs one", address);
        }
        (Format::Avro, Some(url)) if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) => {
            // Not shown: it can hold a password.
            section.fail("schema_registry", "begins with neither http:// nor https:// (not shown)", address);
        }
        (Format::Json | Format::CloudEvents, Some(_)) => {
            section.fail(
                "schema_registry",
                "stands beside a format that has none",
                "remove it, or write format = \"avro\"",
            );
        }
        _ => {}
    }
    (format, registry.map(Secret::new))
}

fn password(secret: &str) -> Result<Secret, String> {
    if secret.is_empty() || secret.contains('\0') {
        Err("is empty, or holds a NUL".into())
    } else {
        Ok(Secret::new(secret))
    }
}

fn is_broker(broker: &str) -> bool {
    let Some((host, port)) = broker.rsplit_once(':') else { return false };
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_is_legal = match in_brackets {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)),
    };
    host_is_legal && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn topic(value: &Value) -> Result<String, String> {
    let topic = values::text(value)?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if topic.len() <= 249 && topic != "." && topic != ".." && topic.bytes().all(legal) {
        Ok(topic)
    } else {
        Err("is no topic's name".into())
    }
}

fn spool(mut section: Section, errors: &mut Vec<ConfigError>) -> Spool {
    let path = section.get("path", "/var/lib/cardhook".into(), values::text, "write a folder on a local disk");
    let max_bytes = section.get("max_bytes", 8 << 30, values::size(values::STORE_SIZES), SIZE);
    errors.extend(section.finish());
    Spool { path: PathBuf::from(path), max_bytes }
}

fn delivery(mut section: Section, kafka: &Kafka, errors: &mut Vec<ConfigError>) -> Delivery {
    let asked = section.get("answer_after", AnswerAfter::Kafka, values::one_of(&ANSWERS), "write one of the three");
    let without_brokers = kafka.brokers.is_empty();
    let answer_after = if without_brokers { AnswerAfter::Disk } else { asked };
    let kafka_only_without_brokers = without_brokers && asked == AnswerAfter::KafkaOnly;
    // WeChat waits 5 s for an answer; what is left of them belongs to the network.
    let ack_limits = Duration::from_millis(1)..=Duration::from_secs(3);
    let ack_timeout = section.get("ack_timeout", Duration::from_secs(2), values::duration(ack_limits), DURATION);
    let stop_limits = Duration::from_millis(100)..=Duration::from_mins(5);
    let shutdown_timeout =
        section.get("shutdown_timeout", Duration::from_secs(8), values::duration(stop_limits), DURATION);
    errors.extend(section.finish());
    Delivery { answer_after, kafka_only_without_brokers, ack_timeout, shutdown_timeout }
}

fn dedup(mut section: Section, errors: &mut Vec<ConfigError>) -> Dedup {
    let limits = Duration::from_secs(1)..=*values::ANY_DURATION.end();
    let window = section.get("window", Duration::from_hours(48), values::duration(limits), DURATION);
    let max_bytes = section.get("max_bytes", 6 << 30, values::size(values::STORE_SIZES), SIZE);
    errors.extend(section.finish());
    Dedup { window, max_bytes }
}

fn wechat_api(mut section: Section, errors: &mut Vec<ConfigError>) -> WeChatApi {
    let cure = "write one such as \"https://api.weixin.qq.com\"";
    let written = section.get("base_url", BASE.to_owned(), values::text, cure);
    let base_url = values::base_url(&written).unwrap_or_else(|problem| {
        // Not shown: it can hold a password.
        section.fail("base_url", format!("{problem} (not shown)"), cure);
        BASE.to_owned()
    });
    errors.extend(section.finish());
    WeChatApi { base_url }
}

fn unverified(mut section: Section, errors: &mut Vec<ConfigError>) -> Unverified {
    let limits = Duration::from_mins(1)..=*values::ANY_DURATION.end();
    let window = section.get("window", Duration::from_hours(48), values::duration(limits), DURATION);
    let cure = "write bytes, or a text with KiB, MiB or GiB, at most 64GiB; 0 keeps nothing";
    let max_bytes = section.get("max_bytes", 64 << 20, values::size(0..=64 << 30), cure);
    errors.extend(section.finish());
    Unverified { window, max_bytes }
}

fn log(mut section: Section, errors: &mut Vec<ConfigError>) -> Log {
    let level = section.get("level", tracing::Level::INFO, values::one_of(&LEVELS), "write one of the five");
    let format = section.get("format", LogFormat::Text, values::one_of(&FORMATS), "write \"text\" or \"json\"");
    errors.extend(section.finish());
    Log { level, format }
}

fn across_accounts(accounts: &[Account], errors: &mut Vec<ConfigError>) {
    if accounts.is_empty() {
        errors.push(ConfigError::new(
            "account",
            "is missing",
            "write at least one [[account]] with a name and a token",
        ));
    }
    let (mut names, mut paths) = (HashSet::new(), HashMap::new());
    // A name that could not be read has its error already.
    for Account { name, path, .. } in accounts.iter().filter(|account| !account.name.is_empty()) {
        if !names.insert(name) {
            let problem = format!("{name:?} is another account's name already");
            errors.push(ConfigError::new(format!("account.{name}.name"), problem, "give each account its own name"));
        } else if let Some(first) = paths.insert(path, name) {
            let problem = format!("{path:?} is the path of account {first:?} already");
            errors.push(ConfigError::new(format!("account.{name}.path"), problem, "give each account its own path"));
        }
    }
}

/// WeChat tells its addresses to accounts only.
fn wechat_can_be_asked(server: &Server, accounts: &[Account], errors: &mut Vec<ConfigError>) {
    if server.allow_from.contains(&Source::WeChat) && accounts.iter().all(|account| account.app_secret.is_none()) {
        errors.push(ConfigError::new(
            "server.allow_from",
            "\"wechat\" needs an account's AppSecret, and there is none",
            "write app_secret or app_secret_file into an [[account]] with an app_id, or name networks instead",
        ));
    }
}

/// A push that is forwarded to where it was received would go round for ever.
fn upstreams_lead_elsewhere(listen: SocketAddr, accounts: &[Account], errors: &mut Vec<ConfigError>) {
    for account in accounts {
        let Some(upstream) = &account.upstream else { continue };
        let host = upstream.url.host().unwrap_or_default().trim_matches(['[', ']']);
        let here = host == "localhost"
            || host
                .parse::<IpAddr>()
                .is_ok_and(|host| host == listen.ip() || host.is_loopback() || host.is_unspecified());
        let default = if upstream.url.scheme_str() == Some("https") { 443 } else { 80 };
        let reached = listen.ip().is_unspecified() || listen.ip().is_loopback() || host == listen.ip().to_string();
        if here && reached && listen.port() != 0 && upstream.url.port_u16().unwrap_or(default) == listen.port() {
            errors.push(ConfigError::new(
                format!("account.{}.upstream", account.name),
                format!("is server.listen, {listen}: a push would come back"),
                "write the application's own address and port",
            ));
        }
    }
}

/// Port 0 is another free port each time.
fn across_listeners(server: SocketAddr, admin: SocketAddr, errors: &mut Vec<ConfigError>) {
    let same_ip = server.ip() == admin.ip() || server.ip().is_unspecified() || admin.ip().is_unspecified();
    if server.port() != 0 && server.port() == admin.port() && same_ip {
        let problem = format!("{admin} is taken by server.listen, {server}");
        errors.push(ConfigError::new("admin.listen", problem, "give the admin listener another port"));
    }
}
