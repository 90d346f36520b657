//! What an account forwards, and to whom: `other`, `upstream` and its companions (contract §3.3).
//!
//! Does not depend on how anything is forwarded.

use hyper::Uri;

use super::{Account, Kafka, raw::Value, section::Section, values};

/// `account.other`: what becomes of messages that are no card events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherPolicy {
    /// Answer `success`, count.
    Ignore,
    /// Publish to `kafka.other_topic`.
    Publish,
    /// Send on to the upstream, return its reply.
    Forward,
    /// Publish; once the record is safe, forward.
    PublishAndForward,
}

impl OtherPolicy {
    /// Whether the messages go to `kafka.other_topic`.
    #[must_use]
    pub fn publishes(self) -> bool {
        matches!(self, Self::Publish | Self::PublishAndForward)
    }

    /// Whether the messages go to the upstream.
    #[must_use]
    pub fn forwards(self) -> bool {
        matches!(self, Self::Forward | Self::PublishAndForward)
    }
}

/// The merchant's own application, to which something is forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// `http://…` or `https://…`, with a host, without user and password.
    pub url: Uri,
    /// What is answered when it does not answer well.
    pub on_failure: UpstreamFailure,
    /// Requests under way at most, of all threads together.
    pub max_in_flight: usize,
    /// Whether card events go to it too, once they are safe.
    pub cards: bool,
}

impl Upstream {
    /// The URL less its query, which may hold a secret.
    #[must_use]
    pub fn shown(&self) -> String {
        let url = self.url.to_string();
        url.split('?').next().unwrap_or_default().to_owned()
    }
}

/// `account.upstream_failure`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamFailure {
    /// 502 or 504, so that WeChat delivers the push again.
    Fail,
    /// 200 `success`: the push counts as handled.
    Success,
}

/// Where one kind of an account's pushes goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `card events`, `other messages`, `unreadable pushes`.
    pub pushes: &'static str,
    /// Each place in turn; empty: nowhere, they are answered `success` and counted.
    pub to: Vec<String>,
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.to.is_empty() { f.write_str("answered success") } else { f.write_str(&self.to.join(", then ")) }
    }
}

impl Account {
    /// Where each kind of its pushes goes: what the start's log and `cardhook check` say.
    #[must_use]
    pub fn routes(&self, kafka: &Kafka) -> [Route; 3] {
        let store =
            |topic: &str| if kafka.brokers.is_empty() { "the spool".to_owned() } else { format!("topic {topic}") };
        let upstream = |goes: bool| self.upstream.as_ref().filter(|_| goes).map(Upstream::shown);
        let route = |pushes, stored: Option<&String>, forwarded: bool| Route {
            pushes,
            to: stored.map(|topic| store(topic)).into_iter().chain(upstream(forwarded)).collect(),
        };
        let cards = self.upstream.as_ref().is_some_and(|upstream| upstream.cards);
        [
            route("card events", Some(&kafka.topic), cards),
            route("other messages", self.other.publishes().then_some(&kafka.other_topic), self.other.forwards()),
            route("unreadable pushes", Some(&kafka.dlq_topic), true),
        ]
    }
}

/// Reads `other`.
pub(super) fn other(section: &mut Section) -> OtherPolicy {
    let cure = "write \"ignore\", \"publish\", \"forward\" or [\"publish\", \"forward\"]";
    section.get("other", OtherPolicy::Ignore, policy, cure)
}

fn policy(value: &Value) -> Result<OtherPolicy, String> {
    let named = match value {
        Value::Text(text) => vec![text.clone()],
        _ => values::list(value)?,
    };
    let has = |name: &str| named.iter().any(|named| named == name);
    let (ignore, publish, forward) = (has("ignore"), has("publish"), has("forward"));
    if let Some(unknown) = named.iter().find(|name| !["ignore", "publish", "forward"].contains(&name.as_str())) {
        return Err(format!("names {unknown:?}, which is not one of \"ignore\", \"publish\", \"forward\""));
    }
    match (ignore, publish, forward) {
        (true, false, false) => Ok(OtherPolicy::Ignore),
        (false, true, false) => Ok(OtherPolicy::Publish),
        (false, false, true) => Ok(OtherPolicy::Forward),
        (false, true, true) => Ok(OtherPolicy::PublishAndForward),
        (false, false, false) => Err("names nothing".into()),
        (true, _, _) => Err("names \"ignore\" beside others".into()),
    }
}

/// Reads `upstream`, `upstream_failure`, `upstream_max_in_flight` and `forward_cards`. Something goes there, or it is an
/// error: an application that was named and gets nothing is a slip that nobody notices.
pub(super) fn upstream(section: &mut Section, other: OtherPolicy) -> Option<Upstream> {
    let written = "write the application's URL, such as \"http://127.0.0.1:8000/wechat\"";
    let named = section.has("upstream");
    let url = section.optional("upstream", values::text, written).and_then(|text| {
        // The text is not shown: it may hold a password.
        upstream_url(&text).map_err(|problem| section.fail("upstream", format!("{problem} (not shown)"), written)).ok()
    });
    let choices = [("fail", UpstreamFailure::Fail), ("success", UpstreamFailure::Success)];
    let cure = "write \"fail\" or \"success\"";
    let on_failure = section.get("upstream_failure", UpstreamFailure::Fail, values::one_of(&choices), cure);
    let cure = "write a whole number such as 256, without quotes";
    let max_in_flight = section.get("upstream_max_in_flight", 256, values::count(1..=65_536), cure);
    let cards = section.get("forward_cards", false, values::boolean, "write true or false, without quotes");
    if !named && (other.forwards() || cards) {
        let key = if other.forwards() { "other = \"forward\"" } else { "forward_cards" };
        section.fail("upstream", format!("is missing, and {key} needs it"), written);
    }
    if url.is_some() && !other.forwards() && !cards && !section.failed("other") && !section.failed("forward_cards") {
        let cure =
            "write other = \"forward\", or [\"publish\", \"forward\"], or forward_cards = true; or remove upstream";
        section.fail("upstream", "is there, and nothing is forwarded to it", cure);
    }
    Some(Upstream { url: url?, on_failure, max_in_flight, cards })
}

/// A whole URL of HTTP, for `upstream`.
///
/// # Errors
/// What is wrong with it, without the text, which may hold a password.
pub fn upstream_url(text: &str) -> Result<Uri, &'static str> {
    if text.contains('#') {
        return Err("holds a #: what stands behind it is never sent");
    }
    let url: Uri = text.parse().map_err(|_unparsable| "is no URL")?;
    let (Some("http" | "https"), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err("does not begin with http:// or https:// and a host");
    };
    if authority.as_str().contains('@') {
        return Err("holds a user or a password, which would stand in logs");
    }
    let host = authority.host();
    let port = authority.as_str().get(host.len()..).unwrap_or_default();
    if host.is_empty() || !(port.is_empty() || url.port_u16().is_some_and(|port| port > 0)) {
        return Err("has no host, or no port that exists");
    }
    Ok(url)
}
