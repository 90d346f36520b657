//! `cardhook check`: certificates and sources of the public way, WeChat's API, the clock, the spool's disk, rights of one topic.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use jiff::{SignedDuration, Timestamp};
use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Rsa,
    ssl::{SslAcceptor, SslMethod, SslVersion},
    x509::{
        X509, X509NameBuilder,
        extension::{BasicConstraints, SubjectAlternativeName},
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    check::{assert_says, check, connect},
    nginx::Nginx,
    support::{
        Lacks,
        application::{Application, Asked, Reply, reply},
        cardhook::{Setup, Topics},
        consume::{python, records},
        kafka::Kafka,
        secured::READER,
        skip,
        wechat::{Account, Mode},
    },
};

/// A certificate and its key.
type Pair = (X509, PKey<Private>);

/// Signed by `issuer`, or by itself.
fn certificate(name: &str, days: u32, issuer: Option<&Pair>, is_authority: bool) -> Pair {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut made = X509::builder().unwrap();
    made.set_version(2).unwrap();
    let serial = BigNum::from_u32(u32::try_from(name.len()).unwrap()).unwrap();
    made.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    made.set_subject_name(&subject).unwrap();
    made.set_issuer_name(issuer.map_or(&*subject, |(issuer, _)| issuer.subject_name())).unwrap();
    made.set_pubkey(&key).unwrap();
    made.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    made.set_not_after(&Asn1Time::days_from_now(days).unwrap()).unwrap();
    if is_authority {
        made.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    } else {
        let names = SubjectAlternativeName::new().dns(name).build(&made.x509v3_context(None, None)).unwrap();
        made.append_extension(names).unwrap();
    }
    made.sign(issuer.map_or(&key, |(_, key)| key), MessageDigest::sha256()).unwrap();
    (made.build(), key)
}

/// A root, an intermediate, and a folder with the root.
struct Authority {
    root: PathBuf,
    intermediate: Pair,
    _folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = certificate("The root", 30, None, true);
        let intermediate = certificate("The intermediate", 30, Some(&root), true);
        let path = folder.path().join("root.pem");
        fs::write(&path, root.0.to_pem().unwrap()).unwrap();
        Self { root: path, intermediate, _folder: folder }
    }

    /// Serves TLS, and 404 behind it, until the test process ends.
    fn serve(&self, name: &str, days: u32, with_chain: bool, most: Option<SslVersion>) -> SocketAddr {
        let (leaf, key) = certificate(name, days, Some(&self.intermediate), false);
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        acceptor.set_private_key(&key).unwrap();
        acceptor.set_certificate(&leaf).unwrap();
        if with_chain {
            acceptor.add_extra_chain_cert(self.intermediate.0.clone()).unwrap();
        }
        if most.is_some() {
            acceptor.set_min_proto_version(None).unwrap();
            acceptor.set_max_proto_version(most).unwrap();
            acceptor.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
        }
        let (acceptor, listener) = (acceptor.build(), TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            for stream in listener.incoming() {
                let Ok(mut stream) = acceptor.accept(stream.unwrap()) else { continue };
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = stream.shutdown();
            }
        });
        address
    }
}

#[test]
fn each_mistake_of_a_certificate_is_named_and_what_is_behind_it_is_looked_at_all_the_same() {
    let authority = Authority::new();
    let setup = Setup::without_brokers();
    let config = setup.write();
    let old = Some(SslVersion::TLS1_1);
    for (address, level, said) in [
        (authority.serve("localhost", 20, true, None), "ok", ["TLS: trusted, for localhost", "days left"]),
        (authority.serve("localhost", 5, true, None), "warn", ["the certificate ends in", "renew it"]),
        (authority.serve("other.test", 20, true, None), "FAIL", ["is not trusted", "a certificate for this name"]),
        (authority.serve("localhost", 20, false, None), "FAIL", ["is not trusted", "full chain"]),
        (authority.serve("localhost", 20, true, old), "FAIL", ["TLS:", "TLS 1.2"]),
    ] {
        let url = format!("https://localhost:{}/wechat/secure", address.port());
        let (code, findings) = check(&config, &["--url", &url], Some(&authority.root));
        assert_eq!(code, 1, "behind it is nobody\n{findings}");
        assert_says(&findings, level, &["--url", said[0], said[1]]);
        assert_says(&findings, "warn", &["WeChat calls 80 and 443 only"]);
        let behind = if said[1] == "TLS 1.2" { "no HTTP answer" } else { "404" };
        assert_says(&findings, "FAIL", &["handshake", behind]);
    }
}

#[test]
fn a_proxy_that_lets_callers_choose_their_address_is_found() {
    let sets = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
    let believes = "proxy_set_header X-Forwarded-For $http_x_forwarded_for;";
    for (header, allowed, level, said) in [
        (sets, "127.0.0.1", "ok", "does not change the source"),
        (believes, "127.0.0.1", "FAIL", "any caller chooses his address"),
        (believes, "203.0.113.9", "FAIL", "any caller chooses his address"),
        (sets, "203.0.113.9", "ok", "does not change the source"),
    ] {
        // The proxy has an address of its own, which the caller has not.
        let header = format!("proxy_bind 127.0.0.5;\n{header}");
        let lines = format!("trusted_proxies = [\"127.0.0.5\"]\nallow_from = [{allowed:?}]");
        let setup = Setup::without_brokers().set("server", &lines);
        let service = setup.serve();
        let Some(nginx) = Nginx::start_changed(service.public, &[(sets, &header)]) else { return };
        let url = nginx.url("/wechat/secure");
        let (_, findings) = check(&setup.write(), &["--url", &url], Some(&nginx.certificate()));
        assert_says(&findings, level, &["--url", "X-Forwarded-For", said]);
    }
}

/// WeChat's API, whose clock is `ahead` of ours.
fn wechat(ahead: SignedDuration, answers: impl Fn(&Asked) -> Value + Send + Sync + 'static) -> Application {
    Application::start(move |asked| {
        let date = (Timestamp::now() + ahead).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let body = answers(asked).to_string();
        let whole = reply("200 OK", "application/json", body.as_bytes());
        let text = String::from_utf8(whole).unwrap().replacen("\r\n", &format!("\r\nDate: {date}\r\n"), 1);
        Reply::Bytes(text.into_bytes())
    })
}

fn well(asked: &Asked) -> Value {
    match asked.target().split('?').next().unwrap() {
        "/cgi-bin/stable_token" => json!({ "access_token": "a-token", "expires_in": 7200 }),
        "/cgi-bin/getcallbackip" => json!({ "ip_list": ["203.0.113.0/24", "203.0.114.9"] }),
        "/cgi-bin/callback/check" => {
            let body: Value = serde_json::from_slice(&asked.body).unwrap();
            assert_eq!(body, json!({ "action": "all", "check_operator": "DEFAULT" }));
            json!({
                "dns": [{ "ip": "203.0.113.7", "real_operator": "UNICOM" }],
                "ping": [{ "ip": "203.0.113.7", "from_operator": "UNICOM", "package_loss": "0%", "time": "23.079ms" }],
            })
        }
        _ => json!({}),
    }
}

fn with_secret(api: &Application) -> Setup {
    let base = format!("base_url = \"http://{}\"", api.address);
    let setup = Setup::without_brokers().set("wechat_api", &base);
    setup.replace_account(&Account::of(Mode::Secure), "app_secret = \"harnessappsecret0042harnessappsecret\"")
}

#[test]
fn wechat_s_api_and_its_own_look_at_the_server_url_are_asked() {
    let api = wechat(SignedDuration::ZERO, well);
    let (code, findings) = connect(&with_secret(&api));
    assert_eq!(code, 0, "{findings}");
    assert_says(&findings, "ok", &["account.secure.app_secret", "2 networks"]);
    assert_says(&findings, "ok", &["account.secure network", "203.0.113.7 (UNICOM)"]);
    assert_says(&findings, "ok", &["clock", "within 5 s"]);

    let refusing = wechat(SignedDuration::ZERO, |asked| match asked.target().split('?').next().unwrap() {
        "/cgi-bin/stable_token" => json!({ "errcode": 40164, "errmsg": "invalid ip 203.0.113.99" }),
        _ => well(asked),
    });
    let (code, findings) = connect(&with_secret(&refusing));
    assert_eq!(code, 1, "{findings}");
    assert_says(&findings, "FAIL", &["account.secure.app_secret", "40164", "IP白名单"]);
    assert!(!findings.contains("harnessappsecret"), "{findings}");

    let without_url = wechat(SignedDuration::ZERO, |asked| match asked.target().split('?').next().unwrap() {
        "/cgi-bin/callback/check" => json!({ "errcode": 40201, "errmsg": "invalid url" }),
        _ => well(asked),
    });
    let (code, findings) = connect(&with_secret(&without_url));
    assert_eq!(code, 1, "{findings}");
    assert_says(&findings, "FAIL", &["account.secure network", "40201", "enter the URL"]);
}

#[test]
fn a_clock_that_is_two_minutes_off_is_found() {
    for (ahead, said) in [(120, "s behind that of WeChat's API"), (-120, "s ahead of that of WeChat's API")] {
        let api = wechat(SignedDuration::from_secs(ahead), well);
        let (code, findings) = connect(&with_secret(&api));
        assert_eq!(code, 1, "{findings}");
        assert_says(&findings, "FAIL", &["clock", said, "NTP"]);
    }
    let api = wechat(SignedDuration::from_secs(20), well);
    let (code, findings) = connect(&with_secret(&api));
    assert_eq!(code, 0, "{findings}");
    assert_says(&findings, "warn", &["clock", "s behind", "NTP"]);
    let (_, findings) = connect(&Setup::without_brokers());
    assert_says(&findings, "ok", &["clock", "not compared"]);
}

/// A small file system under a folder, unmounted when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(at.to_owned()));
        }
        skip(Lacks::OfTheMachine("mounting a tmpfs needs root"));
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_is_read_only_and_one_that_is_full_are_named() {
    let setup = Setup::without_brokers();
    let Some(_read_only) = Mounted::new(&setup.spool(), "ro,size=1m") else { return };
    let (code, findings) = connect(&setup);
    assert_eq!(code, 1, "{findings}");
    assert_says(&findings, "FAIL", &["spool.path", "Read-only file system", "mount it writable"]);

    let setup = Setup::without_brokers();
    let Some(_small) = Mounted::new(&setup.spool(), "size=1m") else { return };
    let filled = fs::write(setup.spool().join("ballast"), vec![0; 2 << 20]);
    assert!(filled.is_err(), "the disk is not full");
    let (code, findings) = connect(&setup);
    assert_eq!(code, 1, "{findings}");
    assert_says(&findings, "FAIL", &["spool.path", "No space left on device", "free space"]);
}

#[test]
fn a_check_as_root_says_what_it_cannot_tell_of_the_services_user() {
    let setup = Setup::without_brokers();
    fs::create_dir_all(setup.spool()).unwrap();
    let nobody = 65_534;
    if std::os::unix::fs::chown(setup.spool(), Some(nobody), None).is_err() {
        return skip(Lacks::OfTheMachine("giving a folder to another user needs root"));
    }
    let (code, findings) = connect(&setup);
    assert_eq!(code, 0, "{findings}");
    assert_says(&findings, "ok", &["spool.path", "may be written, another user's, 0755, fsync"]);
    assert_says(&findings, "warn", &["spool.path", "belongs to the user 65534", "sudo -u '#65534'"]);
    std::os::unix::fs::chown(setup.spool(), Some(0), None).unwrap();
    let (_, findings) = connect(&setup);
    assert_says(&findings, "ok", &["spool.path", "may be written, ours, 0755, fsync"]);
    assert!(!findings.contains("belongs to"), "{findings}");
}

#[test]
fn an_application_that_is_not_there_is_named() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lines = format!("other = \"forward\"\nupstream = \"http://{nobody}/wx\"");
    let (code, findings) = connect(&Setup::without_brokers().replace_account(&Account::of(Mode::Secure), &lines));
    assert_eq!(code, 1, "{findings}");
    assert_says(&findings, "FAIL", &["account.secure.upstream", "no connection", "start the application"]);
}

#[test]
fn a_right_that_one_topic_lacks_is_named_and_nothing_is_written() {
    let kafka = Kafka::start_secured();
    let topics = Topics::create(&kafka);
    let Topics { events, dlq, other } = &topics;
    python("allow.py", &[&kafka.bootstrap(), READER.name, events]);
    python("allow.py", &["--describe", &kafka.bootstrap(), READER.name, events, dlq, other]);
    let password = tempfile::NamedTempFile::new().unwrap();
    fs::write(password.path(), READER.password).unwrap();
    let setup = Setup::at(&kafka.secured().bootstrap(), &topics)
        .set("kafka", &format!("sasl_password_file = {:?}", password.path().display().to_string()))
        .set(
            "kafka.options",
            &format!(
                "\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\"sasl.username\" = {:?}\n\
                 \"ssl.ca.location\" = {:?}",
                READER.name,
                kafka.secured().authority()
            ),
        );
    let (code, findings) = connect(&setup);
    assert_eq!(code, 1, "{findings}");
    assert_says(&findings, "FAIL", &["kafka.dlq_topic", "no Write for this user", "allow Describe and Write"]);
    let of_events = findings.lines().any(|line| line.starts_with("FAIL") && line.contains("kafka.topic"));
    assert!(!of_events, "{findings}");
    python("allow.py", &[&kafka.bootstrap(), READER.name, dlq]);
    let (code, findings) = connect(&setup);
    assert_eq!(code, 0, "{findings}");
    assert_says(&findings, "ok", &["kafka permissions", events, dlq]);
    // What was asked with is on no topic.
    assert!(records(&kafka, events).is_empty() && records(&kafka, dlq).is_empty());
}
