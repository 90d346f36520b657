//! Requests to paths that no account has: counted, and told where the path is near to an account's.
//!
//! Scanners ask for paths all day: of what is near to nothing there is no line.

use prometheus_client::metrics::counter::Counter;

use super::Limited;
use crate::{http::endpoints::Endpoints, metrics::Metrics};

/// A path that is longer is near to none.
const LONGEST: usize = 512;

/// See the module.
#[derive(Debug)]
pub(super) struct UnknownPaths {
    count: Counter,
    line: Limited,
}

impl UnknownPaths {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self { count: metrics.unknown_path.clone(), line: Limited::default() }
    }

    pub(super) fn note(&self, path: &str, endpoints: &Endpoints, now_ms: u64) {
        self.count.inc();
        if path.len() > LONGEST {
            return;
        }
        let accounts = endpoints.accounts();
        let Some(near) = accounts.iter().find(|account| is_near(path, &account.path)) else { return };
        if let Some(since) = self.line.due(now_ms) {
            let configured: Vec<&str> = accounts.iter().map(|account| account.path.as_str()).collect();
            tracing::warn!(
                path,
                account = %near.name,
                configured = configured.join(" "),
                since,
                "no account has this path, and one is near: write it into WeChat's console, and into the proxy, as it is \
                 configured (slashes and case count)"
            );
        }
    }
}

/// Whether two paths are the same but for case, doubled slashes and slashes at the end.
fn is_near(path: &str, configured: &str) -> bool {
    plain(path).eq(plain(configured))
}

fn plain(path: &str) -> impl Iterator<Item = u8> {
    let bytes = path.trim_end_matches('/').as_bytes();
    let before = std::iter::once(&b' ').chain(bytes);
    bytes
        .iter()
        .zip(before)
        .filter(|(byte, before)| !(**byte == b'/' && **before == b'/'))
        .map(|(byte, _)| byte.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_slashes_are_near_and_nothing_else_is() {
        for near in ["/wechat/shop/", "//wechat/shop", "/wechat///shop//", "/WeChat/Shop"] {
            assert!(is_near(near, "/wechat/shop"), "{near}");
        }
        for far in ["/", "", "/wechat", "/wechat/shop2", "/wechatshop", "/wechat/shop/x", "/wp-login.php"] {
            assert!(!is_near(far, "/wechat/shop"), "{far}");
        }
        assert!(is_near("/wechat/shop", "/wechat/shop/"), "the configured one may have the slash");
    }
}
