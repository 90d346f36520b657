//! One worker thread of the public listener: reads a request within its limits, hands its record over to the delivery, answers,
//! counts, and tells console and traces.
//!
//! What is decided about a push stands in `receive`, what is answered in `answer`.

use std::{
    convert::Infallible,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_http::{Method, Payload, Request, RequestHead, Response, header};
use actix_server::GracefulShutdownSignal;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use crate::{
    clock,
    console::{MadeWith, Observer},
    delivery::{Delivery, Lane, Overloaded, Safe},
    http::{
        answer::{self, Answer},
        connection::{PATIENCE, Turn},
        endpoints::{Endpoint, Endpoints},
        observe,
        receive::{Decision, Unreadable, handshake, receive},
        refusal::{Refusals, Request as Noted},
        source::Sources,
        upstream::{Clients, Outgoing, Upstream},
    },
    metrics::CallbackResult,
    telemetry::traces::{self, TRACEPARENT, Traces},
};

/// From the head to the latest answer: the contract's 4 s, less the time to write it.
const ANSWER_WITHIN: Duration = Duration::from_millis(3900);

/// What all workers share.
#[derive(Clone)]
pub(super) struct Public {
    pub(super) endpoints: Endpoints,
    pub(super) refusals: Arc<Refusals>,
    pub(super) observer: Option<Observer>,
    pub(super) delivery: Delivery,
    pub(super) max_body_bytes: usize,
    pub(super) sources: Arc<Sources>,
    pub(super) traces: Traces,
}

/// One worker thread's part.
pub(super) struct Worker {
    public: Public,
    clients: Clients,
    stopping: GracefulShutdownSignal,
}

/// A push on its way to the application: boxed, so that those that go nowhere carry no room for it.
type Onward = Option<Box<(Arc<Upstream>, Outgoing)>>;

impl Worker {
    pub(super) fn new(public: Public, stopping: GracefulShutdownSignal) -> Self {
        Self { public, clients: Clients::default(), stopping }
    }

    /// What is kept until the answer is small: by then it has left the CPU's caches, on every connection.
    pub(super) async fn serve(self: Rc<Self>, mut request: Request) -> Result<Response<Bytes>, Infallible> {
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
