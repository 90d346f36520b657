//! The public listener: `GET` and `POST` on each account's path, and nothing else.
//!
//! Reads requests within their limits, hands records over to the delivery, counts. What is decided about a push stands
//! in `receive`, what is answered in `answer`. Does not depend on what a card is.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_http::{HttpService, KeepAlive, Method, Payload, Request, RequestHead, Response, header};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{Service as _, ServiceFactoryExt as _, apply_fn_factory, fn_service};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::net::TcpStream;

use super::{
    answer::{self, Answer},
    connection::{Connection, PATIENCE, Turn},
    endpoints::{Endpoint, Endpoints},
    observe,
    receive::{Decision, Unreadable, handshake, receive},
    refusal::{NoHttp, Refusals, Request as Noted},
    source::Sources,
    upstream::{Clients, Outgoing, Upstream},
};
use crate::{
    clock,
    console::{MadeWith, Observer},
    delivery::{Delivery, Lane, Overloaded, Safe},
    metrics::{CallbackResult, Metrics},
    telemetry::traces::{self, TRACEPARENT, Traces},
    unverified,
};

/// From the head to the latest answer: the contract's 4 s, less the time to write it.
const ANSWER_WITHIN: Duration = Duration::from_millis(3900);

/// Longer than the 60 s for which nginx keeps idle upstream connections: who closes second never closes under a request.
const IDLE: Duration = Duration::from_secs(75);

/// How long what a refused client still sends is read and thrown away, so that it sees the refusal and no reset.
const LINGER: Duration = Duration::from_secs(1);

/// Limits of the public listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest accepted body, bytes.
    pub max_body_bytes: usize,
    /// Worker threads, 1 to 512.
    pub workers: usize,
    /// Open connections, about; further ones wait in the kernel's queue until one closes.
    pub connections: usize,
    /// How long a graceful stop waits for requests under way. Whole seconds count, at least one.
    pub shutdown_timeout: Duration,
}

/// Builds the server; it runs while the returned future is polled, and `handle().stop(true)` ends it: listening sockets
/// close at once, requests under way are finished.
///
/// # Errors
/// When a listener cannot be used.
pub fn server(
    listeners: Vec<TcpListener>,
    endpoints: Endpoints,
    delivery: &Delivery,
    limits: Limits,
    sources: Sources,
    notes: Notes<'_>,
) -> io::Result<Server> {
    let public = Public {
        refusals: Arc::new(Refusals::new(endpoints.clone(), notes.metrics, notes.unverified, notes.observer.clone())),
        observer: notes.observer,
        endpoints,
        delivery: delivery.clone(),
        max_body_bytes: limits.max_body_bytes,
        sources: Arc::new(sources),
        traces: notes.traces,
    };
    let no_http = Arc::new(NoHttp::new(notes.metrics));
    let workers = limits.workers.clamp(1, 512);
    let mut builder = Server::build()
        .workers(workers)
        .max_concurrent_connections((limits.connections / workers).max(1))
        .disable_signals()
        .shutdown_timeout(limits.shutdown_timeout.as_secs().max(1));
    let stopping = builder.graceful_shutdown_signal();
    for listener in listeners {
        let (public, stopping, no_http) = (public.clone(), stopping.clone(), Arc::clone(&no_http));
        builder = builder.listen("public", listener, move || {
            let clients = Clients::default();
            let worker = Rc::new(Worker { public: public.clone(), clients, stopping: stopping.clone() });
            let (stopping, no_http) = (stopping.clone(), Arc::clone(&no_http));
            let http = HttpService::build()
                .keep_alive(KeepAlive::Timeout(IDLE))
                // The connection watches every head itself.
                .client_request_timeout(Duration::ZERO)
                .client_disconnect_timeout(LINGER)
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .on_connect_ext(|connection: &Connection, data| {
                    data.insert(Rc::clone(connection.turn()));
                })
                .h1(fn_service(move |request: Request| Rc::clone(&worker).serve(request)));
            fn_service(|tcp: TcpStream| async {
                let peer = tcp.peer_addr().ok();
                Ok((Connection::new(tcp), peer))
            })
            .and_then(apply_fn_factory(
                http,
                move |(connection, peer): (Connection, Option<SocketAddr>), http| {
                    let (turn, no_http) = (Rc::clone(connection.turn()), Arc::clone(&no_http));
                    let served = http.call((connection, peer));
                    async move {
                        let served = served.await;
                        if let Err(error) = &served
                            && turn.reads_head()
                        {
                            let (opening, arrived) = turn.opening();
                            no_http.note(error, opening.get(..arrived).unwrap_or_default(), peer);
                        }
                        served
                    }
                },
            ))
        })?;
    }
    Ok(builder.run())
}

/// Who is told of requests.
#[derive(Debug)]
pub struct Notes<'a> {
    /// Counts refusals.
    pub metrics: &'a Metrics,
    /// Keeps unverified pushes; `None`: nothing is kept.
    pub unverified: Option<unverified::Sender>,
    /// Makes a span of each request, where traces are sent.
    pub traces: Traces,
    /// Tells the console of every callback; `None`: there is no console.
    pub observer: Option<Observer>,
}

#[derive(Clone)]
struct Public {
    endpoints: Endpoints,
    refusals: Arc<Refusals>,
    observer: Option<Observer>,
    delivery: Delivery,
    max_body_bytes: usize,
    sources: Arc<Sources>,
    traces: Traces,
}

/// One worker thread's part.
struct Worker {
    public: Public,
    clients: Clients,
    stopping: GracefulShutdownSignal,
}

/// A push on its way to the application: boxed, so that those that go nowhere carry no room for it.
type Onward = Option<Box<(Arc<Upstream>, Outgoing)>>;

impl Worker {
    /// What lives until the answer is kept small: it has gone cold by then, for every connection anew.
    async fn serve(self: Rc<Self>, mut request: Request) -> Result<Response<Bytes>, Infallible> {
        let turn = request.conn_data::<Rc<Turn>>().cloned();
        if let Some(turn) = &turn {
            turn.begin();
        }
        let mut payload = request.take_payload();
        let response = if let Some(endpoint) = self.public.endpoints.at(request.path()) {
            let started = Instant::now();
            let mut span = self.public.span(endpoint, request.head());
            let (decision, made_with, onward) = self.public.decide(endpoint, &request, &mut payload, started).await;
            let sight = self.public.observer.as_ref().and_then(|_| observe::sight(&decision));
            let answer = match decision {
                Decision::Answer(answer) => answer,
                Decision::Forward => Answer::Ignored,
                Decision::Deliver { mut submission, event_type, quarantined, .. } => {
                    if let Some(span) = &mut span {
                        submission.record.headers.push(TRACEPARENT, &span.traceparent());
                        span.delivers(event_type);
                    }
                    if let Some(why) = &quarantined {
                        self.public.refusals.quarantined(endpoint, why);
                    }
                    // The next request of this thread takes their memory while it is warm.
                    drop((request, Payload::take(&mut payload)));
                    let lane = submission.lane;
                    let safe = self.public.delivery.submit(submission, started + ANSWER_WITHIN).await;
                    self.public.delivered(endpoint, lane, event_type, quarantined, safe)
                }
            };
            let reply = match onward {
                Some(onward) if answer.may_be_forwarded() => {
                    Some(Box::pin(self.forward(endpoint, onward, started)).await)
                }
                Some(_) | None => None,
            };
            endpoint.metrics.answered(answer.result(), answer.answered_by(), started.elapsed());
            if let Some(observer) = &self.public.observer {
                observe::answered(observer, endpoint, &answer, (made_with, sight), started);
            }
            let result = answer.result().map(CallbackResult::label);
            tracing::debug!(account = %endpoint.account().name, result, "answered");
            let answered_by = answer.answered_by();
            let response = reply.unwrap_or_else(|| answer.into_response());
            if let Some(span) = span {
                span.answered(response.status().as_u16(), result, answered_by.label());
            }
            response
        } else {
            self.public.refusals.unknown_path(request.path());
            Answer::NotFound.into_response()
        };
        if let Some(turn) = &turn {
            turn.end(payload);
        }
        Ok(response)
    }

    async fn forward(
        &self,
        endpoint: &Endpoint,
        onward: Box<(Arc<Upstream>, Outgoing)>,
        started: Instant,
    ) -> Response<Bytes> {
        let (upstream, outgoing) = *onward;
        let client = self.clients.of(endpoint.account().index, &upstream);
        let until = (started + ANSWER_WITHIN).into();
        let outcome = upstream.forward(&client, outgoing, until, &self.stopping).await;
        answer::forwarded(outcome, upstream.settings().on_failure)
    }
}

impl Public {
    /// The span of a request, where traces are sent. Only a trusted proxy's `traceparent` is believed: anyone may call.
    fn span(&self, endpoint: &Endpoint, head: &RequestHead) -> Option<Box<traces::Request>> {
        self.traces.request(|| {
            let account = endpoint.account();
            let parent = head.headers.get(TRACEPARENT).filter(|_| self.sources.trusts_peer(head));
            traces::Asked {
                method: if head.method == Method::POST { "POST" } else { "GET" },
                route: account.path.clone(),
                account: account.name.as_ref().to_owned(),
                parent: parent.and_then(|parent| parent.to_str().ok()).map(str::to_owned),
            }
        })
    }

    async fn decide(
        &self,
        endpoint: &Endpoint,
        request: &Request,
        payload: &mut Payload,
        started: Instant,
    ) -> (Decision, MadeWith, Onward) {
        let account = endpoint.account();
        let query = request.uri().query().unwrap_or_default();
        let (mut whole, mut made_with) = (Bytes::new(), MadeWith::default());
        let answer = match *request.method() {
            Method::GET | Method::POST if !self.sources.admit(request.head()) => Answer::ForbiddenSource,
            Method::GET => handshake(&account, query, clock::unix_millis()),
            Method::POST => match self.body(request.head(), payload, started).await {
                Ok(body) => {
                    whole = body;
                    let decision;
                    (decision, made_with) = receive(&account, query, &whole, clock::unix_millis());
                    let upstream = account.upstream.as_ref().filter(|_| decision.forwards());
                    let onward = upstream.map(|upstream| {
                        Box::new((Arc::clone(upstream), Outgoing::new(upstream, request.head(), whole.clone())))
                    });
                    match decision {
                        Decision::Answer(answer) => answer,
                        Decision::Deliver { .. } => return (decision, made_with, onward),
                        Decision::Forward => {
                            endpoint.metrics.pushed(clock::unix_millis());
                            return (decision, made_with, onward);
                        }
                    }
                }
                Err(refusal) => refusal,
            },
            _ => Answer::MethodNotAllowed,
        };
        if answer == Answer::Ignored {
            endpoint.metrics.pushed(clock::unix_millis());
        }
        let head = request.head();
        self.refusals.note(endpoint, &Noted { head, query, body: &whole, sources: &self.sources }, &answer);
        (Decision::Answer(answer), made_with, None)
    }

    /// What is answered to a push that was to be delivered.
    fn delivered(
        &self,
        endpoint: &Endpoint,
        lane: Lane,
        event_type: Option<&'static str>,
        quarantined: Option<Unreadable>,
        safe: Result<Safe, Overloaded>,
    ) -> Answer {
        let safe = match safe {
            Ok(safe) => safe,
            Err(overloaded) => return Answer::Overloaded(overloaded),
        };
        endpoint.metrics.pushed(clock::unix_millis());
        let reused = safe.nonce_reused.then(Unreadable::nonce_reused);
        if let Some(why) = &reused {
            self.refusals.quarantined(endpoint, why);
        }
        match (safe.duplicate, reused.or(quarantined), event_type) {
            (false, Some(why), _) => endpoint.metrics.quarantined(why.reason),
            (false, None, Some(event_type)) => endpoint.metrics.event(event_type),
            (true, _, _) | (false, None, None) => {}
        }
        Answer::Safe(if safe.nonce_reused { Lane::Dlq } else { lane }, safe)
    }

    async fn body(&self, head: &RequestHead, payload: &mut Payload, started: Instant) -> Result<Bytes, Answer> {
        if declared_length(head).is_some_and(|length| length > self.max_body_bytes as u64) {
            return Err(Answer::TooLarge);
        }
        tokio::time::timeout_at((started + PATIENCE).into(), collect(payload, self.max_body_bytes))
            .await
            .map_err(|_elapsed| Answer::Timeout)?
    }
}

fn declared_length(head: &RequestHead) -> Option<u64> {
    head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body of at most `limit` bytes. One that arrives in one piece is not copied.
async fn collect(payload: &mut Payload, limit: usize) -> Result<Bytes, Answer> {
    let mut whole = Bytes::new();
    let mut pieces = BytesMut::new();
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|_broken| Answer::BrokenBody)?;
        if whole.len() + pieces.len() + piece.len() > limit {
            return Err(Answer::TooLarge);
        }
        if whole.is_empty() && pieces.is_empty() {
            whole = piece;
        } else {
            pieces.extend_from_slice(&std::mem::take(&mut whole));
            pieces.extend_from_slice(&piece);
        }
    }
    Ok(if pieces.is_empty() { whole } else { pieces.freeze() })
}
