//! One worker thread's connections to one upstream, and one exchange over them.
//!
//! Connections are kept for the next push, but not for long: a name may lead to another address by now, and a connection
//! to an address that is gone looks like any other. So all of them are given up together, every [`CONNECTIONS_LIVE`] and
//! after every push that got no answer. Does not depend on what is answered to WeChat.

use std::{
    cell::RefCell,
    collections::HashSet,
    error::Error as _,
    io,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{Request, Response, body::Incoming, header::CONTENT_LENGTH, http::Extensions};
use hyper_util::{
    client::legacy::{self, connect::HttpInfo},
    rt::{TokioExecutor, TokioTimer},
};

use super::{
    Failure, Outgoing, REPLY_BYTES, Reply, Upstream,
    connect::Connector,
    outgoing::{self, without_connection_headers},
};

/// Shorter than application servers keep an idle connection (gunicorn 2 s, Node and uvicorn 5 s): who closes first never
/// finds that the other has closed.
const IDLE: Duration = Duration::from_millis(1500);
/// Longest life of a connection that is in use all the time.
const CONNECTIONS_LIVE: Duration = Duration::from_secs(30);
/// Largest head of a reply, bytes.
const HEAD_BYTES: usize = 64 << 10;

/// One worker thread's client of each account that forwards, by the account's index.
#[derive(Default)]
pub(in crate::http) struct Clients(RefCell<Vec<Option<Rc<Client>>>>);

impl Clients {
    /// The account's client, made at its first push.
    pub(in crate::http) fn of(&self, account: usize, upstream: &Upstream) -> Rc<Client> {
        let mut clients = self.0.borrow_mut();
        if clients.len() <= account {
            clients.resize(account + 1, None);
        }
        let make = || Rc::new(Client::new(upstream));
        clients.get_mut(account).map_or_else(make, |client| Rc::clone(client.get_or_insert_with(make)))
    }
}

/// One worker thread's way to one upstream.
pub(in crate::http) struct Client {
    connector: Connector,
    most_idle: usize,
    connections: RefCell<Rc<Connections>>,
}

impl Client {
    fn new(upstream: &Upstream) -> Self {
        let (connector, most_idle) = (upstream.connector.clone(), upstream.settings.max_in_flight);
        let connections = RefCell::new(Rc::new(Connections::new(&connector, most_idle)));
        Self { connector, most_idle, connections }
    }

    /// Pushes from now on go over new connections, to where the name leads by then. Exchanges under way go on.
    pub(super) fn drop_connections(&self) {
        *self.connections.borrow_mut() = Rc::new(Connections::new(&self.connector, self.most_idle));
    }

    fn connections(&self) -> Rc<Connections> {
        if self.connections.borrow().born.elapsed() > CONNECTIONS_LIVE {
            self.drop_connections();
        }
        Rc::clone(&self.connections.borrow())
    }

    /// Sends a push and reads the reply.
    ///
    /// A kept connection may die under the push: the application was restarted, or closed it at this moment. Where the push
    /// was not sent, the library takes another connection. Where it was, and not a byte came back, it goes once more over a
    /// new connection: nobody can tell whether the application had read it, and WeChat itself would deliver it again. A new
    /// connection that dies is a failure.
    pub(super) async fn send(&self, outgoing: Outgoing) -> Result<Reply, Failure> {
        let response = match self.connections().request(outgoing.request()?).await {
            Err(Broken { was_kept: true, .. }) => {
                self.drop_connections();
                self.connections().request(outgoing.request()?).await
            }
            first => first,
        };
        reply(response.map_err(|broken| broken.failure)?).await
    }
}

/// Connections that are given up together.
struct Connections {
    pool: legacy::Client<Connector, Full<Bytes>>,
    /// Our ends of those that have carried an answer.
    kept: RefCell<HashSet<SocketAddr>>,
    born: Instant,
}

/// An exchange that gave no answer.
struct Broken {
    failure: Failure,
    /// The connection had carried an answer before, and died without a byte of this one.
    was_kept: bool,
}

impl Connections {
    fn new(connector: &Connector, most_idle: usize) -> Self {
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(most_idle)
            .http1_max_buf_size(HEAD_BYTES)
            .build(connector.clone());
        Self { pool, kept: RefCell::default(), born: Instant::now() }
    }

    async fn request(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Broken> {
        match self.pool.request(request).await {
            Ok(response) => {
                if let Some(info) = response.extensions().get::<HttpInfo>() {
                    self.kept.borrow_mut().insert(info.local_addr());
                }
                Ok(response)
            }
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn broken(&self, error: &legacy::Error) -> Broken {
        let mut extensions = Extensions::new();
        if let Some(connected) = error.connect_info() {
            connected.get_extras(&mut extensions);
        }
        let kept = extensions.get::<HttpInfo>().is_some_and(|info| self.kept.borrow().contains(&info.local_addr()));
        let cause = Cause::of(error);
        let failure = if cause.is_timeout && error.is_connect() { Failure::Late } else { Failure::Refused(cause.text) };
        Broken { failure, was_kept: kept && cause.is_closed }
    }
}

/// What lies at the bottom of an error.
struct Cause {
    /// In words, without the address.
    text: String,
    is_timeout: bool,
    /// The connection ended, where an answer was due.
    is_closed: bool,
}

impl Cause {
    fn of(error: &legacy::Error) -> Self {
        let mut cause = Self { text: error.to_string(), is_timeout: false, is_closed: false };
        let mut next = error.source();
        while let Some(error) = next {
            cause.text = error.to_string();
            if let Some(error) = error.downcast_ref::<hyper::Error>() {
                cause.is_closed |= error.is_incomplete_message();
            }
            if let Some(error) = error.downcast_ref::<io::Error>() {
                use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut};
                cause.is_timeout |= error.kind() == TimedOut;
                cause.is_closed |= matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | TimedOut);
            }
            next = error.source();
        }
        cause
    }
}

/// Reads a reply to its end.
async fn reply(response: Response<Incoming>) -> Result<Reply, Failure> {
    let (head, body) = response.into_parts();
    match head.status.as_u16() {
        status @ 500.. => return Err(Failure::Status(status)),
        status @ ..200 => return Err(Failure::Refused(format!("it answered {status}"))),
        200..500 => {}
    }
    let declared = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > REPLY_BYTES as u64) {
        return Err(Failure::TooLarge);
    }
    let body = Limited::new(body, REPLY_BYTES).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Failure::TooLarge
        } else {
            Failure::Refused(format!("its answer breaks off: {error}"))
        }
    })?;
    let headers = without_connection_headers(&head.headers, &outgoing::OF_REPLIES);
    Ok(Reply { status: head.status.as_u16(), headers, body: body.to_bytes() })
}
