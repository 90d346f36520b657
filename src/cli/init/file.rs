//! The text of `cardhook.toml`.

use std::path::{Path, PathBuf};

use super::answers::Answers;

/// Where the spool is: the system's place for the system's administrator, else beside the configuration.
pub(super) fn spool_path(folder: &Path) -> PathBuf {
    if rustix::process::geteuid().is_root() { "/var/lib/cardhook".into() } else { folder.join("spool") }
}

/// The configuration for files in `folder`.
pub(super) fn config(answers: &Answers, folder: &Path, spool: &Path) -> String {
    let name = &answers.account;
    config_with_secrets(answers, &folder.join(format!("{name}.token")), &folder.join(format!("{name}.aes_key")), spool)
}

/// The configuration with the secrets' files at these places.
pub(super) fn config_with_secrets(answers: &Answers, token: &Path, aes_key: &Path, spool: &Path) -> String {
    let Answers { account, app_id, mode, brokers, public_url } = answers;
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let path = |path: &Path| quoted(&path.display().to_string());
    let (token, aes_key, spool) = (path(token), path(aes_key), path(spool));
    let app_id =
        if app_id.is_empty() { "# app_id = \"wx…\"".to_owned() } else { format!("app_id = {}", quoted(app_id)) };
    let list: Vec<_> = brokers.iter().map(|broker| quoted(broker)).collect();
    let (list, account, mode) = (list.join(", "), quoted(account), quoted(mode));
    format!(
        r#"# cardhook. Every key, with its default: deploy/cardhook.example.toml. What is wrong: cardhook check --config FILE

[server]
listen = "0.0.0.0:8080"         # a proxy stands before it and ends TLS: WeChat calls {public_url}
# trusted_proxies = ["127.0.0.1/32"]   # where the proxy calls from
# allow_from = ["wechat"]              # only WeChat's own addresses may call; needs app_secret_file below

[admin]
listen = "127.0.0.1:9090"       # /livez, /readyz, /metrics, and the console: http://127.0.0.1:9090/console/

[[account]]
name = {account}
{app_id}
token_file = {token}
aes_key_file = {aes_key}
mode = {mode}
# app_secret_file = "…"         # for `cardhook card`, and for allow_from = ["wechat"]

[kafka]
brokers = [{list}]              # []: events stay in the spool, and `cardhook spool export` prints them

[spool]
path = {spool}                  # on a local disk: it holds what Kafka has not acknowledged yet
"#
    )
}
