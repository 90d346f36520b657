//! Why a request was refused, in words for the operator (contract §2.3). Pure.
//!
//! Does not depend on how often it is asked and on where its findings go. Nothing of a request stands in a finding: no
//! value of the query, no byte of the body.

use std::{borrow::Cow, sync::Arc, time::Duration};

use crate::{
    http::receive::Account,
    metrics::Cause,
    protocol::{Age, Evidence, Mode, Query, QueryError, Shape, Vouched, age},
};

const HELP_TOKEN: &str = "compare the account's token with the Token of the server configuration in WeChat's console, character by \
     character (a blank or a line break at the end of a file counts), and reload";
const HELP_BETWEEN: &str =
    "look at what stands between WeChat and this server (proxy, WAF, gateway): it must pass the body on byte for byte";

/// What was found, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) cause: Cause,
    pub(super) found: Cow<'static, str>,
    pub(super) cure: Cow<'static, str>,
}

impl Finding {
    pub(super) fn new(cause: Cause, found: impl Into<Cow<'static, str>>, cure: impl Into<Cow<'static, str>>) -> Self {
        Self { cause, found: found.into(), cure: cure.into() }
    }
}

/// A refused request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused<'a> {
    /// A GET; else a POST.
    pub(super) is_get: bool,
    pub(super) query: &'a str,
    /// Empty where it was not read.
    pub(super) body: &'a [u8],
    /// It has a `Content-Encoding`.
    pub(super) is_encoded: bool,
    pub(super) now_ms: i64,
}

/// Which cause a query's error has, cheaply: the finding is made from it only when a line is due.
pub(super) fn query_cause(refused: &Refused<'_>, error: QueryError) -> Cause {
    let Refused { is_get, query, .. } = *refused;
    if query.is_empty() {
        Cause::NoQuery
    } else if query.split('&').any(|pair| pair.starts_with("amp;") || pair.starts_with("amp%3B")) {
        Cause::EscapedQuery
    } else if is_get && error == QueryError::Missing("echostr") {
        Cause::Redirected
    } else {
        match error {
            QueryError::Missing(_) => Cause::MissingParameter,
            QueryError::Doubled(_) | QueryError::Empty(_) | QueryError::Undecodable(_) => Cause::MalformedParameter,
        }
    }
}

/// The finding for a query's error.
pub(super) fn of_query(refused: &Refused<'_>, error: QueryError) -> Finding {
    let cause = query_cause(refused, error);
    let (found, cure): (Cow<'static, str>, &str) = match cause {
        Cause::NoQuery if refused.is_get => (
            "the request has no query: somebody opened the URL in a browser, a health check asks for it, or a proxy strips the \
             query"
                .into(),
            "where it is a health check, point it at the admin listener's /livez; where it is WeChat's, let the proxy pass the \
             query on (nginx: proxy_pass without a path of its own, or with $request_uri)",
        ),
        Cause::NoQuery => (
            "the request has no query, and WeChat always sends one: a proxy strips it".into(),
            "let the proxy pass the query on (nginx: proxy_pass without a path of its own, or with $request_uri)",
        ),
        Cause::EscapedQuery => (
            "names of the query begin with \"amp;\": the URL was written as HTML, & became &amp; on the way".into(),
            "look at what calls this URL, or rewrites it: the query's separator is a plain &",
        ),
        Cause::Redirected => (
            "a push came as GET, without its body: a redirect (http to https, or a slash at the end) stands before this server, \
             and WeChat does not repeat the POST"
                .into(),
            "write the URL that the redirect leads to into WeChat's console, and serve it without a redirect",
        ),
        _ => (
            error.to_string().into(),
            "a request of WeChat's has all of timestamp, nonce, and signature or msg_signature, once each (a handshake: \
             signature and echostr): look at what calls this URL, or rewrites the query",
        ),
    };
    Finding::new(cause, found, cure)
}

/// The finding for a timestamp that does not fit `max_age`.
pub(super) fn of_age(refused: &Refused<'_>, account: &Account) -> Finding {
    let max_age = account.max_age.unwrap_or(Duration::MAX);
    let query = Query::parse(refused.query).unwrap_or_default();
    let timestamp = query.timestamp.as_deref().unwrap_or_default();
    let signed = if Evidence::of(&query, refused.body).vouched_by(&account.credentials).any() {
        "its signature is right"
    } else {
        "its signature is wrong too"
    };
    match age(timestamp, max_age, refused.now_ms) {
        Age::Ahead(by) => Finding::new(
            Cause::Clock,
            format!(
                "its timestamp is {} s ahead of this server's clock, at most 300 s are taken; {signed}",
                by.as_secs()
            ),
            "compare this server's clock with a time server (timedatectl, chronyc tracking): if it is right, the sender's is \
             wrong, and the sender is hardly WeChat",
        ),
        Age::Stale(Some(by)) => Finding::new(
            Cause::Stale,
            format!(
                "its timestamp is {} s old, max_age takes {} s; {signed}",
                by.as_secs(),
                account.max_age.unwrap_or_default().as_secs()
            ),
            "WeChat delivers again for a day: give max_age at least \"24h\"; check this server's clock; a replay of an old \
             request looks the same",
        ),
        Age::Stale(None) | Age::Fits => Finding::new(
            Cause::Stale,
            "its timestamp is no number",
            "WeChat sends Unix seconds: look at what calls this URL, or rewrites the query",
        ),
    }
}

/// The finding for a body that was not read, or not taken.
pub(super) fn of_body(body: &[u8], was_read: bool) -> Finding {
    let found = match (was_read, Shape::of(body)) {
        (false, _) => "the body ended before the length that was declared for it, or its transfer coding is broken",
        (true, Shape::Empty) => "the body is empty, and WeChat's never is; WeChat is asked to send it again",
        (true, _) => "the body ends before its root element does; WeChat is asked to send it again",
    };
    Finding::new(Cause::BodyChanged, found, HELP_BETWEEN)
}

/// The finding for a signature that is wrong, or missing where the account's mode wants it: which check would verify, with
/// the account's tokens and with those of the others.
pub(super) fn of_signature(
    refused: &Refused<'_>,
    account: &Account,
    others: impl IntoIterator<Item = Arc<Account>>,
) -> Finding {
    let Ok(query) = Query::parse(refused.query) else { return token() };
    let evidence = Evidence::of(&query, refused.body);
    let own = evidence.vouched_by(&account.credentials);
    if !refused.is_get
        && (own.any() || query.signature.is_none())
        && let Some(finding) = of_push(refused, account.credentials.mode, &query, own)
    {
        return finding;
    }
    let verifies = |other: &Arc<Account>| other.name != account.name && evidence.vouched_by(&other.credentials).any();
    match others.into_iter().find(verifies) {
        Some(other) => Finding::new(
            Cause::TokenOfAnotherAccount,
            format!("it verifies with the token of the account {}, whose path is {}", other.name, other.path),
            "the two accounts' URLs are swapped in WeChat's console, or their tokens here: correct either; where both have one \
             token in the console, this account's differs here",
        ),
        None => token(),
    }
}

fn token() -> Finding {
    Finding::new(
        Cause::Token,
        "no token of this server verifies it: the token here differs from the one in WeChat's console, or it was not sent by \
         WeChat",
        HELP_TOKEN,
    )
}

/// For a push that nothing says to be signed with another token: what its body and the account's mode do not agree in.
fn of_push(refused: &Refused<'_>, mode: Mode, query: &Query<'_>, own: Vouched) -> Option<Finding> {
    if refused.is_encoded {
        return Some(Finding::new(
            Cause::Compressed,
            "the body has a Content-Encoding, which WeChat never sends",
            "something between WeChat and this server compresses requests: switch that off for this path",
        ));
    }
    let shape = Shape::of(refused.body);
    let sealed = query.msg_signature.is_some();
    let signed = own.signature;
    match (shape, mode) {
        (Shape::Json, _) => Some(Finding::new(
            Cause::JsonBody,
            "the body is JSON and not XML",
            "choose XML as the data format (数据格式) of the server configuration in WeChat's console",
        )),
        (Shape::Empty | Shape::Cut, _) => Some(Finding { cause: Cause::BodyChanged, ..of_body(refused.body, true) }),
        (Shape::Encrypted, Mode::Secure) if signed && !sealed => Some(Finding::new(
            Cause::MissingParameter,
            "parameter msg_signature is missing, and the body is encrypted: something takes it out of the query",
            "let the proxy pass the whole query on",
        )),
        (Shape::Encrypted, Mode::Compat) | (Shape::Encrypted | Shape::Clear | Shape::Unknown, Mode::Secure)
            if signed && sealed =>
        {
            Some(changed())
        }
        (Shape::Clear | Shape::Unknown, Mode::Secure) if signed => Some(Finding::new(
            Cause::ClearPush,
            "it is signed rightly and not encrypted, and the account is in secure mode here: in WeChat's console it is in \
             plaintext mode (明文模式)",
            "choose 安全模式 in WeChat's console, or set the account's mode to \"compat\" while you change it",
        )),
        (Shape::Encrypted | Shape::Clear | Shape::Unknown, Mode::Plaintext | Mode::Compat)
            if query.signature.is_none() && own.msg_signature =>
        {
            Some(Finding::new(
                Cause::MissingParameter,
                "parameter signature is missing, by which an account in this mode is verified",
                "let the proxy pass the whole query on, or set the account's mode to the console's",
            ))
        }
        (Shape::Encrypted | Shape::Clear | Shape::Unknown, Mode::Secure | Mode::Compat | Mode::Plaintext) => None,
    }
}

fn changed() -> Finding {
    Finding::new(
        Cause::BodyChanged,
        "signature verifies and msg_signature does not: the body is not the one that WeChat signed",
        HELP_BETWEEN,
    )
}
