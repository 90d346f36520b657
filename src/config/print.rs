//! The effective configuration as TOML, every default written out, every secret as `[redacted]`.
//!
//! Does not depend on where a value came from.

use std::fmt::{Display, Write};

use super::{
    Account, AnswerAfter, Config, Format, LogFormat, OtherPolicy, Upstream, UpstreamFailure, kafka_options,
    values::{show_duration, show_size},
};
use crate::protocol::AppId;

pub(super) const REDACTED: &str = "[redacted]";

impl Config {
    /// The effective configuration as TOML without secrets.
    #[must_use]
    pub fn effective(&self) -> String {
        let mut page = Page(String::new());
        page.section("[server]");
        page.text("listen", self.server.listen);
        page.bare("max_body_bytes", self.server.max_body_bytes);
        page.list("allow_from", &self.server.allow_from);
        page.list("trusted_proxies", &self.server.trusted_proxies);
        page.section("[admin]");
        page.text("listen", self.admin.listen);
        page.secret("token", self.admin.token.is_some());
        page.bare("console", self.admin.console);
        for account in &self.accounts {
            page.account(account);
        }
        self.print_kafka(&mut page);
        page.section("[spool]");
        page.text("path", self.spool.path.display());
        page.text("max_bytes", show_size(self.spool.max_bytes));
        page.section("[delivery]");
        page.text("answer_after", answer_after(self.delivery.answer_after));
        page.text("ack_timeout", show_duration(self.delivery.ack_timeout));
        page.text("shutdown_timeout", show_duration(self.delivery.shutdown_timeout));
        page.section("[dedup]");
        page.text("window", show_duration(self.dedup.window));
        page.text("max_bytes", show_size(self.dedup.max_bytes));
        page.section("[wechat_api]");
        page.text("base_url", &self.wechat_api.base_url);
        page.section("[unverified]");
        page.text("window", show_duration(self.unverified.window));
        page.text("max_bytes", show_size(self.unverified.max_bytes));
        page.section("[log]");
        page.text("level", self.log.level.as_str().to_ascii_lowercase());
        page.text("format", log_format(self.log.format));
        page.0
    }

    fn print_kafka(&self, page: &mut Page) {
        let kafka = &self.kafka;
        page.section("[kafka]");
        page.list("brokers", &kafka.brokers);
        page.text("topic", &kafka.topic);
        page.text("dlq_topic", &kafka.dlq_topic);
        page.text("other_topic", &kafka.other_topic);
        page.text("format", kafka_format(kafka.format));
        page.secret("schema_registry", kafka.schema_registry.is_some());
        page.secret("sasl_password", kafka.sasl_password.is_some());
        page.section("[kafka.options]");
        for (name, value) in &kafka.options {
            page.text(&quoted(name), if kafka_options::is_secret(name) { REDACTED } else { value.expose() });
        }
    }
}

/// TOML in the making.
struct Page(String);

impl Page {
    fn section(&mut self, header: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(header);
        self.0.push('\n');
    }

    fn bare(&mut self, key: &str, value: impl Display) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn text(&mut self, key: &str, value: impl Display) {
        self.bare(key, quoted(value));
    }

    fn list(&mut self, key: &str, values: &[impl Display]) {
        let values: Vec<_> = values.iter().map(quoted).collect();
        self.bare(key, format!("[{}]", values.join(", ")));
    }

    fn secret(&mut self, key: &str, present: bool) {
        if present {
            self.text(key, REDACTED);
        }
    }

    fn account(&mut self, account: &Account) {
        let credentials = &account.credentials;
        self.section("[[account]]");
        self.text("name", &account.name);
        self.text("path", &account.path);
        if let Some(app_id) = credentials.app_id.as_ref().map(AppId::as_str) {
            self.text("app_id", app_id);
        }
        if let Some(account_id) = &account.account_id {
            self.text("account_id", account_id);
        }
        self.secret("token", true);
        self.secret("previous_token", credentials.previous_token.is_some());
        self.secret("aes_key", credentials.aes_key.is_some());
        self.secret("previous_aes_key", credentials.previous_aes_key.is_some());
        self.text("mode", credentials.mode.name());
        if let Some(max_age) = account.max_age {
            self.text("max_age", show_duration(max_age));
        }
        match account.other {
            OtherPolicy::Ignore => self.text("other", "ignore"),
            OtherPolicy::Publish => self.text("other", "publish"),
            OtherPolicy::Forward => self.text("other", "forward"),
            OtherPolicy::PublishAndForward => self.list("other", &["publish", "forward"]),
        }
        if let Some(upstream) = &account.upstream {
            self.upstream(upstream);
        }
        self.secret("app_secret", account.app_secret.is_some());
        if let Some(file) = &account.access_token_file {
            self.text("access_token_file", file.display());
        }
    }

    /// The URL's query may hold a secret.
    fn upstream(&mut self, upstream: &Upstream) {
        let query = if upstream.url.query().is_some() { format!("?{REDACTED}") } else { String::new() };
        self.text("upstream", upstream.shown() + &query);
        self.text(
            "upstream_failure",
            match upstream.on_failure {
                UpstreamFailure::Fail => "fail",
                UpstreamFailure::Success => "success",
            },
        );
        self.bare("upstream_max_in_flight", upstream.max_in_flight);
        self.bare("forward_cards", upstream.cards);
    }
}

/// As TOML writes a text, escapes included.
fn quoted(text: impl Display) -> String {
    toml::Value::String(text.to_string()).to_string()
}

fn kafka_format(format: Format) -> &'static str {
    match format {
        Format::Json => "json",
        Format::CloudEvents => "cloudevents",
        Format::Avro => "avro",
    }
}

fn answer_after(answer_after: AnswerAfter) -> &'static str {
    match answer_after {
        AnswerAfter::Kafka => "kafka",
        AnswerAfter::Disk => "disk",
        AnswerAfter::KafkaOnly => "kafka_only",
    }
}

fn log_format(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    }
}
