//! The admin listener: `/livez`, `/readyz`, `/metrics`, and the console. Nothing of it stands on the public one.
//!
//! Each answers GET and HEAD. Does not depend on callbacks and accounts. On a loopback address it answers only to a local name: a page in a browser
//! of this machine whose own name was made to point here (DNS rebinding) gets nothing.

use std::{
    io,
    net::{IpAddr, TcpListener},
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use actix_web::{
    App, Error, HttpRequest, HttpResponse, HttpServer, Resource, Route,
    body::MessageBody,
    dev::{Server, ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{
            ACCEPT, ALLOW, AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, RETRY_AFTER, VARY,
            WWW_AUTHENTICATE,
        },
    },
    middleware::{Next, from_fn},
    web,
};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use super::refusal::limit::Rate;
use crate::{
    console::{self, Console},
    delivery::Delivery,
    metrics::{Format, Metrics},
};

/// Requests with a wrong token that are told so, a second; what comes beyond is told to wait.
const WRONG_TOKENS: u64 = 5;

/// The Bearer token that `/metrics` asks for. Prints as `[redacted]`.
#[derive(Clone)]
pub struct BearerToken(SecretString);

impl BearerToken {
    /// Takes a token as configured.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(SecretString::from(token))
    }

    /// In constant time for tokens of one length.
    fn opens(&self, request: &HttpRequest) -> bool {
        let presented = request.headers().get(AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked(7));
        presented.is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(token.ct_eq(self.0.expose_secret().as_bytes()))
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
    /// `None`: `/metrics` and the console's API are open to whoever reaches the listener.
    pub token: Option<BearerToken>,
    /// `None`: there is no console.
    pub console: Option<Console>,
}

/// Builds the server, with one worker; it runs while the returned future is polled.
///
/// # Errors
/// When the listener cannot be used.
pub fn server(listener: TcpListener, admin: Admin) -> io::Result<Server> {
    let console = admin.console.clone().map(web::Data::new);
    let (admin, wrong_tokens) = (web::Data::new(admin), web::Data::new(WrongTokens::default()));
    let server = HttpServer::new(move || {
        let console = console.clone();
        App::new()
            .app_data(admin.clone())
            .app_data(wrong_tokens.clone())
            .wrap(from_fn(refuse_foreign))
            .service(page("/livez", web::get().to(livez), web::head().to(livez)))
            .service(page("/readyz", web::get().to(readyz), web::head().to(readyz)))
            .service(page("/metrics", web::get().to(metrics), web::head().to(metrics)))
            .configure(|config| {
                if let Some(console) = console {
                    let api = web::scope("/api/v1").app_data(console).wrap(from_fn(refuse_without_token));
                    config.service(api.configure(console::routes)).configure(console::pages);
                }
            })
    });
    let server = server.on_connect(|io, data| {
        // Its event stream is closed through it when nothing is taken from it.
        let socket = io.downcast_ref::<actix_web::rt::net::TcpStream>().map(|tcp| tcp.as_fd().try_clone_to_owned());
        if let Some(Ok(socket)) = socket {
            data.insert(console::Socket(Arc::new(socket)));
        }
    });
    Ok(server.workers(1).disable_signals().shutdown_timeout(1).listen(listener)?.run())
}

/// Limits how often a wrong token is told so.
struct WrongTokens {
    began: Instant,
    rate: Rate,
}

impl Default for WrongTokens {
    fn default() -> Self {
        Self { began: Instant::now(), rate: Rate::new(WRONG_TOKENS, WRONG_TOKENS) }
    }
}

impl WrongTokens {
    fn refusal(&self) -> HttpResponse {
        let now_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        if self.rate.take(now_us) {
            let mut refusal = console::problem(
                StatusCode::UNAUTHORIZED,
                "the token is missing or wrong",
                "send admin.token as: Authorization: Bearer TOKEN",
            );
            refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return refusal;
        }
        let mut refusal =
            console::problem(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens", "try again in a second");
        refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        refusal
    }
}

async fn refuse_without_token(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let token = request.app_data::<web::Data<Admin>>().and_then(|admin| admin.token.as_ref());
    if token.is_some_and(|token| !token.opens(request.request())) {
        let refusal = request.app_data::<web::Data<WrongTokens>>().map(|wrong| wrong.refusal());
        let refusal = refusal.unwrap_or_else(|| HttpResponse::Unauthorized().finish());
        return Ok(request.into_response(refusal).map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
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
    let here = request.app_config().local_addr();
    if let Some(found) = foreign(request.headers()).filter(|_| here.ip().is_loopback()) {
        let hint =
            format!("use http://{here}; a proxy on this machine must set Host: localhost and no Origin of its own");
        let refusal = console::problem(StatusCode::FORBIDDEN, &found, &hint);
        return Ok(request.into_response(refusal).map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}

/// What shows that a request was made for another name than this machine's own, or by another site's page.
fn foreign(headers: &HeaderMap) -> Option<String> {
    if let Some(host) = headers.get_all(HOST).find(|host| !is_local(host.as_bytes())) {
        return Some(format!("the Host header {}, which is not this machine's own name", shown(host)));
    }
    let host = headers.get(HOST).map_or(b"".as_slice(), |host| host.as_bytes());
    let origin = headers.get_all(ORIGIN).find(|origin| origin.as_bytes().strip_prefix(b"http://") != Some(host))?;
    Some(format!("the Origin header {}, which is not this listener's address", shown(origin)))
}

/// A name that a header holds; whoever sends the request chose it, so nothing else is shown.
fn shown(value: &HeaderValue) -> String {
    let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:/[]".contains(&byte);
    match value.to_str() {
        Ok(name) if (1..=255).contains(&name.len()) && name.bytes().all(of_a_name) => format!("says {name}"),
        _ => "holds no name".to_owned(),
    }
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
