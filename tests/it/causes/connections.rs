//! Connections that are not HTTP.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use super::line;
use crate::support::{
    cardhook::{Service, Setup},
    eventually,
};

fn says(service: &Service, bytes: &[u8]) {
    let mut stream = TcpStream::connect(service.public).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // A server that has refused already may close before all is sent.
    let _ = stream.write_all(bytes);
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn each_kind_is_counted_and_told_once_with_its_peer_and_the_library_says_nothing() {
    let service = Setup::without_brokers().serve();
    let proxy_v1 = b"PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\nPOST /wechat/secure HTTP/1.1\r\nHost: x\r\n\r\n";
    let proxy_v2 =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x7f\0\0\x01\x7f\0\0\x01\x01\xbb\x01\xbbPOST / HTTP/1.1\r\n\r\n";
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefghijklmnop";
    let huge = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(200_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200));
    for (cause, opening, count) in [
        ("proxy_protocol", proxy_v1.as_slice(), 50),
        ("proxy_protocol", proxy_v2, 50),
        ("tls_on_plain_port", hello, 100),
        ("not_http", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 60),
        ("not_http", b"GET / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n", 40),
        ("head_too_large", huge.as_bytes(), 3),
        ("head_too_large", many.as_bytes(), 3),
    ] {
        let labels = format!("cause=\"{cause}\"");
        let before = service.metric("cardhook_connections_refused_total", &labels);
        for _ in 0..count {
            says(&service, opening);
        }
        // It is counted once the connection is wholly closed.
        eventually(&format!("{count} connections more of {cause}"), super::LIMIT, || {
            (service.metric("cardhook_connections_refused_total", &labels) == before + count).then_some(())
        });
        let line = line(&service, cause, "");
        assert!(line.contains("connection refused") && line.contains("peer=127.0.0.1:"), "{line}");
    }
    let log = service.log();
    // A test that takes longer may see a second one.
    let lines = log.matches("connection refused").count();
    assert!((4..12).contains(&lines), "{lines} lines\n{log}");
    assert!(!log.contains("actix_http"), "{log}");
    assert!(!log.contains("203.0.113.7") && !log.contains("OpenSSH"), "nothing of what was sent is told: {log}");
}

#[test]
fn a_broken_body_is_a_refused_request_and_no_refused_connection() {
    let service = Setup::without_brokers().serve();
    let target = super::secure().target;
    says(&service, format!("POST {target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").as_bytes());
    assert!(line(&service, "body_changed", "account=secure").contains("transfer coding"));
    assert_eq!(service.metric("cardhook_connections_refused_total", ""), 0);
}
