//! A listener with TLS and SCRAM for the tests' broker: an authority and a certificate of its own, two users, and who may what.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A user that the broker knows.
#[derive(Debug, Clone, Copy)]
pub struct User {
    pub name: &'static str,
    pub password: &'static str,
}

/// May do everything.
pub const MASTER: User = User { name: "cardhook", password: "scramMASTERpass0042" };
/// May do what it is allowed later.
pub const GUEST: User = User { name: "guest", password: "scramGUESTpass0042" };

/// May ask for topics, and write to none.
pub const READER: User = User { name: "reader", password: "scramREADERpass0042" };

/// The listener's certificates and port.
#[derive(Debug)]
pub struct Secured {
    folder: PathBuf,
    port: u16,
}

impl Secured {
    /// Makes an authority, the broker's certificate by it, and a second authority that signed nothing.
    pub fn new(folder: &Path, port: u16) -> Self {
        let secured = Self { folder: folder.to_owned(), port };
        for authority in ["authority", "stranger"] {
            secured.openssl(authority, &["-subj", "/CN=the tests' authority"]);
        }
        let (certificate, key) = (secured.file("authority.pem"), secured.file("authority.key"));
        let by_authority = ["-CA", &certificate, "-CAkey", &key, "-addext", "subjectAltName=IP:127.0.0.1"];
        secured.openssl("broker", &[&["-subj", "/CN=broker"], &by_authority[..]].concat());
        // Kafka wants key and certificate in one file.
        let [key, certificate] = ["broker.key", "broker.pem"].map(|name| std::fs::read(secured.file(name)).unwrap());
        std::fs::write(secured.file("keystore.pem"), [key, certificate].concat()).unwrap();
        secured
    }

    /// `host:port`
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The certificate of the authority that signed the broker's.
    pub fn authority(&self) -> String {
        self.file("authority.pem")
    }

    /// Certificate and key for 127.0.0.1, by the authority.
    pub fn certificate(&self) -> [String; 2] {
        ["broker.pem", "broker.key"].map(|name| self.file(name))
    }

    /// The certificate of one that did not.
    pub fn stranger(&self) -> String {
        self.file("stranger.pem")
    }

    /// Further lines of `server.properties`.
    pub fn properties(&self) -> String {
        let mut text = String::new();
        let keystore = self.file("keystore.pem");
        for (key, value) in [
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.location", &keystore),
            ("sasl.enabled.mechanisms", "SCRAM-SHA-512"),
            (
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config",
                "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            ),
            ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
            // The plain listener is the tests' own way in.
            ("super.users", &format!("User:ANONYMOUS;User:{}", MASTER.name)),
        ] {
            writeln!(text, "{key}={value}").unwrap();
        }
        text
    }

    /// Arguments of `kafka-storage format`: the users.
    pub fn users() -> Vec<String> {
        let scram = |User { name, password }| format!("SCRAM-SHA-512=[name={name},password={password}]");
        [MASTER, GUEST, READER].map(|user| ["--add-scram".to_owned(), scram(user)]).concat()
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// A key and a certificate, `NAME.key` and `NAME.pem`.
    fn openssl(&self, name: &str, args: &[&str]) {
        let (key, certificate) = (self.file(&format!("{name}.key")), self.file(&format!("{name}.pem")));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
        openssl.args(["-keyout", &key, "-out", &certificate]).args(args);
        let output = openssl.stdin(Stdio::null()).output().expect("openssl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
