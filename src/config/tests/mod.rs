//! The rules of contract §4.1, one sentence each.

mod app_secret;
mod forward;
mod rules;
mod secrets;
mod sources;

use std::{io::Write, path::PathBuf};

use super::*;

/// 43 characters, invented.
const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// The least that a plaintext account and a broker need.
const LEAST: &str = r#"
[[account]]
name = "shop"
token = "s3cretT0ken"
mode = "plaintext"
[kafka]
brokers = ["a:9092"]
"#;

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load_with(text: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, Vec<ConfigError>> {
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    Config::load(Some(file(text).path()), owned(environment), &owned(flags))
}

fn load(text: &str) -> Result<Config, Vec<ConfigError>> {
    load_with(text, &[], &[])
}

/// The keys of the errors of [`LEAST`] with one line put in place of another.
fn keys_with(old: &str, new: &str) -> Vec<String> {
    assert!(LEAST.contains(old), "{old}");
    keys(load(&LEAST.replace(old, new)))
}

/// The keys of the errors of [`LEAST`] with further sections behind it.
fn keys_after(more: &str) -> Vec<String> {
    keys(load(&format!("{LEAST}{more}")))
}

fn keys(loaded: Result<Config, Vec<ConfigError>>) -> Vec<String> {
    loaded.map_or_else(|errors| errors.into_iter().map(|error| error.key).collect(), |_| Vec::new())
}

#[test]
fn the_least_configuration_has_every_default_of_the_contract() {
    let config = load(LEAST).unwrap();
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.server.max_body_bytes, 65_536);
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9090");
    assert!(config.admin.token.is_none());
    assert_eq!(config.accounts[0].path, "/wechat/shop");
    assert_eq!(config.accounts[0].other, OtherPolicy::Ignore);
    assert_eq!(config.kafka.topic, "wechat.card.events");
    assert_eq!(config.kafka.dlq_topic, "wechat.card.dlq");
    assert_eq!(config.kafka.other_topic, "wechat.other");
    assert_eq!(config.spool.path, PathBuf::from("/var/lib/cardhook"));
    assert_eq!(config.spool.max_bytes, 8 << 30);
    assert_eq!(config.delivery.answer_after, AnswerAfter::Kafka);
    assert_eq!(config.delivery.ack_timeout, Duration::from_secs(2));
    assert_eq!(config.delivery.shutdown_timeout, Duration::from_secs(8));
    assert_eq!(config.dedup.window, Duration::from_hours(48));
    assert_eq!(config.dedup.max_bytes, 6 << 30);
    assert_eq!((config.log.level, config.log.format), (tracing::Level::INFO, LogFormat::Text));
}

#[test]
fn every_key_with_its_default_passes() {
    let all = format!(
        r#"
[server]
listen = "0.0.0.0:8080"
max_body_bytes = 65536
allow_from = []
trusted_proxies = []
[admin]
listen = "127.0.0.1:9090"
token = "operator"
[[account]]
name = "shop"
path = "/wechat/shop"
app_id = "wx0123456789abcdef"
account_id = "gh_0123456789ab"
token = "s3cretT0ken"
previous_token = "0lderT0ken"
aes_key = "{KEY}"
previous_aes_key = "{KEY}"
mode = "secure"
other = "ignore"
upstream_failure = "fail"
upstream_max_in_flight = 256
forward_cards = false
app_secret = "0123456789abcdef0123456789abcdef"
[kafka]
brokers = []
topic = "wechat.card.events"
dlq_topic = "wechat.card.dlq"
other_topic = "wechat.other"
format = "json"
sasl_password = "hunter2"
[kafka.options]
[spool]
path = "/var/lib/cardhook"
max_bytes = "8GiB"
[delivery]
answer_after = "kafka"
ack_timeout = "2s"
shutdown_timeout = "8s"
[dedup]
window = "48h"
max_bytes = "6GiB"
[log]
level = "info"
format = "text"
"#
    );
    assert_eq!(keys(load(&all)), [""; 0]);
}

#[test]
fn the_example_in_deploy_loads() {
    let example = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/cardhook.example.toml");
    let text = std::fs::read_to_string(example).unwrap();
    // Its secrets stand in files of the machine that runs the service.
    let text = text.replace("token_file = \"/etc/cardhook/shop.token\"", "token = \"s3cretT0ken\"");
    let text = text.replace("aes_key_file = \"/etc/cardhook/shop.aes_key\"", &format!("aes_key = \"{KEY}\""));
    assert_eq!(load(&text).unwrap().accounts[0].name, "shop");
}

#[test]
fn every_error_is_told_at_once_with_its_key_and_a_cure() {
    let errors = load(
        r#"
[server]
listen = "localhost:80"
lisen = "0.0.0.0:80"
[[account]]
name = "Shop"
mode = "safe"
[delivery]
ack_timeout = "5s"
[lgo]
level = "info"
"#,
    )
    .unwrap_err();
    assert!(errors.iter().all(|error| !error.problem.is_empty() && !error.cure.is_empty()), "{errors:?}");
    assert_eq!(
        keys(Err(errors)),
        [
            "server.listen",
            "server.lisen",
            "kafka.brokers",
            "delivery.ack_timeout",
            "lgo",
            "account.Shop.name",
            "account.Shop.mode",
            "account.Shop.token",
            "account.Shop.app_id",
            "account.Shop.aes_key",
        ]
    );
}

#[test]
fn an_error_says_what_was_found_and_where() {
    let errors = load(&LEAST.replace("a:9092", "a")).unwrap_err();
    assert_eq!(errors[0].to_string(), "kafka.brokers: \"a\" is no host:port; write each as \"host:9092\"");
    let errors = load_with(LEAST, &[("CARDHOOK__SERVER__LISTEN", "here")], &[]).unwrap_err();
    assert_eq!(errors[0].problem, "\"here\" is no IP address with a port (CARDHOOK__SERVER__LISTEN)");
    let errors = load(&format!("{LEAST}[log]\nlevel = 3")).unwrap_err();
    assert_eq!(errors[0].problem, "3 is no text (line 9)");
}

#[test]
fn an_unknown_key_gets_the_nearest_known_one() {
    let errors = load(&format!("{LEAST}[server]\nmax_body_byte = 1")).unwrap_err();
    assert_eq!(
        (errors[0].key.as_str(), errors[0].cure.as_str()),
        ("server.max_body_byte", "did you mean max_body_bytes?")
    );
    let errors = load(&format!("{LEAST}[sever]\nlisten = 1")).unwrap_err();
    assert_eq!((errors[0].key.as_str(), errors[0].cure.as_str()), ("sever", "did you mean server?"));
}

#[test]
fn a_file_that_is_not_there_is_an_error_with_its_path() {
    let errors = Config::load(Some(Path::new("/nowhere/cardhook.toml")), [], &[]).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].key, "/nowhere/cardhook.toml");
    assert!(errors[0].problem.contains("cannot be read"), "{errors:?}");
}

#[test]
fn an_error_of_syntax_has_file_line_and_column_and_shows_nothing_of_the_line() {
    let broken = file("[server]\nlisten = \"0.0.0.0:80\"\n[[account]]\ntoken = s3cretT0ken\n");
    let errors = Config::load(Some(broken.path()), [], &[]).unwrap_err();
    assert_eq!(errors[0].key, format!("{}:4:9", broken.path().display()));
    assert!(!errors[0].to_string().contains("s3cret"), "{errors:?}");
}

#[test]
fn what_is_no_section_is_an_error() {
    assert_eq!(keys(load("listen = 1")), ["listen"]);
    assert_eq!(keys(load("[account]\nname = \"shop\"")), ["account"]);
    assert_eq!(keys(load("[kafka]\nbrokers = []\noptions = 1")), ["kafka.options"]);
    assert_eq!(keys(load("account = [1]")), ["account"]);
}

#[test]
fn the_effective_configuration_reads_back_the_same() {
    let more =
        "[kafka.options]\nsecurity.protocol = \"ssl\"\n[server]\nmax_body_bytes = \"2000\"\n[log]\nlevel = \"debug\"";
    let config = load(&format!("{LEAST}{more}")).unwrap();
    let effective = config.effective();
    let again = load(&effective.replace("[redacted]", "s3cretT0ken")).unwrap();
    assert_eq!(again.effective(), effective);
    assert!(effective.contains("max_body_bytes = 2000\n"), "{effective}");
    assert!(effective.contains("\"security.protocol\" = \"ssl\"\n"), "{effective}");
}
