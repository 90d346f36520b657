//! `api/v1/stream`: server-sent events.

use std::{fmt::Write as _, os::fd::OwnedFd, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, RETRY_AFTER},
    web,
};
use bytes::Bytes;
use serde::Serialize;

use super::{Console, api};

/// The connection of a request, kept so that a stream that stalls can be closed.
#[derive(Debug, Clone)]
pub(crate) struct Socket(pub(crate) Arc<OwnedFd>);

/// A message in the format of server-sent events.
pub(super) fn message(id: Option<u64>, name: &str, data: &impl Serialize) -> Bytes {
    let mut text = String::new();
    // Writing to a String cannot fail, and these types are JSON.
    if let Some(id) = id {
        let _ = writeln!(text, "id: {id}");
    }
    let _ = writeln!(text, "event: {name}\ndata: {}\n", serde_json::to_string(data).unwrap_or_default());
    Bytes::from(text)
}

pub(super) async fn open(request: HttpRequest, console: web::Data<Console>) -> HttpResponse {
    let socket = request.conn_data::<Socket>().map(|socket| Arc::clone(&socket.0));
    let Some(messages) = console.hub.join(socket, Bytes::from_static(b"retry: 3000\n: hello\n\n")) else {
        let mut refusal = api::problem(
            actix_web::http::StatusCode::SERVICE_UNAVAILABLE,
            "too many event streams are open",
            "close other pages of the console, or ask status from time to time",
        );
        refusal.headers_mut().insert(RETRY_AFTER, actix_web::http::header::HeaderValue::from_static("5"));
        return refusal;
    };
    let body = futures_util::stream::unfold(messages, |mut messages| async move {
        let message = messages.next().await?;
        Some((Ok::<_, std::convert::Infallible>(message), messages))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .insert_header(("x-content-type-options", "nosniff"))
        .streaming(body)
}
