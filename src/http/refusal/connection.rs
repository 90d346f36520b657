//! Connections that are not HTTP: counted by cause, one limited line each in place of the HTTP library's own.
//!
//! Does not depend on how a connection is read: it sees its first bytes, and the library's verdict.

use std::{net::SocketAddr, time::Instant};

use actix_http::error::{DispatchError, ParseError};
use prometheus_client::metrics::counter::Counter;

use super::Limited;
use crate::metrics::{Metrics, NotHttp};

/// As many first bytes of a connection as tell what it is.
pub(in crate::http) const OPENING: usize = 12;

/// Version 2 of the PROXY protocol begins so; version 1 begins with `PROXY `.
const PROXY_V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// See the module.
#[derive(Debug)]
pub(in crate::http) struct NoHttp {
    counters: [Counter; NotHttp::ALL.len()],
    lines: [Limited; NotHttp::ALL.len()],
    began: Instant,
}

impl NoHttp {
    pub(in crate::http) fn new(metrics: &Metrics) -> Self {
        Self {
            counters: NotHttp::counters(metrics),
            lines: std::array::from_fn(|_| Limited::default()),
            began: Instant::now(),
        }
    }

    /// A connection ended with an error of the library, while a head was being read.
    pub(in crate::http) fn note(&self, error: &DispatchError, opening: &[u8], peer: Option<SocketAddr>) {
        let cause = match error {
            DispatchError::Parse(ParseError::TooLarge) => NotHttp::HeadTooLarge,
            DispatchError::Parse(ParseError::Io(_)) => return,
            DispatchError::Parse(_) => cause(opening),
            _ => return,
        };
        if let Some(counter) = self.counters.get(cause as usize) {
            counter.inc();
        }
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Some(since) = self.lines.get(cause as usize).and_then(|line| line.due(now_ms)) else { return };
        let peer = peer.map(tracing::field::display);
        let (found, cure) = told(cause);
        tracing::warn!(peer, cause = cause.label(), since, found, cure, "connection refused");
    }
}

fn cause(opening: &[u8]) -> NotHttp {
    match opening {
        [b'P', b'R', b'O', b'X', b'Y', b' ', ..] => NotHttp::ProxyProtocol,
        opening if opening.starts_with(PROXY_V2) => NotHttp::ProxyProtocol,
        // A record of the handshake, SSL 3.0 or TLS.
        [0x16, 0x03, ..] => NotHttp::TlsOnPlainPort,
        _ => NotHttp::NotHttp,
    }
}

fn told(cause: NotHttp) -> (&'static str, &'static str) {
    match cause {
        NotHttp::ProxyProtocol => (
            "it begins with a PROXY protocol header",
            "switch the PROXY protocol off in the load balancer, and let it set X-Forwarded-For",
        ),
        NotHttp::TlsOnPlainPort => (
            "it begins a TLS handshake, and this port speaks plain HTTP",
            "end TLS in a proxy, and let it call this port with http://",
        ),
        NotHttp::NotHttp => (
            "it is no HTTP/1 request",
            "where it is a load balancer's or a proxy's, let it speak HTTP/1.1 to this port; scanners do this too",
        ),
        NotHttp::HeadTooLarge => (
            "the head of a request is too large: over 128 KiB, or over 96 headers",
            "WeChat's takes less than 1 KiB: look at what the proxy adds",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_what_a_connection_is() {
        for (opening, expected) in [
            (b"PROXY TCP4 2".as_slice(), NotHttp::ProxyProtocol),
            (PROXY_V2, NotHttp::ProxyProtocol),
            (&[0x16, 0x03, 0x01, 0x02, 0x00], NotHttp::TlsOnPlainPort),
            (b"PROXYTCP4", NotHttp::NotHttp),
            (b"\r\n\r\n", NotHttp::NotHttp),
            (b"", NotHttp::NotHttp),
        ] {
            assert_eq!(cause(opening), expected, "{opening:?}");
        }
    }
}
