//! The public listener: `GET` and `POST` on each account's path, and nothing else.
//!
//! Opens connections and keeps their limits; what becomes of a request stands in `worker`. Does not depend on what a card is.

mod worker;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix_http::{HttpService, KeepAlive, Request};
use actix_server::Server;
use actix_service::{Service as _, ServiceFactoryExt as _, apply_fn_factory, fn_service};
use tokio::net::TcpStream;

use self::worker::{Public, Worker};
use super::{
    connection::Connection,
    endpoints::Endpoints,
    refusal::{NoHttp, Refusals},
    source::Sources,
};
use crate::{console::Observer, delivery::Delivery, metrics::Metrics, telemetry::traces::Traces, unverified};

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
            let worker = Rc::new(Worker::new(public.clone(), stopping.clone()));
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
