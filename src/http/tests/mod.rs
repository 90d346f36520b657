//! The listeners over real sockets: real servers on port 0, a real spool without brokers.

mod admin_listener;
mod answers;
mod limits;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, atomic::AtomicBool, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use actix_web::dev::ServerHandle;

use super::{
    Account, Endpoints, Other, Published, Sources,
    admin::{self, Admin, BearerToken},
    public::{self, Limits, Notes},
};
use crate::{
    delivery::{AnswerAfter, Delivery, Running, Settings},
    metrics::Metrics,
    protocol::{Credentials, Mode, Token, sign},
    telemetry::traces::Traces,
    unverified::{self, Keeper},
};

const TOKEN: &str = "a-token-of-tests";
const CLAIM: &str = "<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName>\
    <FromUserName><![CDATA[oInventedOpenidOfATest00001x]]></FromUserName><CreateTime>1700000000</CreateTime>\
    <MsgType><![CDATA[event]]></MsgType><Event><![CDATA[user_get_card]]></Event>\
    <CardId><![CDATA[pInventedCardIdOfATest00001x]]></CardId><UserCardCode><![CDATA[012345678901]]></UserCardCode>\
    <OuterStr><![CDATA[poster]]></OuterStr></xml>";

/// Both listeners on port 0, stopped when dropped.
struct House {
    public: SocketAddr,
    admin: SocketAddr,
    metrics: Metrics,
    draining: Arc<AtomicBool>,
    handles: Vec<ServerHandle>,
    server: Option<JoinHandle<()>>,
    running: Option<Running>,
    _spool: tempfile::TempDir,
}

impl House {
    fn open() -> Self {
        Self::with(Other::Ignore, None, 1 << 30)
    }

    fn with(other: Other, token: Option<&str>, spool_bytes: u64) -> Self {
        Self::build(account(other), Sources::default(), token, spool_bytes)
    }

    /// Anyone may call, or only these networks.
    fn for_callers(account: Account, networks: &[&str]) -> Self {
        let allow_from = networks.iter().map(|network| network.parse().unwrap()).collect();
        let trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        Self::build(account, Sources { allow_from, trusted_proxies, wechat: None }, None, 1 << 30)
    }

    /// WeChat's published networks may call, and these.
    fn for_wechat(published: &Published, networks: &[&str]) -> Self {
        let allow_from = networks.iter().map(|network| network.parse().unwrap()).collect();
        let trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        let sources = Sources { allow_from, trusted_proxies, wechat: Some(published.clone()) };
        Self::build(account(Other::Ignore), sources, None, 1 << 30)
    }

    fn build(account: Account, sources: Sources, token: Option<&str>, spool_bytes: u64) -> Self {
        let spool = tempfile::tempdir().unwrap();
        let metrics = Metrics::new();
        let (delivery, running) = Delivery::start(settings(&spool, spool_bytes), metrics.clone()).unwrap();
        let [public, admin] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let (public_addr, admin_addr) = (public.local_addr().unwrap(), admin.local_addr().unwrap());
        let draining = Arc::new(AtomicBool::new(false));
        let limits =
            Limits { max_body_bytes: 65_536, workers: 1, connections: 20, shutdown_timeout: Duration::from_secs(5) };
        let shown = Admin {
            delivery: delivery.clone(),
            metrics: metrics.clone(),
            draining: Arc::clone(&draining),
            token: token.map(BearerToken::new),
            console: None,
        };
        let bounds = unverified::Bounds { max_bytes: 1 << 20, window_ms: 3_600_000 };
        let keeper = Keeper::start(spool.path(), bounds, metrics.unverified_kept.clone()).unwrap();
        let sender = keeper.sender();
        let (counted, handles) = (metrics.clone(), mpsc::sync_channel(1));
        let server = std::thread::spawn(move || {
            let notes =
                Notes { metrics: &counted, unverified: Some(sender), traces: Traces::default(), observer: None };
            actix_web::rt::System::new().block_on(async {
                let public = public::server(
                    vec![public],
                    Endpoints::new([account], &counted),
                    &delivery,
                    limits,
                    sources,
                    notes,
                )
                .unwrap();
                let admin = admin::server(admin, shown).unwrap();
                handles.0.send(vec![public.handle(), admin.handle()]).unwrap();
                let (public, admin) = futures_util::future::join(public, admin).await;
                public.and(admin).unwrap();
            });
        });
        Self {
            public: public_addr,
            admin: admin_addr,
            metrics,
            draining,
            handles: handles.1.recv().unwrap(),
            server: Some(server),
            running: Some(running),
            _spool: spool,
        }
    }

    /// Sends raw bytes on a connection of its own and reads to its end.
    fn says(&self, request: &str) -> String {
        exchange(self.public, request)
    }

    /// A request with `Connection: close`.
    fn asks(&self, method: &str, target: &str, body: &str) -> String {
        self.says(&request(method, target, body, "connection: close\r\n"))
    }

    fn stop(&mut self) {
        for handle in self.handles.drain(..) {
            wait_for(handle.stop(true));
        }
        if let Some(server) = self.server.take() {
            server.join().unwrap();
        }
        if let Some(running) = self.running.take() {
            running.stop(Duration::from_secs(1));
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop();
    }
}

fn wait_for(stop: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(stop);
}

fn settings(spool: &tempfile::TempDir, max_bytes: u64) -> Settings {
    Settings {
        path: spool.path().to_owned(),
        max_bytes,
        answer_after: AnswerAfter::Disk,
        ack_timeout: Duration::from_secs(2),
        dedup_window: Duration::from_hours(48),
        dedup_max_bytes: 1 << 30,
        accounts: vec![("shop".to_owned(), "plaintext")],
        producer: None,
        topics: ["events", "dlq", "other"].map(Arc::from),
        encodings: Default::default(),
        traces: Traces::default(),
        probe: None,
    }
}

fn account(other: Other) -> Account {
    Account {
        name: "shop".into(),
        path: "/wechat/shop".to_owned(),
        account_id: None,
        credentials: Credentials {
            mode: Mode::Plaintext,
            token: Token::new(TOKEN),
            previous_token: None,
            aes_key: None,
            previous_aes_key: None,
            app_id: None,
        },
        max_age: None,
        other,
        upstream: None,
        index: 0,
    }
}

fn exchange(address: SocketAddr, request: &str) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    to_the_end(&mut connection)
}

fn to_the_end(connection: &mut TcpStream) -> String {
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

fn request(method: &str, target: &str, body: &str, headers: &str) -> String {
    let length = body.len();
    format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

/// The account's path with a right signature, and what else is wanted.
fn signed(more: &str) -> String {
    let signature = sign(&Token::new(TOKEN), &["1700000000", "42"]);
    format!("/wechat/shop?signature={signature}&timestamp=1700000000&nonce=42{more}")
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}
