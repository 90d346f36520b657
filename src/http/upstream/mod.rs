//! Forwarding to the merchant's own application (contract §3.3).
//!
//! [`Upstream`] is an account's application: its URL, what goes there, and how many requests may be under way, for all
//! worker threads together. Each worker has [`Clients`] of its own, so that no two threads wait for each other: a client is
//! a pool of connections. Nothing here runs for a push that is not forwarded. Does not depend on what a push means, nor on
//! the delivery.

mod client;
mod connect;
mod outgoing;
mod reports;
mod resolver;

use std::{sync::Arc, time::Duration};

use actix_server::GracefulShutdownSignal;
use bytes::Bytes;
use hyper::{HeaderMap, Uri};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
};

use self::{client::Client, connect::Connector, reports::Reports};
pub(super) use self::{client::Clients, outgoing::Outgoing};
use crate::metrics::{UpstreamMetrics, UpstreamResult};

/// Largest body of a reply, bytes.
const REPLY_BYTES: usize = 64 << 10;
/// How long a request under way may still take once the service stops: an application that hangs holds up no stop.
const WHEN_STOPPING: Duration = Duration::from_secs(1);

/// What is configured of an upstream.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// `http://…` or `https://…` with a host.
    pub url: Uri,
    /// Whether messages that are no card events go there.
    pub others: bool,
    /// Whether card events go there, once they are safe.
    pub cards: bool,
    /// What WeChat is answered when the application does not answer well.
    pub on_failure: OnFailure,
    /// Requests under way at most.
    pub max_in_flight: usize,
}

/// `account.upstream_failure`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// 502 or 504.
    Fail,
    /// 200 `success`.
    Success,
}

/// An account's application.
pub struct Upstream {
    settings: UpstreamSettings,
    /// What this process calls itself in `Via`: a push that comes with it has been here before.
    pseudonym: String,
    connector: Connector,
    in_flight: Semaphore,
    metrics: UpstreamMetrics,
    reports: Reports,
}

/// What the application answered.
#[derive(Debug)]
pub(super) struct Reply {
    /// 200 to 499.
    pub(super) status: u16,
    /// Without those of the connection and of the transfer.
    pub(super) headers: HeaderMap,
    /// At most [`REPLY_BYTES`].
    pub(super) body: Bytes,
}

/// Why there is no reply to return.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// No connection, or one that broke.
    #[error("no answer: {0}")]
    Refused(String),
    /// `upstream_max_in_flight` are under way.
    #[error("upstream_max_in_flight requests are under way already")]
    Busy,
    /// The push was forwarded by this process before: the upstream leads back here.
    #[error("the upstream leads back to this server: write the application's own address")]
    Loop,
    /// No whole answer in time.
    #[error("no whole answer in time")]
    Late,
    /// Status 5xx.
    #[error("it answered {0}")]
    Status(u16),
    /// A body of more than [`REPLY_BYTES`].
    #[error("its answer has more than {REPLY_BYTES} bytes")]
    TooLarge,
}

impl Failure {
    fn result(&self) -> UpstreamResult {
        match self {
            Self::Refused(_) | Self::Busy | Self::Loop => UpstreamResult::Refused,
            Self::Late => UpstreamResult::Late,
            Self::Status(_) => UpstreamResult::ErrorStatus,
            Self::TooLarge => UpstreamResult::TooLarge,
        }
    }
}

impl Upstream {
    /// Prepares to forward; connects to nothing yet.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new(
        account: &Arc<str>,
        settings: UpstreamSettings,
        metrics: UpstreamMetrics,
    ) -> Result<Self, native_tls::Error> {
        Ok(Self {
            pseudonym: format!("cardhook-{:x}-{:x}", std::process::id(), crate::clock::unix_millis()),
            connector: connect::connector()?,
            in_flight: Semaphore::new(settings.max_in_flight.min(Semaphore::MAX_PERMITS)),
            metrics,
            reports: Reports::new(Arc::clone(account)),
            settings,
        })
    }

    /// What is configured.
    #[must_use]
    pub fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }

    /// Sends a push on and reads the reply, at most until `until`; counts and reports what came of it.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(super) async fn forward(
        &self,
        client: &Client,
        outgoing: Outgoing,
        until: Instant,
        stopping: &GracefulShutdownSignal,
    ) -> Result<Reply, Failure> {
        let outcome = match self.in_flight.try_acquire() {
            _ if outgoing.came_through(&self.pseudonym) => Err(Failure::Loop),
            Err(_none_left) => Err(Failure::Busy),
            Ok(_in_flight) => tokio::select! {
                outcome = timeout_at(until, client.send(outgoing)) => outcome.unwrap_or(Err(Failure::Late)),
                () = given_up(stopping) => Err(Failure::Late),
            },
        };
        match &outcome {
            Ok(_) => self.metrics.count(UpstreamResult::Answered),
            Err(failure) => {
                self.metrics.count(failure.result());
                self.reports.failed(failure);
                if matches!(failure, Failure::Late | Failure::Refused(_)) {
                    client.drop_connections();
                }
            }
        }
        outcome
    }
}

async fn given_up(stopping: &GracefulShutdownSignal) {
    stopping.notified().await;
    sleep(WHEN_STOPPING).await;
}

/// Shows no query: it may hold a secret.
impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("host", &self.settings.url.host()).finish_non_exhaustive()
    }
}
