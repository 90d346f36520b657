//! Signs, encrypts and posts one push, in WeChat's wire form, and delivers it again as WeChat does.

use std::{
    error::Error,
    fmt::{self, Display},
    io,
    time::{Duration, Instant},
};

use bytes::Bytes;
use reqwest::{
    Client, StatusCode,
    header::{ACCEPT, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, PRAGMA, USER_AGENT},
    redirect::Policy,
};

use super::push::{Clear, Push};
use crate::protocol::Credentials;

/// WeChat hangs up after this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first delivery and three more.
const DELIVERIES: usize = 4;

/// Where pushes go, and in whose name.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Target {
    /// The server URL, which may have a query of its own.
    pub(in crate::cli) url: String,
    /// Mode, token, key and AppID.
    pub(in crate::cli) credentials: Credentials,
    /// `ToUserName`
    pub(in crate::cli) to_user: String,
}

/// How one delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum Answer {
    /// 200 with `success` or an empty body: WeChat does not deliver it again.
    Accepted,
    /// 200 with another body.
    IllegalReply,
    /// Another status.
    Status(u16),
    /// None within five seconds.
    Timeout,
    /// The URL's host has no address.
    NameNotFound,
    /// Nothing listens there.
    Refused,
    /// TLS came as far as the certificate: not signed by anybody known, for another name, or not valid now.
    CertificateNotTrusted,
    /// What answers does not speak TLS, or not as this client does.
    TlsFailed,
    /// The connection was cut, or what came is no HTTP.
    NoConnection,
}

impl Answer {
    /// Why there is no answer.
    fn missing(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        // The libraries below give most causes no types of their own.
        let mut told = String::new();
        let mut cause = error.source();
        while let Some(known) = cause {
            if known.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
                return Self::Refused;
            }
            told += &known.to_string();
            cause = known.source();
        }
        let says = |words: &str| told.contains(words);
        if says("dns error") {
            Self::NameNotFound
        } else if says("certificate verify failed") {
            Self::CertificateNotTrusted
        } else if says("SSL") || says("TLS") {
            Self::TlsFailed
        } else {
            Self::NoConnection
        }
    }
}

impl Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("200 success"),
            Self::IllegalReply => f.write_str("200, but another body"),
            Self::Status(404) => f.write_str("404 (the URL's path is not that of an account: see account.path)"),
            Self::Status(status) => write!(f, "{status}"),
            Self::Timeout => f.write_str("none in 5 s"),
            Self::NameNotFound => f.write_str("none: name not found (has the URL's host a DNS record?)"),
            Self::Refused => f.write_str("none: connection refused (nothing listens at the URL's host and port)"),
            Self::CertificateNotTrusted => f.write_str(
                "none: certificate not trusted (it must be for this name, valid now, and come with its full chain)",
            ),
            Self::TlsFailed => f.write_str("none: TLS failed (does that port speak plain http?)"),
            Self::NoConnection => f.write_str("no connection"),
        }
    }
}

/// One delivery.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Attempt {
    pub(in crate::cli) answer: Answer,
    /// From before the connection to the answer's last byte.
    pub(in crate::cli) latency: Duration,
}

/// The sending side.
#[derive(Debug, Clone)]
pub(in crate::cli) struct WeChat {
    client: Client,
    target: Target,
}

impl WeChat {
    /// Prepares to post to `target`; WeChat itself opens a connection for every push.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub(in crate::cli) fn new(target: Target, keep_alive: bool) -> reqwest::Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static("Mozilla/4.0"));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        if !keep_alive {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let client = Client::builder()
            .default_headers(headers)
            .http1_only()
            .http1_title_case_headers()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(PATIENCE)
            .build()?;
        Ok(Self { client, target })
    }

    /// `ToUserName` of the events it makes.
    pub(in crate::cli) fn to_user(&self) -> &str {
        &self.target.to_user
    }

    /// Where it posts to.
    pub(in crate::cli) fn url(&self) -> &str {
        &self.target.url
    }

    /// Makes the push of a clear body; `seed` decides its random bytes.
    pub(in crate::cli) fn push(&self, clear: Clear, seed: u64) -> Push {
        Push::compose(clear, &self.target.credentials, seed)
    }

    /// The address of a push: the server URL may have a query of its own, which goes first.
    pub(in crate::cli) fn address(&self, push: &Push) -> String {
        let url = &self.target.url;
        let separator = if url.contains('?') { '&' } else { '?' };
        format!("{url}{separator}{}", push.query)
    }

    /// Posts until it is accepted, four times at most, always the same query and body.
    pub(in crate::cli) async fn deliver(&self, push: &Push) -> Vec<Attempt> {
        let address = self.address(push);
        let mut attempts = Vec::with_capacity(1);
        for _ in 0..DELIVERIES {
            let started = Instant::now();
            let answer = self.post(&address, push.body.clone()).await.unwrap_or_else(|error| Answer::missing(&error));
            attempts.push(Attempt { answer, latency: started.elapsed() });
            if answer == Answer::Accepted {
                break;
            }
        }
        attempts
    }

    async fn post(&self, address: &str, body: Bytes) -> reqwest::Result<Answer> {
        let response = self.client.post(address).body(body).send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        Ok(match (status, body.as_ref()) {
            (StatusCode::OK, b"success" | b"") => Answer::Accepted,
            (StatusCode::OK, _) => Answer::IllegalReply,
            (other, _) => Answer::Status(other.as_u16()),
        })
    }
}
