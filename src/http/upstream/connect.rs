//! How a connection to the application is made: name, TCP, TLS.
//!
//! Does not depend on what is sent over it.

use std::time::Duration;

use hyper_tls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;

use super::resolver::Resolver;

/// For all addresses of a name together. What is left of WeChat's 5 s belongs to the answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// How long sent bytes may stay unacknowledged: a host that went away without a word is found out while there is still
/// time for another connection.
const UNACKNOWLEDGED: Duration = Duration::from_millis(1500);

/// Makes connections, with TLS where the URL says `https`.
pub(super) type Connector = HttpsConnector<HttpConnector<Resolver>>;

/// Trusts the certificates that the system trusts (or `SSL_CERT_FILE`). Uses no proxy of the environment: the application is
/// near.
pub(super) fn connector() -> Result<Connector, native_tls::Error> {
    let mut tcp = HttpConnector::new_with_resolver(Resolver::default());
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_WITHIN));
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    Ok(HttpsConnector::from((tcp, native_tls::TlsConnector::new()?.into())))
}
