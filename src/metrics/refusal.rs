//! Why requests and connections are refused: the closed sets of contract §2.3, and their counters.

use std::sync::Arc;

use prometheus_client::{encoding::EncodeLabelSet, metrics::counter::Counter};

use super::Metrics;

/// `account`, `cause`
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusalLabels {
    /// A configured account's name.
    pub account: Arc<str>,
    /// See [`Cause`].
    pub cause: &'static str,
}

/// `cause`
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ConnectionLabels {
    /// See [`NotHttp`].
    pub cause: &'static str,
}

/// Why a request to an account was refused: the label `cause` of `cardhook_refused_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// There is no query at all.
    NoQuery,
    /// One of WeChat's parameters is missing.
    MissingParameter,
    /// One of WeChat's parameters is empty, doubled or not decodable.
    MalformedParameter,
    /// Nothing verifies.
    Token,
    /// It verifies with another account's token.
    TokenOfAnotherAccount,
    /// The body is not the one that was signed, or is empty or cut.
    BodyChanged,
    /// A push came as GET.
    Redirected,
    /// Parameter names begin with `amp;`.
    EscapedQuery,
    /// Signed rightly, without `Encrypt`, for an account in secure mode.
    ClearPush,
    /// Older than `max_age`.
    Stale,
    /// More than 5 minutes ahead.
    Clock,
    /// Not from `server.allow_from`.
    Source,
    /// Over `server.max_body_bytes`.
    TooLarge,
    /// The body was not whole in time.
    Slow,
    /// The body has a `Content-Encoding`.
    Compressed,
    /// The body is JSON.
    JsonBody,
}

impl Cause {
    /// Every cause, in the order of the declaration.
    pub const ALL: [Self; 16] = [
        Self::NoQuery,
        Self::MissingParameter,
        Self::MalformedParameter,
        Self::Token,
        Self::TokenOfAnotherAccount,
        Self::BodyChanged,
        Self::Redirected,
        Self::EscapedQuery,
        Self::ClearPush,
        Self::Stale,
        Self::Clock,
        Self::Source,
        Self::TooLarge,
        Self::Slow,
        Self::Compressed,
        Self::JsonBody,
    ];

    /// The label's value, and the field of the log line.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NoQuery => "no_query",
            Self::MissingParameter => "missing_parameter",
            Self::MalformedParameter => "malformed_parameter",
            Self::Token => "token",
            Self::TokenOfAnotherAccount => "token_of_another_account",
            Self::BodyChanged => "body_changed",
            Self::Redirected => "redirected",
            Self::EscapedQuery => "escaped_query",
            Self::ClearPush => "clear_push",
            Self::Stale => "stale",
            Self::Clock => "clock",
            Self::Source => "source",
            Self::TooLarge => "too_large",
            Self::Slow => "slow",
            Self::Compressed => "compressed",
            Self::JsonBody => "json_body",
        }
    }
}

/// Why a connection was refused before it made a request: the label of `cardhook_connections_refused_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotHttp {
    /// It begins with a PROXY protocol header, of either version.
    ProxyProtocol,
    /// It begins a TLS handshake.
    TlsOnPlainPort,
    /// It is no HTTP/1 request.
    NotHttp,
    /// A request's head has too many headers or bytes.
    HeadTooLarge,
}

impl NotHttp {
    /// Every cause, in the order of the declaration.
    pub const ALL: [Self; 4] = [Self::ProxyProtocol, Self::TlsOnPlainPort, Self::NotHttp, Self::HeadTooLarge];

    /// The label's value, and the field of the log line.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::ProxyProtocol => "proxy_protocol",
            Self::TlsOnPlainPort => "tls_on_plain_port",
            Self::NotHttp => "not_http",
            Self::HeadTooLarge => "head_too_large",
        }
    }

    /// The counters of refused connections, which stand at 0 from now on, in the order of [`Self::ALL`].
    #[must_use]
    pub fn counters(metrics: &Metrics) -> [Counter; Self::ALL.len()] {
        let family = &metrics.connections_refused;
        Self::ALL.map(|cause| family.get_or_create_owned(&ConnectionLabels { cause: cause.label() }))
    }
}
