//! `--url`: the public way to an account's server URL, walked as WeChat walks it, each step with a finding of its own.
//!
//! Name, ports, TLS, redirects, the handshake byte for byte, a wrong signature, and a signed message of a kind that nobody
//! handles. The query reaches the service unchanged when the signed handshake is answered.

mod faults;
mod tls;

use std::{
    fmt::Write as _,
    net::{SocketAddr, ToSocketAddrs as _},
    time::{Duration, Instant},
};

use reqwest::{Client, Response, StatusCode, Url, header, redirect::Policy};
use tokio::net::TcpStream;

use self::faults::{handshake_fault, push_fault};
use crate::{
    cli::{
        letters::letters,
        simulator::{Clear, Push},
    },
    clock,
    config::{Account, Config, Source},
    finding::Findings,
    protocol::{Mode, sign},
};

/// WeChat hangs up after this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Slower than this leaves WeChat little of its five seconds.
const SLOW: Duration = Duration::from_secs(1);
/// As long as WeChat's longest, and no number that fits in 53 bits.
const ECHOSTR: &str = "8641591277801631551";

/// An address for documentation: nobody calls from it.
const NOBODYS: &str = "203.0.113.7";

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
    let open = reached(&parsed, findings).await;
    if open.is_empty() {
        return;
    }
    if parsed.scheme() == "https" {
        tls::look(parsed.host_str().unwrap_or_default(), open, findings).await;
    }
    let client = Client::builder().redirect(Policy::none()).no_proxy().timeout(PATIENCE).http1_only();
    // A certificate that is not trusted has a finding of its own; what is behind it is looked at all the same.
    let Ok(client) = client.tls_danger_accept_invalid_certs(true).tls_danger_accept_invalid_hostnames(true).build()
    else {
        findings.fail(SUBJECT, "the TLS library cannot be set up", "look at OpenSSL's configuration");
        return;
    };
    let walk = Walk { client, url: parsed, account };
    let handshake = walk.handshake(findings).await;
    if handshake == Handshake::Right {
        walk.wrong_signature(findings).await;
        walk.push(findings).await;
    } else {
        findings.warn(SUBJECT, "a wrong signature and a push: not tried", "mend the handshake first");
    }
    walk.forged_source(config, handshake, findings).await;
}

/// What became of the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handshake {
    Right,
    /// 403: this machine may be none that may call.
    Forbidden,
    /// What follows would say the same again.
    Wrong,
}

/// The addresses of the name at which something listens.
async fn reached(url: &Url, findings: &mut Findings) -> Vec<SocketAddr> {
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443));
    if ![80, 443].contains(&port) {
        findings.warn(SUBJECT, format_args!("port {port}: WeChat calls 80 and 443 only"), "serve it at 443");
    }
    let bare = host.trim_matches(['[', ']']);
    let addresses: Vec<SocketAddr> = match (bare, port).to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            findings.fail(SUBJECT, format_args!("{host} has no address: {error}"), "make a DNS record for it");
            return Vec::new();
        }
    };
    let mut named = String::new();
    for address in &addresses {
        let _ = write!(named, " {}", address.ip());
    }
    let mut open = Vec::new();
    for address in &addresses {
        if connects(address).await {
            open.push(*address);
        } else {
            findings.fail(
                SUBJECT,
                format_args!("nothing answers at {address}, an address of {host}"),
                "open the port in the firewall, start the proxy, or remove the DNS record",
            );
        }
    }
    if open.len() == addresses.len() {
        findings.ok(SUBJECT, format_args!("{host} is{named}, port {port} is open"));
    }
    open
}

async fn connects(address: &SocketAddr) -> bool {
    matches!(tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await, Ok(Ok(_)))
}

struct Walk<'a> {
    client: Client,
    url: Url,
    account: &'a Account,
}

impl Walk<'_> {
    async fn ask(&self, query: &str, body: Option<Vec<u8>>) -> reqwest::Result<Answer> {
        self.ask_from(None, query, body).await
    }

    /// With an `X-Forwarded-For` of one's own.
    async fn ask_from(&self, source: Option<&str>, query: &str, body: Option<Vec<u8>>) -> reqwest::Result<Answer> {
        let mut url = self.url.clone();
        let own = url.query().map(|own| format!("{own}&{query}"));
        url.set_query(Some(own.as_deref().unwrap_or(query)));
        let begin = Instant::now();
        let request = match body {
            None => self.client.get(url),
            Some(body) => self.client.post(url).header(header::CONTENT_TYPE, "text/xml").body(body),
        };
        let request = source.into_iter().fold(request, |request, source| request.header("x-forwarded-for", source));
        let answer: Response = request.send().await?;
        let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (status, location, encoding) = (answer.status(), text(header::LOCATION), text(header::CONTENT_ENCODING));
        let body = answer.bytes().await?.to_vec();
        Ok(Answer { status, location, encoding, body, took: begin.elapsed() })
    }

    fn handshake_query(&self) -> String {
        let (timestamp, nonce) = (now_seconds().to_string(), "4711");
        let signature = sign(&self.account.credentials.token, &[&timestamp, nonce]);
        format!("signature={signature}&echostr={ECHOSTR}&timestamp={timestamp}&nonce={nonce}")
    }

    async fn handshake(&self, findings: &mut Findings) -> Handshake {
        let answer = match self.ask(&self.handshake_query(), None).await {
            Ok(answer) => answer,
            Err(error) => {
                let why = if error.is_timeout() { "no answer within 5 s" } else { "no HTTP answer" };
                findings.fail(
                    SUBJECT,
                    format_args!("handshake: {why}"),
                    "look at the proxy's log, and at its way to cardhook",
                );
                return Handshake::Wrong;
            }
        };
        if let Some((found, cure)) = handshake_fault(&answer) {
            findings.fail(SUBJECT, format_args!("handshake: {found}"), cure);
            let forbidden = answer.status == StatusCode::FORBIDDEN;
            return if forbidden { Handshake::Forbidden } else { Handshake::Wrong };
        }
        findings.ok(SUBJECT, format_args!("handshake: the echostr byte for byte, {} ms", answer.took.as_millis()));
        slow("handshake", answer.took, findings);
        Handshake::Right
    }

    /// A caller must not choose his own address. Seen where `server.allow_from` lets this machine call, and an address that it
    /// does not name is refused; or the other way round.
    async fn forged_source(&self, config: &Config, handshake: Handshake, findings: &mut Findings) {
        let named = config.server.allow_from.iter().find_map(|source| match source {
            Source::Network(network) => Some(network.addr().to_string()),
            Source::WeChat => None,
        });
        let forged = match (handshake, config.server.allow_from.is_empty(), named) {
            (Handshake::Right, false, _) => NOBODYS.to_owned(),
            (Handshake::Forbidden, false, Some(named)) => named,
            (Handshake::Right, true, _) => {
                findings.ok(SUBJECT, "a forged X-Forwarded-For changes nothing: server.allow_from is empty");
                return;
            }
            (Handshake::Wrong | Handshake::Forbidden, ..) => {
                let cure = "mend the handshake first, or call from a machine that may";
                findings.warn(SUBJECT, "a forged X-Forwarded-For: not tried", cure);
                return;
            }
        };
        let Ok(answer) = self.ask_from(Some(&forged), &self.handshake_query(), None).await else { return };
        if (answer.status == StatusCode::FORBIDDEN) == (handshake == Handshake::Forbidden) {
            findings.ok(SUBJECT, "a forged X-Forwarded-For does not change the source");
        } else {
            findings.fail(
                SUBJECT,
                "a forged X-Forwarded-For is believed: any caller chooses his address",
                "let the proxy set it anew, and name only the proxy in server.trusted_proxies (nginx: proxy_set_header \
                 X-Forwarded-For $remote_addr)",
            );
        }
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

    /// A body near the limit, unsigned: cardhook refuses its signature, a proxy with a lower limit its size. It has not the
    /// form of a push: cardhook would keep one that does not verify, as what a wrong token costs.
    async fn large_push(&self, findings: &mut Findings) {
        let Ok(filler) = letters::<32>() else { return };
        let body = filler.repeat(1500);
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
