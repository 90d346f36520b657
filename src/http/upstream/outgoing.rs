//! The request that goes to the application: the one that came, with what a proxy adds.
//!
//! Does not depend on sockets.

use std::net::IpAddr;

use actix_http::{Method, RequestHead};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Request, Uri,
    header::{self, HeaderName, HeaderValue},
};

use super::{Failure, Upstream};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Of one connection only (RFC 9110 §7.6.1): neither direction hands them on.
const OF_CONNECTIONS: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Of requests, what is made anew. An answer is returned as it is, so that none is asked for in another coding.
const OF_REQUESTS: [&str; 4] = ["host", "content-length", "expect", "accept-encoding"];
/// Of replies, what is made anew.
pub(super) const OF_REPLIES: [&str; 1] = ["content-length"];

/// A push on its way to the application. Sent a second time, it is the same.
pub(in crate::http) struct Outgoing {
    url: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Outgoing {
    /// The push that came, less what belongs to its connection. The query goes behind the upstream URL's own.
    pub(in crate::http) fn new(upstream: &Upstream, head: &RequestHead, body: Bytes) -> Self {
        debug_assert_eq!(head.method, Method::POST, "nothing else is forwarded");
        let mut received = HeaderMap::with_capacity(head.headers.len() + 3);
        for (name, value) in &head.headers {
            let name = HeaderName::from_bytes(name.as_str().as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
                received.append(name, value);
            }
        }
        let mut headers = without_connection_headers(&received, &OF_REQUESTS);
        if let Some(peer) = head.peer_addr {
            append(&mut headers, FORWARDED_FOR, &IpAddr::to_canonical(&peer.ip()).to_string());
        }
        // A proxy in front may have ended TLS, and said so.
        headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
        append(&mut headers, header::VIA, &format!("1.1 {}", upstream.pseudonym));
        Self { url: url(&upstream.settings.url, head.uri.query().unwrap_or_default()), headers, body }
    }

    /// Whether a process of that name has forwarded this push already.
    pub(super) fn came_through(&self, pseudonym: &str) -> bool {
        // The last one is its own.
        let said: Vec<_> = self.headers.get_all(header::VIA).iter().filter_map(|via| via.to_str().ok()).collect();
        said.join(",").matches(pseudonym).count() > 1
    }

    pub(super) fn request(&self) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::post(self.url.as_str())
            .body(Full::new(self.body.clone()))
            .map_err(|error| Failure::Refused(format!("no request can be made: {error}")))?;
        request.headers_mut().clone_from(&self.headers);
        Ok(request)
    }
}

/// Adds to a list that several proxies write, in one line.
fn append(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    let mut lines: Vec<&[u8]> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
    lines.push(value.as_bytes());
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(b", ".as_slice())) {
        headers.insert(name, joined);
    }
}

fn url(upstream: &Uri, query: &str) -> String {
    let mut url = upstream.to_string();
    if !query.is_empty() {
        match upstream.query() {
            None => url.push('?'),
            Some("") => {}
            Some(_) => url.push('&'),
        }
        url.push_str(query);
    }
    url
}

/// All headers but those of the connection, those that it names, and `others`.
pub(super) fn without_connection_headers(headers: &HeaderMap, others: &[&str]) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let stays = |name: &str| {
        !OF_CONNECTIONS.contains(&name) && !others.contains(&name) && !named.iter().any(|named| named == name)
    };
    headers.iter().filter(|(name, _)| stays(name.as_str())).map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_as_received_stands_behind_the_urls_own() {
        for (upstream, query, expected) in [
            ("http://u", "a=1&b='%7e+", "http://u/?a=1&b='%7e+"),
            ("http://u/wx", "a=1", "http://u/wx?a=1"),
            ("http://u/wx?shop=1", "a=1", "http://u/wx?shop=1&a=1"),
            ("http://u/wx?", "a=1", "http://u/wx?a=1"),
            ("https://u:8443/wx?shop=1", "", "https://u:8443/wx?shop=1"),
        ] {
            assert_eq!(url(&upstream.parse().unwrap(), query), expected);
        }
    }

    #[test]
    fn what_belongs_to_a_connection_is_not_handed_on() {
        let headers: HeaderMap = [
            ("connection", "keep-alive, X-Hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("host", "a"),
            ("content-type", "text/xml"),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
        let left = without_connection_headers(&headers, &OF_REQUESTS);
        assert_eq!(left.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["content-type"]);
    }

    #[test]
    fn a_list_of_proxies_stays_one_line() {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, HeaderValue::from_static("1.2.3.4"));
        headers.append(FORWARDED_FOR, HeaderValue::from_static("10.0.0.1"));
        append(&mut headers, FORWARDED_FOR, "::1");
        assert_eq!(headers.get_all(FORWARDED_FOR).iter().collect::<Vec<_>>(), ["1.2.3.4, 10.0.0.1, ::1"]);
    }
}
