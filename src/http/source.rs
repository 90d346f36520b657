//! Where a request comes from, and whether that may call (`server.allow_from`, `server.trusted_proxies`).
//!
//! Does not depend on what the request asks.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
};

use actix_http::{RequestHead, header::HeaderMap};
use ipnet::IpNet;

/// Networks that may call, and those whose word about a caller is believed.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Empty, and no `wechat`: anyone.
    pub allow_from: Vec<IpNet>,
    /// Beside them, what WeChat publishes. Until that is known, anyone.
    pub wechat: Option<Published>,
    /// Proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
}

impl Sources {
    /// Whether a request's source may call. A source that cannot be told may not, once anyone may not.
    pub(super) fn admit(&self, head: &RequestHead) -> bool {
        let published = match &self.wechat {
            None if self.allow_from.is_empty() => return true,
            None => None,
            Some(published) => match published.networks() {
                None => return true,
                known => known,
            },
        };
        self.source(head.peer_addr, &head.headers).is_some_and(|source| {
            within(&self.allow_from, source) || published.is_some_and(|published| within(&published, source))
        })
    }

    /// Where a request comes from, and whether WeChat publishes that address, where its addresses are known: for the log.
    pub(super) fn of(&self, head: &RequestHead) -> (Option<IpAddr>, Option<bool>) {
        let source = self.source(head.peer_addr, &head.headers);
        let published = self.wechat.as_ref().and_then(Published::networks);
        (source, source.zip(published).map(|(source, published)| within(&published, source)))
    }

    /// Whether a request comes from a trusted proxy.
    pub(super) fn trusts_peer(&self, head: &RequestHead) -> bool {
        head.peer_addr.is_some_and(|peer| within(&self.trusted_proxies, peer.ip().to_canonical()))
    }

    /// The peer, or what trusted proxies say of it. Each proxy adds on the right whom it was called by: from there on the
    /// first address that is no trusted proxy's is the source, and what stands left of it is only that one's word.
    fn source(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let mut source = peer?.ip().to_canonical();
        let mut lines: Vec<_> = headers.get_all("x-forwarded-for").collect();
        lines.reverse();
        for line in lines {
            for said in line.as_bytes().rsplit(|byte| *byte == b',') {
                if !within(&self.trusted_proxies, source) {
                    return Some(source);
                }
                source = address(said)?;
            }
        }
        Some(source)
    }
}

/// The networks that WeChat publishes its callbacks to come from, as last learnt; a handle. They can be exchanged while
/// requests run.
#[derive(Debug, Clone, Default)]
pub struct Published(Arc<RwLock<Option<Arc<[IpNet]>>>>);

impl Published {
    /// Requests that begin from now on are judged by these.
    pub fn learn(&self, networks: &[IpNet]) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(networks.into());
    }

    /// As they are now. A writer that panicked has written all or nothing.
    pub(crate) fn networks(&self) -> Option<Arc<[IpNet]>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn within(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// An address as proxies write it: some with a port, some in brackets.
fn address(said: &[u8]) -> Option<IpAddr> {
    let said = std::str::from_utf8(said).ok()?.trim_matches([' ', '\t']);
    let bare = said.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(said);
    let address = bare.parse().or_else(|_| said.parse::<SocketAddr>().map(|socket| socket.ip())).ok()?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use actix_http::header::{HeaderName, HeaderValue};

    use super::*;

    fn networks(networks: &[&str]) -> Vec<IpNet> {
        networks.iter().map(|network| network.parse().unwrap()).collect()
    }

    fn source(peer: &str, forwarded: &[&str]) -> Option<String> {
        let trusted_proxies = networks(&["10.0.0.0/8", "fd00::/8", "127.0.0.1/32"]);
        let sources = Sources { trusted_proxies, ..Sources::default() };
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_str(line).unwrap());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        sources.source(Some(peer), &headers).map(|source| source.to_string())
    }

    #[test]
    fn what_an_untrusted_peer_says_of_itself_does_not_count() {
        assert_eq!(source("203.0.113.9", &["101.226.0.1"]).as_deref(), Some("203.0.113.9"));
        assert_eq!(source("203.0.113.9", &[]).as_deref(), Some("203.0.113.9"));
    }

    #[test]
    fn behind_trusted_proxies_the_first_other_address_from_the_right_is_the_source() {
        for forwarded in [
            &["101.226.0.1"][..],
            &["1.2.3.4, 101.226.0.1"],
            &["1.2.3.4, 101.226.0.1 ,10.1.1.1", "10.2.2.2"],
            &["1.2.3.4", "101.226.0.1:4711, [fd00::1]:80,[fd00::1]"],
            &["nonsense, ::ffff:101.226.0.1"],
        ] {
            assert_eq!(source("10.9.9.9", forwarded).as_deref(), Some("101.226.0.1"), "{forwarded:?}");
        }
        assert_eq!(source("::ffff:10.9.9.9", &["101.226.0.1"]).as_deref(), Some("101.226.0.1"));
        assert_eq!(source("10.9.9.9", &["10.1.1.1"]).as_deref(), Some("10.1.1.1"), "a proxy of our own calls");
    }

    #[test]
    fn a_word_that_does_not_read_leaves_the_source_unknown() {
        for forwarded in ["", "unknown", "101.226.0.1,", "101.226.0.1, a"] {
            assert_eq!(source("10.9.9.9", &[forwarded]), None, "{forwarded}");
        }
    }
}
