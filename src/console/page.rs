//! The page's files, as they stand in `src/console/page/`: no build step, no data, open to whoever reaches the listener.

use std::sync::LazyLock;

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{
        Method,
        header::{ALLOW, CACHE_CONTROL, ETAG, IF_NONE_MATCH, LOCATION},
    },
    web,
};
use sha1::{Digest as _, Sha1};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Nothing from elsewhere, no inline script, no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     require-trusted-types-for 'script'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct File {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    etag: LazyLock<String>,
}

macro_rules! files {
    ($($name:literal $content_type:ident,)+) => {
        static FILES: [File; [$($name),+].len()] = [$(File {
            name: $name,
            content_type: $content_type,
            bytes: include_bytes!(concat!("page/", $name)),
            etag: LazyLock::new(|| etag(include_bytes!(concat!("page/", $name)))),
        },)+];
    };
}

files! {
    "index.html" HTML,
    "icon.svg" SVG,
    "style.css" CSS,
    "main.js" SCRIPT,
    "api.js" SCRIPT,
    "chart.js" SCRIPT,
    "dom.js" SCRIPT,
    "words.js" SCRIPT,
    "overview.js" SCRIPT,
    "events.js" SCRIPT,
    "accounts.js" SCRIPT,
    "delivery.js" SCRIPT,
    "quarantine.js" SCRIPT,
    "help.js" SCRIPT,
    "i18n/en.json" JSON,
    "i18n/zh-CN.json" JSON,
    "uplot/uPlot.iife.min.js" SCRIPT,
    "uplot/uPlot.min.css" CSS,
    "uplot/LICENSE" TEXT,
}

const SVG: &str = "image/svg+xml";

fn etag(bytes: &[u8]) -> String {
    let hash: [u8; 20] = Sha1::digest(bytes).into();
    let beginning = hash.first_chunk().copied().map_or(0, u64::from_be_bytes);
    format!("\"{beginning:016x}\"")
}

/// The page's files under `/console/`, and the ways there. A redirect is relative: the listener may stand under a sub-path.
pub(crate) fn pages(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/").route(web::to(async || to("console/"))))
        .service(web::resource("/console").route(web::to(async || to("console/"))))
        .service(web::resource("/console/{file:.*}").route(web::to(file)));
}

fn to(place: &str) -> HttpResponse {
    with_headers(HttpResponse::TemporaryRedirect()).insert_header((LOCATION, place)).finish()
}

fn with_headers(mut answer: HttpResponseBuilder) -> HttpResponseBuilder {
    answer
        .insert_header(("content-security-policy", POLICY))
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header(("referrer-policy", "no-referrer"))
        .insert_header(("cross-origin-opener-policy", "same-origin"))
        .insert_header(("cross-origin-resource-policy", "same-origin"));
    answer
}

async fn file(request: HttpRequest, name: web::Path<String>) -> HttpResponse {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return with_headers(HttpResponse::MethodNotAllowed()).insert_header((ALLOW, "GET, HEAD")).finish();
    }
    let name = if name.is_empty() { "index.html" } else { name.as_str() };
    let Some(file) = FILES.iter().find(|file| file.name == name) else {
        return with_headers(HttpResponse::NotFound()).finish();
    };
    let etag = file.etag.as_str();
    let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|known| known.trim() == etag)) {
        return with_headers(HttpResponse::NotModified()).insert_header((ETAG, etag)).finish();
    }
    with_headers(HttpResponse::Ok())
        .insert_header((ETAG, etag))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .content_type(file.content_type)
        .body(file.bytes)
}
