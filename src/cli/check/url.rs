//! `--url`: the public way to an account's server URL, walked as WeChat walks it, each step with a finding of its own.
//!
//! Name, ports, TLS, redirects, the handshake byte for byte, a wrong signature, and a signed message of a kind that nobody
//! handles. The query reaches the service unchanged when the signed handshake is answered.

mod tls;

use std::{
    fmt::Write as _,
    net::{SocketAddr, ToSocketAddrs as _},
    time::{Duration, Instant},
};

use reqwest::{Client, Response, StatusCode, Url, header, redirect::Policy};
use tokio::net::TcpStream;

use super::finding::Findings;
use crate::{
    cli::{
        letters::letters,
        simulator::{Clear, Push},
    },
    clock,
    config::{Account, Config},
    protocol::{Mode, sign},
};

/// WeChat hangs up after this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Slower than this leaves WeChat little of its five seconds.
const SLOW: Duration = Duration::from_secs(1);
/// As long as WeChat's longest, and no number that fits in 53 bits.
const ECHOSTR: &str = "8641591277801631551";

const SUBJECT: &str = "--url";

/// One answer: status, body, headers that matter, and how long it took.
struct Answer {
    status: StatusCode,
    location: Option<String>,
    encoding: Option<String>,
    body: Vec<u8>,
    took: Duration,
}

pub(super) async fn look(config: &Config, url: &str, findings: &mut Findings) {
    let parsed =
        Url::parse(url).ok().filter(|parsed| ["http", "https"].contains(&parsed.scheme()) && parsed.has_host());
    let Some(parsed) = parsed else {
        findings.fail(
            SUBJECT,
            format_args!("{url:?} is no URL"),
            "write it as in WeChat's page: https://your.domain/wechat/shop",
        );
        return;
    };
    let Some(account) = config.accounts.iter().find(|account| account.path == parsed.path()) else {
        let paths: Vec<_> = config.accounts.iter().map(|account| account.path.as_str()).collect();
        let found = format!("no account has the path {}", parsed.path());
        findings.fail(SUBJECT, found, format!("the accounts' paths are {}", paths.join(", ")));
        return;
    };
    if !reached(&parsed, findings).await {
        return;
    }
    if parsed.scheme() == "https" {
        tls::look(&parsed, findings).await;
    }
    let Ok(client) = Client::builder().redirect(Policy::none()).no_proxy().timeout(PATIENCE).http1_only().build()
    else {
        findings.fail(SUBJECT, "the TLS library cannot be set up", "look at OpenSSL's configuration");
        return;
    };
    let walk = Walk { client, url: parsed, account };
    if walk.handshake(findings).await {
        walk.wrong_signature(findings).await;
        walk.push(findings).await;
    }
}

/// Whether the name has an address and something listens at it.
async fn reached(url: &Url, findings: &mut Findings) -> bool {
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443));
    if ![80, 443].contains(&port) {
        findings.warn(SUBJECT, format_args!("port {port}: WeChat calls 80 and 443 only"), "serve it at 443");
    }
    let bare = host.trim_matches(['[', ']']);
    let addresses: Vec<SocketAddr> = match (bare, port).to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            findings.fail(SUBJECT, format_args!("{host} has no address: {error}"), "make a DNS record for it");
            return false;
        }
    };
    let mut named = String::new();
    for address in &addresses {
        let _ = write!(named, " {}", address.ip());
    }
    for address in &addresses {
        let connected = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await;
        if !matches!(connected, Ok(Ok(_))) {
            findings.fail(
                SUBJECT,
                format_args!("nothing answers at {address}, an address of {host}"),
                "open the port in the firewall, start the proxy, or remove the DNS record",
            );
            return false;
        }
    }
    findings.ok(SUBJECT, format_args!("{host} is{named}, port {port} is open"));
    true
}

struct Walk<'a> {
    client: Client,
    url: Url,
    account: &'a Account,
}

impl Walk<'_> {
    async fn ask(&self, query: &str, body: Option<Vec<u8>>) -> reqwest::Result<Answer> {
        let mut url = self.url.clone();
        let own = url.query().map(|own| format!("{own}&{query}"));
        url.set_query(Some(own.as_deref().unwrap_or(query)));
        let begin = Instant::now();
        let request = match body {
            None => self.client.get(url),
            Some(body) => self.client.post(url).header(header::CONTENT_TYPE, "text/xml").body(body),
        };
        let answer: Response = request.send().await?;
        let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (status, location, encoding) = (answer.status(), text(header::LOCATION), text(header::CONTENT_ENCODING));
        let body = answer.bytes().await?.to_vec();
        Ok(Answer { status, location, encoding, body, took: begin.elapsed() })
    }

    /// The handshake; false when what follows would say the same again.
    async fn handshake(&self, findings: &mut Findings) -> bool {
        let (timestamp, nonce) = (now_seconds().to_string(), "4711");
        let signature = sign(&self.account.credentials.token, &[&timestamp, nonce]);
        let query = format!("signature={signature}&echostr={ECHOSTR}&timestamp={timestamp}&nonce={nonce}");
        let answer = match self.ask(&query, None).await {
            Ok(answer) => answer,
            Err(error) => {
                let why = if error.is_timeout() { "no answer within 5 s" } else { "no HTTP answer" };
                findings.fail(
                    SUBJECT,
                    format_args!("handshake: {why}"),
                    "look at the proxy's log, and at its way to cardhook",
                );
                return false;
            }
        };
        if let Some((found, cure)) = handshake_fault(&answer) {
            findings.fail(SUBJECT, format_args!("handshake: {found}"), cure);
            return false;
        }
        findings.ok(SUBJECT, format_args!("handshake: the echostr byte for byte, {} ms", answer.took.as_millis()));
        slow("handshake", answer.took, findings);
        true
    }

    /// Something else than cardhook may answer 200 to everything.
    async fn wrong_signature(&self, findings: &mut Findings) {
        let query = format!("signature={}&echostr=1&timestamp={}&nonce=1", "0".repeat(40), now_seconds());
        match self.ask(&query, None).await {
            Ok(answer) if answer.status == StatusCode::FORBIDDEN => {
                findings.ok(SUBJECT, "a wrong signature is refused (403)");
            }
            Ok(answer) => findings.fail(
                SUBJECT,
                format_args!("a wrong signature is answered {}: that is not cardhook's answer", answer.status.as_u16()),
                "let the proxy pass this path on to cardhook, and return its status unchanged",
            ),
            Err(_) => findings.fail(SUBJECT, "a wrong signature gets no answer", "look at the proxy's log"),
        }
    }

    /// A message of a type that nobody handles: it is no card event, and no application knows it.
    async fn push(&self, findings: &mut Findings) {
        let to_user = self.account.account_id.clone().unwrap_or_else(|| "gh_cardhook_check".to_owned());
        let timestamp = now_seconds();
        let xml = format!(
            "<xml><ToUserName>{to_user}</ToUserName><FromUserName>oCardhookCheck</FromUserName>\
             <CreateTime>{timestamp}</CreateTime><MsgType>cardhook_check</MsgType></xml>"
        );
        let clear = Clear { xml: xml.into_bytes(), to_user, openid: Some("oCardhookCheck".to_owned()), timestamp };
        let Ok(seed) = getrandom::u64() else { return };
        let push = Push::compose(clear, &self.account.credentials, seed);
        match self.ask(&push.query, Some(push.body.to_vec())).await {
            Ok(answer) => {
                if let Some((found, cure)) = push_fault(&answer) {
                    findings.fail(SUBJECT, format_args!("push: {found}"), cure);
                } else {
                    findings.ok(SUBJECT, format_args!("push: 200, {} ms", answer.took.as_millis()));
                    slow("push", answer.took, findings);
                }
            }
            Err(error) => {
                let why = if error.is_timeout() { "no answer within 5 s" } else { "no HTTP answer" };
                findings.fail(SUBJECT, format_args!("push: {why}"), "look at the proxy's log: does it pass POST on?");
            }
        }
        if self.account.credentials.mode == Mode::Secure {
            self.large_push(findings).await;
        }
    }

    /// A body near the limit, unsigned: cardhook refuses its signature, a proxy with a lower limit its size.
    async fn large_push(&self, findings: &mut Findings) {
        let Ok(filler) = letters::<32>() else { return };
        let body = format!("<xml><Encrypt>{}</Encrypt></xml>", filler.repeat(1500));
        let query = format!("msg_signature={}&timestamp={}&nonce=1", "0".repeat(40), now_seconds());
        match self.ask(&query, Some(body.into_bytes())).await {
            Ok(answer) if answer.status == StatusCode::FORBIDDEN => {
                findings.ok(SUBJECT, "a body of 48 KiB passes the proxy");
            }
            Ok(answer) => findings.fail(
                SUBJECT,
                format_args!("a body of 48 KiB is answered {} before cardhook", answer.status.as_u16()),
                "raise the proxy's limit to server.max_body_bytes (nginx: client_max_body_size)",
            ),
            Err(_) => findings.fail(SUBJECT, "a body of 48 KiB gets no answer", "raise the proxy's limit for bodies"),
        }
    }
}

fn now_seconds() -> i64 {
    clock::unix_millis() / 1000
}

fn slow(what: &str, took: Duration, findings: &mut Findings) {
    if took > SLOW {
        findings.warn(
            SUBJECT,
            format_args!("{what}: {:.1} s, and WeChat waits 5 s in all", took.as_secs_f64()),
            "look at the proxy and the way to it",
        );
    }
}

type Fault = (String, &'static str);

/// What every answer may have wrong.
fn fault(answer: &Answer) -> Option<Fault> {
    let Answer { status, location, encoding, .. } = answer;
    if status.is_redirection() {
        let to = location.as_deref().unwrap_or("nowhere");
        // The target repeats the query, which is signed: only where it leads is shown.
        let to = to.split('?').next().unwrap_or_default();
        let found = format!("a redirect ({}) to {to}: a push loses its body there", status.as_u16());
        return Some((found, "give WeChat the URL that it leads to, and serve it without a redirect"));
    }
    if let Some(encoding) = encoding {
        return Some((format!("the answer is compressed ({encoding})"), "switch compression off for this path"));
    }
    match status.as_u16() {
        404 => Some((
            "404".to_owned(),
            "let the proxy pass this path on to cardhook unchanged (no slash added or removed)",
        )),
        502..=504 => Some((
            format!("{}: the proxy does not reach cardhook", status.as_u16()),
            "start cardhook, and check the address that the proxy passes this path on to",
        )),
        _ => None,
    }
}

fn handshake_fault(answer: &Answer) -> Option<Fault> {
    if let Some(fault) = fault(answer) {
        return Some(fault);
    }
    match answer.status.as_u16() {
        200 => around(&answer.body).map(|found| (found, "return cardhook's answer as it is")),
        400 => Some((
            "400: the query does not arrive as it was sent".to_owned(),
            "let the proxy pass the query on (nginx: proxy_pass without a path of its own, or with $request_uri)",
        )),
        403 => Some((
            "403: another token, a source that is not allowed, or a query that was changed".to_owned(),
            "the running service's log names the cause; does it run with this configuration?",
        )),
        other => Some((format!("status {other}"), "let the proxy pass this path on to cardhook")),
    }
}

/// What stands around the echostr, in words; `None` when it is all there is.
fn around(body: &[u8]) -> Option<String> {
    let (echostr, text) = (ECHOSTR.as_bytes(), String::from_utf8_lossy(body));
    let what = if body == echostr {
        return None;
    } else if body.starts_with(b"\xEF\xBB\xBF") {
        "a byte order mark"
    } else if text.trim() == ECHOSTR {
        "a blank or a line break"
    } else if text.trim_matches(['"', '\'']) == ECHOSTR {
        "quotes"
    } else if text.contains(ECHOSTR) {
        "other text"
    } else if text.trim_start().starts_with('<') {
        return Some("a page of HTML or XML in place of the echostr".to_owned());
    } else {
        return Some("other text in place of the echostr".to_owned());
    };
    Some(format!("{what} around the echostr"))
}

fn push_fault(answer: &Answer) -> Option<Fault> {
    if let Some(fault) = fault(answer) {
        return Some(fault);
    }
    match answer.status.as_u16() {
        200 => None,
        413 => Some(("413".to_owned(), "raise the proxy's limit to server.max_body_bytes")),
        403 => Some((
            "403: the body or the query is changed on the way, or the mode differs".to_owned(),
            "the running service's log names the cause",
        )),
        other => Some((format!("status {other}"), "let the proxy pass POST on to cardhook")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_the_echostr_is_named() {
        for (body, found) in [
            (ECHOSTR.to_owned(), None),
            (format!("\u{feff}{ECHOSTR}"), Some("a byte order mark around the echostr")),
            (format!("{ECHOSTR}\n"), Some("a blank or a line break around the echostr")),
            (format!("\"{ECHOSTR}\""), Some("quotes around the echostr")),
            (format!("<p>{ECHOSTR}</p>"), Some("other text around the echostr")),
            ("<html>".to_owned(), Some("a page of HTML or XML in place of the echostr")),
            ("success".to_owned(), Some("other text in place of the echostr")),
        ] {
            assert_eq!(around(body.as_bytes()).as_deref(), found, "{body:?}");
        }
    }

    #[test]
    fn a_redirects_target_is_named_without_its_query() {
        let answer = Answer {
            status: StatusCode::MOVED_PERMANENTLY,
            location: Some("https://a/wechat/shop/?signature=s3cret".to_owned()),
            encoding: None,
            body: Vec::new(),
            took: Duration::ZERO,
        };
        let (found, _) = handshake_fault(&answer).unwrap();
        assert!(found.contains("https://a/wechat/shop/") && !found.contains("s3cret"), "{found}");
    }
}
