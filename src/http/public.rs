//! The public listener: `GET` and `POST` on each account's path, and nothing else.
//!
//! Reads requests within their limits, hands records over to the delivery, counts. What is decided about a push stands
//! in `receive`, what is answered in `answer`. It refuses to know what a card is.

use std::{
    convert::Infallible,
    io,
    net::TcpListener,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_http::{HttpService, KeepAlive, Method, Payload, Request, RequestHead, Response, header};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{ServiceFactoryExt as _, fn_service};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::net::TcpStream;

use super::{
    answer::{self, Answer},
    connection::{Connection, PATIENCE, Turn},
    doors::{Door, Doors},
    receive::{Decision, handshake, receive},
    source::Sources,
    upstream::{Clients, Outgoing, Upstream},
};
use crate::{
    clock,
    delivery::{Delivery, Lane, Overloaded, Safe},
    metrics::CallbackResult,
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
    doors: Doors,
    delivery: &Delivery,
    limits: Limits,
    sources: Sources,
) -> io::Result<Server> {
    let public =
        Public { doors, delivery: delivery.clone(), max_body_bytes: limits.max_body_bytes, sources: Arc::new(sources) };
    let workers = limits.workers.clamp(1, 512);
    let mut builder = Server::build()
        .workers(workers)
        .max_concurrent_connections((limits.connections / workers).max(1))
        .disable_signals()
        .shutdown_timeout(limits.shutdown_timeout.as_secs().max(1));
    let stopping = builder.graceful_shutdown_signal();
    for listener in listeners {
        let (public, stopping) = (public.clone(), stopping.clone());
        builder = builder.listen("public", listener, move || {
            let clients = Clients::default();
            let worker = Rc::new(Worker { public: public.clone(), clients, stopping: stopping.clone() });
            let stopping = stopping.clone();
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
            .and_then(http)
        })?;
    }
    Ok(builder.run())
}

#[derive(Clone)]
struct Public {
    doors: Doors,
    delivery: Delivery,
    max_body_bytes: usize,
    sources: Arc<Sources>,
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
        let response = match self.public.doors.at(request.path()) {
            Some(door) => {
                let started = Instant::now();
                let (decision, onward) = self.public.decide(door, &request, &mut payload, started).await;
                let answer = match decision {
                    Decision::Answer(answer) => answer,
                    Decision::Forward => Answer::Ignored,
                    Decision::Deliver { submission, event_type, .. } => {
                        // The next request of this thread takes their memory while it is warm.
                        drop((request, Payload::take(&mut payload)));
                        let lane = submission.lane;
                        let safe = self.public.delivery.submit(submission, started + ANSWER_WITHIN).await;
                        delivered(door, lane, event_type, safe)
                    }
                };
                let reply = match onward {
                    Some(onward) if answer.may_be_forwarded() => {
                        Some(Box::pin(self.forward(door, onward, started)).await)
                    }
                    Some(_) | None => None,
                };
                door.metrics.answered(answer.result(), answer.answered_by(), started.elapsed());
                let result = answer.result().map(CallbackResult::label);
                tracing::debug!(account = %door.account().name, result, "answered");
                reply.unwrap_or_else(|| answer.into_response())
            }
            None => Answer::NotFound.into_response(),
        };
        if let Some(turn) = &turn {
            turn.end(payload);
        }
        Ok(response)
    }

    async fn forward(&self, door: &Door, onward: Box<(Arc<Upstream>, Outgoing)>, started: Instant) -> Response<Bytes> {
        let (upstream, outgoing) = *onward;
        let client = self.clients.of(door.account().index, &upstream);
        let until = (started + ANSWER_WITHIN).into();
        let outcome = upstream.forward(&client, outgoing, until, &self.stopping).await;
        answer::forwarded(outcome, upstream.settings().on_failure)
    }
}

impl Public {
    async fn decide(
        &self,
        door: &Door,
        request: &Request,
        payload: &mut Payload,
        started: Instant,
    ) -> (Decision, Onward) {
        let account = door.account();
        let query = request.uri().query().unwrap_or_default();
        let answer = match *request.method() {
            Method::GET | Method::POST if !self.sources.admit(request.head()) => Answer::ForbiddenSource,
            Method::GET => handshake(&account, query, clock::unix_millis()),
            Method::POST => match self.body(request.head(), payload, started).await {
                Ok(body) => {
                    let decision = receive(&account, query, &body, clock::unix_millis());
                    let upstream = account.upstream.as_ref().filter(|_| decision.forwards());
                    let onward = upstream.map(|upstream| {
                        Box::new((Arc::clone(upstream), Outgoing::new(upstream, request.head(), body)))
                    });
                    return (decision, onward);
                }
                Err(refusal) => refusal,
            },
            _ => Answer::MethodNotAllowed,
        };
        (Decision::Answer(answer), None)
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

/// What is answered to a push that was to be delivered.
fn delivered(door: &Door, lane: Lane, event_type: Option<&'static str>, safe: Result<Safe, Overloaded>) -> Answer {
    match safe {
        Ok(safe) => {
            if let (Some(event_type), Safe { duplicate: false, nonce_reused: false, .. }) = (event_type, safe) {
                door.metrics.event(event_type);
            }
            Answer::Safe(if safe.nonce_reused { Lane::Dlq } else { lane }, safe)
        }
        Err(overloaded) => Answer::Overloaded(overloaded),
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
