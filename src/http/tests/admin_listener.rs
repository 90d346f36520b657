//! Health and metrics.

use std::sync::atomic::Ordering;

use super::{House, body, exchange, request, status};
use crate::http::Other;

#[test]
fn health_is_open_and_metrics_ask_for_the_token() {
    let house = House::with(Other::Ignore, Some("s3cret"), 1 << 30);
    let ask = |path: &str, header: &str| {
        exchange(house.admin, &request("GET", path, "", &format!("{header}connection: close\r\n")))
    };
    assert_eq!(status(&ask("/livez", "")), "200");
    assert_eq!(status(&ask("/readyz", "")), "200");
    for header in ["", "authorization: Bearer s3cre\r\n", "authorization: Basic s3cret\r\n", "authorization: B\r\n"] {
        let refused = ask("/metrics", header);
        assert_eq!(status(&refused), "401");
        assert!(refused.contains("www-authenticate: Bearer\r\n"), "{refused}");
    }
    let shown = ask("/metrics", "authorization: Bearer s3cret\r\n");
    assert_eq!(status(&shown), "200");
    assert!(shown.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{shown}");
    assert!(shown.contains("\n# TYPE cardhook_callbacks_total counter\n") && !shown.contains("# EOF"), "{shown}");
    let shown = ask("/metrics", "authorization: Bearer s3cret\r\naccept: application/openmetrics-text\r\n");
    assert!(shown.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"), "{shown}");
    assert!(shown.contains("\n# TYPE cardhook_callbacks counter\n") && shown.ends_with("# EOF\n"), "{shown}");
    assert_eq!(status(&ask("/wechat/shop", "")), "404");
}

#[test]
fn each_page_answers_head_without_a_body_and_names_its_methods() {
    let house = House::open();
    let ask = |method: &str, path: &str| exchange(house.admin, &request(method, path, "", "connection: close\r\n"));
    for path in ["/livez", "/readyz", "/metrics"] {
        let head = ask("HEAD", path);
        assert_eq!((status(&head), body(&head)), ("200", ""), "{path}");
        let typed = |answer: &str| answer.lines().find(|line| line.starts_with("content-type:")).map(str::to_owned);
        assert!(typed(&head).is_some() && typed(&head) == typed(&ask("GET", path)), "{head}");
        for (method, code) in [("OPTIONS", "200"), ("POST", "405"), ("DELETE", "405")] {
            let answer = ask(method, path);
            assert_eq!((status(&answer), body(&answer)), (code, ""), "{method} {path}");
            assert!(answer.contains("allow: GET, HEAD, OPTIONS\r\n"), "{answer}");
        }
    }
    assert_eq!(status(&ask("HEAD", "/elsewhere")), "404");
}

#[test]
fn readiness_names_each_check_and_ends_when_draining_begins() {
    let house = House::open();
    let ready = || exchange(house.admin, &request("GET", "/readyz", "", "connection: close\r\n"));
    let checks = |answer: &str| serde_json::from_str::<serde_json::Value>(body(answer)).unwrap();
    let first = ready();
    assert_eq!(status(&first), "200");
    assert_eq!(
        checks(&first),
        serde_json::json!({"ready": true, "checks":
            {"configuration": true, "durable": true, "spool": true, "kafka": null, "draining": false}})
    );
    house.draining.store(true, Ordering::Relaxed);
    let last = ready();
    assert_eq!((status(&last), &checks(&last)["ready"]), ("503", &serde_json::json!(false)));
    assert_eq!(status(&exchange(house.admin, &request("GET", "/livez", "", "connection: close\r\n"))), "200");
}

#[test]
fn a_full_spool_without_kafka_is_not_ready() {
    let house = House::with(Other::Ignore, None, 0);
    let answer = exchange(house.admin, &request("GET", "/readyz", "", "connection: close\r\n"));
    assert_eq!(status(&answer), "503");
    assert!(body(&answer).contains("\"durable\":false"), "{answer}");
}

#[test]
fn on_loopback_only_local_names_and_pages_of_its_own_are_answered() {
    let house = House::open();
    let asks = |headers: &str| {
        let answer = exchange(house.admin, &format!("GET /metrics HTTP/1.1\r\nconnection: close\r\n{headers}\r\n"));
        status(&answer).to_owned()
    };
    for headers in [
        "host: localhost\r\n",
        "host: LOCALHOST:9090\r\n",
        "host: 127.0.0.1:9090\r\n",
        "host: [::1]:9090\r\n",
        "host: localhost:9090\r\norigin: http://localhost:9090\r\n",
    ] {
        assert_eq!(asks(headers), "200", "{headers}");
    }
    for headers in [
        "host: rebound.example:9090\r\n",
        "host: 127.0.0.1.example\r\n",
        "host: localhost.example\r\n",
        "host: 192.0.2.1:9090\r\n",
        "host: localhost:9090\r\norigin: http://rebound.example\r\n",
        "host: localhost:9090\r\norigin: http://localhost:3000\r\n",
        "host: localhost:9090\r\norigin: null\r\n",
    ] {
        assert_eq!(asks(headers), "403", "{headers}");
    }
    let old = exchange(house.admin, "GET /livez HTTP/1.0\r\n\r\n");
    assert_eq!(status(&old), "200", "what names no host is no browser");
}
