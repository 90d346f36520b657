//! Does somebody listen where pushes are forwarded to? Nothing is sent: the application would have to tell it from a push.

use std::{
    io,
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use crate::{
    config::{Config, Upstream},
    finding::Findings,
};

/// For each address of the name.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

pub(super) fn look(config: &Config, findings: &mut Findings) {
    for account in &config.accounts {
        let Some(upstream) = &account.upstream else { continue };
        let key = format!("account.{}.upstream", account.name);
        match connect(upstream) {
            Ok(()) => findings.ok(key, format_args!("{} listens", upstream.shown())),
            Err(error) => findings.fail(
                key,
                format_args!("no connection to {}: {error}", upstream.shown()),
                "start the application, or write its own address and port",
            ),
        }
    }
}

fn connect(upstream: &Upstream) -> io::Result<()> {
    let host = upstream.url.host().unwrap_or_default().trim_matches(['[', ']']);
    let default = if upstream.url.scheme_str() == Some("https") { 443 } else { 80 };
    let mut last = io::Error::other("the name has no address");
    for address in (host, upstream.url.port_u16().unwrap_or(default)).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_WITHIN) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}
