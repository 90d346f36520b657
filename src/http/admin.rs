//! The admin listener: `/livez`, `/readyz`, `/metrics`. Nothing of it stands on the public one.
//!
//! It refuses to know callbacks and accounts.

use std::{
    io,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::Server,
    http::header::{AUTHORIZATION, WWW_AUTHENTICATE},
    web,
};
use subtle::ConstantTimeEq as _;

use crate::{delivery::Delivery, metrics::Metrics};

/// The Bearer token that `/metrics` asks for. Prints as `[redacted]`.
#[derive(Clone)]
pub struct BearerToken(Arc<str>);

impl BearerToken {
    /// Takes a token as configured.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(token.into())
    }

    /// In constant time for tokens of one length.
    fn opens(&self, request: &HttpRequest) -> bool {
        let presented = request.headers().get(AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked(7));
        presented.is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(token.ct_eq(self.0.as_bytes()))
        })
    }
}

impl std::fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What the admin listener shows.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Asked for its health.
    pub delivery: Delivery,
    /// Written out at each scrape.
    pub metrics: Metrics,
    /// Set when a stop begins: not ready from then on.
    pub draining: Arc<AtomicBool>,
    /// `None`: `/metrics` is open to whoever reaches the listener.
    pub token: Option<BearerToken>,
}

/// Builds the server, with one worker; it runs while the returned future is polled.
///
/// # Errors
/// When the listener cannot be used.
pub fn server(listener: TcpListener, admin: Admin) -> io::Result<Server> {
    let admin = web::Data::new(admin);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(admin.clone())
            .route("/livez", web::get().to(livez))
            .route("/readyz", web::get().to(readyz))
            .route("/metrics", web::get().to(metrics))
    });
    Ok(server.workers(1).disable_signals().shutdown_timeout(1).listen(listener)?.run())
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok")
}

async fn readyz(admin: web::Data<Admin>) -> HttpResponse {
    let health = admin.delivery.health();
    let draining = admin.draining.load(Ordering::Relaxed);
    let ready = health.durable && !draining;
    let mut answer = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    // A configuration that is not valid never comes as far as a listener.
    let body = serde_json::json!({
        "ready": ready,
        "checks": {
            "configuration": true,
            "durable": health.durable,
            "spool": health.spool,
            "kafka": health.kafka,
            "draining": draining,
        },
    });
    answer.content_type("application/json").body(body.to_string())
}

async fn metrics(request: HttpRequest, admin: web::Data<Admin>) -> HttpResponse {
    if admin.token.as_ref().is_some_and(|token| !token.opens(&request)) {
        return HttpResponse::Unauthorized().insert_header((WWW_AUTHENTICATE, "Bearer")).finish();
    }
    admin.delivery.refresh_gauges();
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(admin.metrics.text())
}
