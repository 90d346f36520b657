//! TLS at the public URL: is the certificate trusted, for this name, with its chain, and for how long? At each address: one machine
//! of several with an old certificate loses a part of the pushes.

use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::SUBJECT;
use crate::finding::Findings;
use openssl::{
    asn1::Asn1Time,
    ssl::{HandshakeError, SslConnector, SslMethod, SslVerifyMode},
    x509::X509VerifyResult,
};

const PATIENCE: Duration = Duration::from_secs(5);
/// Fewer days than this are worth a warning.
const SOON_DAYS: i32 = 14;

/// What the handshake showed.
struct Shown {
    verdict: X509VerifyResult,
    certificates: usize,
    days_left: i32,
    version: &'static str,
}

/// `host` as it stands in the URL.
pub(super) async fn look(host: &str, addresses: Vec<SocketAddr>, findings: &mut Findings) {
    let host = host.trim_matches(['[', ']']);
    let several = addresses.len() > 1;
    for address in addresses {
        let (name, at) = (host.to_owned(), if several { format!("TLS at {}", address.ip()) } else { "TLS".to_owned() });
        match tokio::task::spawn_blocking(move || handshake(&name, &address)).await {
            Ok(Ok(shown)) => judge(&at, host, &shown, findings),
            Ok(Err(why)) => {
                let old = why.contains("protocol version") || why.contains("unsupported protocol");
                let cure = if old { "serve TLS 1.2 or 1.3" } else { "does that port speak https?" };
                findings.fail(SUBJECT, format_args!("{at}: {why}"), cure);
            }
            Err(_) => findings.fail(SUBJECT, format_args!("{at}: not tried"), "try again"),
        }
    }
}

fn handshake(host: &str, address: &SocketAddr) -> Result<Shown, String> {
    let words = |error: openssl::error::ErrorStack| error.to_string();
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(words)?;
    // The handshake goes on with a certificate that is not trusted, so that it can be looked at.
    builder.set_verify(SslVerifyMode::NONE);
    let tcp = TcpStream::connect_timeout(address, PATIENCE).map_err(|error| error.to_string())?;
    let limited = tcp.set_read_timeout(Some(PATIENCE)).and_then(|()| tcp.set_write_timeout(Some(PATIENCE)));
    limited.map_err(|error| error.to_string())?;
    let stream = builder.build().connect(host, tcp).map_err(|error| match error {
        HandshakeError::SetupFailure(error) => error.to_string(),
        HandshakeError::Failure(middle) | HandshakeError::WouldBlock(middle) => middle.error().to_string(),
    })?;
    let ssl = stream.ssl();
    let certificate = ssl.peer_certificate().ok_or("no certificate")?;
    let now = Asn1Time::days_from_now(0).map_err(words)?;
    let days_left = now.diff(certificate.not_after()).map_err(words)?.days;
    let certificates = ssl.peer_cert_chain().map_or(1, openssl::stack::StackRef::len);
    Ok(Shown { verdict: ssl.verify_result(), certificates, days_left, version: ssl.version_str() })
}

fn judge(at: &str, host: &str, shown: &Shown, findings: &mut Findings) {
    let Shown { verdict, certificates, days_left, version } = shown;
    if *verdict != X509VerifyResult::OK {
        let words = verdict.error_string();
        let cure = if words.contains("host name") || words.contains("hostname") || words.contains("IP address") {
            "use a certificate for this name"
        } else if *certificates == 1 {
            "serve the full chain (nginx: ssl_certificate fullchain.pem): WeChat fetches no missing intermediate"
        } else {
            "use a certificate of a public authority"
        };
        findings.fail(
            SUBJECT,
            format_args!("{at}: the certificate for {host} is not trusted: {words} ({certificates} certificates sent)"),
            cure,
        );
    } else if *days_left < SOON_DAYS {
        findings.warn(SUBJECT, format_args!("{at}: the certificate ends in {days_left} days"), "renew it");
    } else {
        findings.ok(SUBJECT, format_args!("{at}: trusted, for {host}, {days_left} days left, {version}"));
    }
}
