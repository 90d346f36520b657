//! A real nginx with `deploy/nginx.conf` before the service: path and query pass unchanged, and no caller chooses his address.

use std::{
    io::Read as _,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::{Certificate, Client, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    send_causes::answer_of,
    support::{
        Lacks,
        cardhook::Setup,
        eventually, project, skip,
        wechat::{Account, Mode, fixture},
    },
};

const LIMIT: Duration = Duration::from_mins(1);

/// A running nginx; stopped when dropped.
struct Nginx {
    child: Child,
    folder: TempDir,
    port: u16,
}

/// The shipped file with what only a machine can say: ports, certificate, and where logs and bodies go.
fn configuration(shipped: &str, folder: &Path, port: u16, upstream: SocketAddr) -> String {
    let folder = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {folder}/{kind};\n"))
        .concat();
    let changes = [
        ("listen 443 ssl;", format!("listen 127.0.0.1:{port} ssl;")),
        ("server 127.0.0.1:8080 ", format!("server {upstream} ")),
        ("/etc/nginx/tls/fullchain.pem", format!("{folder}/certificate.pem")),
        ("/etc/nginx/tls/privkey.pem", format!("{folder}/key.pem")),
        ("/var/log/nginx/", format!("{folder}/")),
        ("http {\n", format!("http {{\n{temporary}")),
    ];
    changes.iter().fold(shipped.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), if from.starts_with("/var") { 2 } else { 1 }, "{from}");
        text.replace(from, to)
    })
}

impl Nginx {
    /// `None`, and a line, where there is no nginx.
    fn start(upstream: SocketAddr) -> Option<Self> {
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|program| Path::new(program).exists());
        let Some(program) = program else {
            skip(Lacks::Installed("there is no nginx"));
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=cardhook.test"])
            .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "certificate.pem"])
            .current_dir(folder.path())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let shipped = std::fs::read_to_string(project("deploy/nginx.conf")).unwrap();
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, configuration(&shipped, folder.path(), port, upstream)).unwrap();
        let globals = format!("daemon off; pid {}/nginx.pid;", folder.path().display());
        let mut command = Command::new(program);
        // As root its workers become another user, who may not read the test's folder.
        let user = if rustix::process::geteuid().is_root() { " user root;" } else { "" };
        command.arg("-p").arg(folder.path()).arg("-c").arg(&path).args(["-g", &format!("{globals}{user}")]);
        let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut nginx = Self { child, folder, port };
        eventually("nginx listens", LIMIT, || {
            if nginx.child.try_wait().unwrap().is_some() {
                let mut said = String::new();
                nginx.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("nginx ended: {said}");
            }
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Some(nginx)
    }

    /// A client that calls from this address, and checks nginx's certificate.
    fn client(&self, from: &str) -> Client {
        let certificate = std::fs::read(self.folder.path().join("certificate.pem")).unwrap();
        let from: IpAddr = from.parse().unwrap();
        Client::builder()
            .local_address(from)
            .add_root_certificate(Certificate::from_pem(&certificate).unwrap())
            .no_proxy()
            .build()
            .unwrap()
    }

    fn url(&self, target: &str) -> String {
        format!("https://127.0.0.1:{}{target}", self.port)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("cardhook.log")).unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master stops its workers.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Posts a push, with a word of its own about where it comes from.
async fn post(nginx: &Nginx, from: &str, says: Option<&str>) -> (StatusCode, String) {
    let push = Account::of(Mode::Secure).push(&fixture("user_get_card"));
    let mut request = nginx.client(from).post(nginx.url(&push.target)).body(push.body);
    if let Some(says) = says {
        request = request.header("X-Forwarded-For", says);
    }
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[test]
fn behind_the_shipped_nginx_a_caller_cannot_choose_his_address() {
    let service = Setup::without_brokers()
        .set("server", "allow_from = [\"127.0.0.2\"]\ntrusted_proxies = [\"127.0.0.1\"]")
        .serve();
    let Some(nginx) = Nginx::start(service.public) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let success = (StatusCode::OK, "success".to_owned());
        assert_eq!(post(&nginx, "127.0.0.2", None).await, success);
        assert_eq!(post(&nginx, "127.0.0.2", Some("203.0.113.9")).await, success, "what he says does not count");
        for says in [None, Some("127.0.0.2"), Some("127.0.0.2, 127.0.0.2"), Some("127.0.0.2, 127.0.0.1")] {
            assert_eq!(post(&nginx, "127.0.0.3", says).await.0, StatusCode::FORBIDDEN, "{says:?}");
        }
    });
    assert_eq!(service.metric("cardhook_callbacks_total", "forbidden_source"), 4);
}

#[test]
fn a_certificate_that_is_not_trusted_is_told_by_send() {
    let service = Setup::without_brokers().serve();
    let Some(nginx) = Nginx::start(service.public) else { return };
    let answer = answer_of(&nginx.url("/wechat/plaintext"));
    assert!(answer.starts_with("none: certificate not trusted ("), "{answer}");
}

#[test]
fn the_shipped_nginx_passes_path_and_query_on_and_writes_no_query_down() {
    let service = Setup::without_brokers().serve();
    let Some(nginx) = Nginx::start(service.public) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = nginx.client("127.0.0.1");
        let push = Account::of(Mode::Secure).push(&fixture("user_get_card"));
        let (path, query) = push.target.split_once('?').unwrap();
        let greeting = nginx.url(&format!("{path}?{query}&echostr=8641591277801631551%2b%20"));
        let answer = client.get(greeting).send().await.unwrap();
        assert_eq!((answer.status(), answer.text().await.unwrap().as_str()), (StatusCode::OK, "8641591277801631551+ "));
        let answer = client.post(nginx.url(&push.target)).body(push.body).send().await.unwrap();
        assert_eq!((answer.status(), answer.text().await.unwrap().as_str()), (StatusCode::OK, "success"));
        let elsewhere = client.get(nginx.url("/metrics")).send().await.unwrap();
        assert_eq!(elsewhere.status(), StatusCode::NOT_FOUND);
        let large = client.post(nginx.url("/wechat/secure?a=b")).body(vec![b'a'; 70_000]).send().await.unwrap();
        assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    });
    let log = eventually("the log has all four", LIMIT, || Some(nginx.log()).filter(|log| log.lines().count() == 4));
    assert!(log.contains("POST /wechat/secure 200") && !log.contains("signature"), "{log}");
}
