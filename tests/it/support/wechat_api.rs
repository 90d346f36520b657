//! WeChat's API as the real binary reaches it: TLS under WeChat's own name, behind a proxy that leads every call here.

use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
};

use openssl::{
    asn1::Asn1Time,
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Rsa,
    ssl::{SslAcceptor, SslMethod},
    x509::{X509, X509NameBuilder, extension::SubjectAlternativeName},
};
use serde_json::{Value, json};
use tempfile::TempDir;

const NAME: &str = "api.weixin.qq.com";
/// What the account's owner knows.
pub const APP_SECRET: &str = "harnessappsecret0042harnessappsecret";
/// What WeChat gives for it.
pub const ACCESS_TOKEN: &str = "harnessaccesstoken0042-_harnessaccesstoken";

/// Runs until the test process ends.
pub struct WeChatApi {
    proxy: SocketAddr,
    certificate: PathBuf,
    addresses: Arc<Mutex<Vec<&'static str>>>,
    _folder: TempDir,
}

impl WeChatApi {
    /// Gives a token for [`APP_SECRET`], and these addresses for the token.
    pub fn start(addresses: &[&'static str]) -> Self {
        let (certificate, key) = certificate();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certificate.pem");
        std::fs::write(&path, certificate.to_pem().unwrap()).unwrap();
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        acceptor.set_private_key(&key).unwrap();
        acceptor.set_certificate(&certificate).unwrap();
        let acceptor = acceptor.build();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = listener.local_addr().unwrap();
        let addresses = Arc::new(Mutex::new(addresses.to_vec()));
        let told = Arc::clone(&addresses);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that hangs up is its own business.
                let _ = serve(&acceptor, stream.unwrap(), &told.lock().unwrap());
            }
        });
        Self { proxy, certificate: path, addresses, _folder: folder }
    }

    /// What it tells from now on.
    pub fn now_tells(&self, addresses: &[&'static str]) {
        *self.addresses.lock().unwrap() = addresses.to_vec();
    }

    /// Lets a command reach it.
    pub fn lead(&self, command: &mut Command) {
        command.env("HTTPS_PROXY", format!("http://{}", self.proxy)).env("SSL_CERT_FILE", &self.certificate);
    }
}

/// Leads a command's calls to WeChat's API to where nobody is.
pub fn lead_nowhere(command: &mut Command) {
    command.env("HTTPS_PROXY", "http://127.0.0.1:9");
}

fn serve(acceptor: &SslAcceptor, stream: TcpStream, addresses: &[&str]) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (connect, _) = head(&mut stream)?;
    assert_eq!(connect, format!("CONNECT {NAME}:443 HTTP/1.1"));
    stream.get_mut().write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    let mut stream = BufReader::new(acceptor.accept(stream.into_inner()).map_err(std::io::Error::other)?);
    let (request, length) = head(&mut stream)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let answer = match request.as_str() {
        "POST /cgi-bin/stable_token HTTP/1.1" if body["secret"] == APP_SECRET => {
            json!({ "access_token": ACCESS_TOKEN, "expires_in": 7200 })
        }
        "POST /cgi-bin/stable_token HTTP/1.1" => json!({ "errcode": 40125, "errmsg": "invalid appsecret" }),
        get if get == format!("GET /cgi-bin/getcallbackip?access_token={ACCESS_TOKEN} HTTP/1.1") => {
            json!({ "ip_list": addresses })
        }
        _ => json!({ "errcode": 40001, "errmsg": "invalid credential" }),
    };
    let answer = answer.to_string();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let head = format!("{head}Content-Length: {}\r\n\r\n", answer.len());
    stream.get_mut().write_all((head + &answer).as_bytes())?;
    stream.get_mut().shutdown().map(drop).map_err(std::io::Error::other)
}

/// The first line of a request, and the length of its body.
fn head(stream: &mut impl BufRead) -> std::io::Result<(String, usize)> {
    let (mut first, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        match line.trim_end() {
            "" => return Ok((first, length)),
            line if first.is_empty() => line.clone_into(&mut first),
            _ => {}
        }
    }
}

/// Of WeChat's name, signed by itself.
fn certificate() -> (X509, PKey<Private>) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", NAME).unwrap();
    let name = name.build();
    let mut certificate = X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    let names = SubjectAlternativeName::new().dns(NAME).build(&certificate.x509v3_context(None, None)).unwrap();
    certificate.append_extension(names).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    (certificate.build(), key)
}
