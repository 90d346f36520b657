//! The admin listener: `/livez`, `/readyz`, `/metrics`. Nothing of it stands on the public one.
//!
//! Each answers GET and HEAD. Does not depend on callbacks and accounts. On a loopback address it answers only to a local name: a page in a browser
//! of this machine whose own name was made to point here (DNS rebinding) gets nothing.

use std::{
    io,
    net::{IpAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use actix_web::{
    App, Error, HttpRequest, HttpResponse, HttpServer, Resource, Route,
    body::MessageBody,
    dev::{Server, ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{ACCEPT, ALLOW, AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN, VARY, WWW_AUTHENTICATE},
    },
    middleware::{Next, from_fn},
    web,
};
use subtle::ConstantTimeEq as _;

use crate::{
    delivery::Delivery,
    metrics::{Format, Metrics},
};

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
            .wrap(from_fn(refuse_foreign))
            .service(page("/livez", web::get().to(livez), web::head().to(livez)))
            .service(page("/readyz", web::get().to(readyz), web::head().to(readyz)))
            .service(page("/metrics", web::get().to(metrics), web::head().to(metrics)))
    });
    Ok(server.workers(1).disable_signals().shutdown_timeout(1).listen(listener)?.run())
}

/// A page for GET and HEAD; OPTIONS, and every other method, are told so.
fn page(path: &str, get: Route, head: Route) -> Resource {
    const ALLOWED: (HeaderName, &str) = (ALLOW, "GET, HEAD, OPTIONS");
    let options = web::method(Method::OPTIONS).to(async || HttpResponse::Ok().insert_header(ALLOWED).finish());
    let others = web::route().to(async || HttpResponse::MethodNotAllowed().insert_header(ALLOWED).finish());
    web::resource(path).route(get).route(head).route(options).default_service(others)
}

async fn refuse_foreign(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if request.app_config().local_addr().ip().is_loopback() && is_foreign(request.headers()) {
        return Ok(request.into_response(HttpResponse::Forbidden().finish()).map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}

/// Whether a request was made for another name than this machine's own, or by another site's page.
fn is_foreign(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).map_or(b"".as_slice(), |host| host.as_bytes());
    headers.get_all(HOST).any(|host| !is_local(host.as_bytes()))
        || headers.get_all(ORIGIN).any(|origin| origin.as_bytes().strip_prefix(b"http://") != Some(host))
}

fn is_local(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, end)| port(end)).map_or(host, |(name, _)| name);
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
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
    let accept = request.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    let format = Format::accepted(accept);
    HttpResponse::Ok()
        .content_type(format.content_type())
        .insert_header((VARY, "Accept"))
        .body(admin.metrics.scraped(format))
}
