//! The console's API on the admin listener of the real binary.

mod bounds;
mod kafka;
mod rotation;
mod stream;

use std::io::{Read as _, Write as _};

use serde_json::Value;

use crate::support::{
    cardhook::{Service, Setup},
    eventually,
    http::{Answer, Connection},
    wechat::{Account, Mode, Push, claim, fixture},
};

/// What an answer of the API holds.
fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

fn api(service: &Service, path: &str) -> Value {
    let answer = service.admin(&format!("/api/v1/{path}"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    json(&answer)
}

/// Waits until the console has taken in what the listener told it.
fn wait_for(service: &Service, path: &str, found: impl Fn(&Value) -> bool) -> Value {
    eventually(path, std::time::Duration::from_secs(10), || Some(api(service, path)).filter(&found))
}

fn post(service: &Service, xml: &str) {
    assert!(Account::of(Mode::Secure).post(service.public, xml).is_success());
}

fn every_path() -> [&'static str; 12] {
    [
        "status",
        "series",
        "series?window=15m",
        "series?window=3h",
        "series?window=24h",
        "events",
        "events?limit=200",
        "funnel",
        "funnel?window=1h",
        "funnel?window=24h",
        "refused",
        "quarantine",
    ]
}

#[test]
fn a_push_appears_with_its_fields_masked_and_its_way() {
    let service = Setup::without_brokers().serve();
    post(&service, &fixture("user_get_card"));
    let events = wait_for(&service, "events", |events| events["events"][0].is_object());
    let row = &events["events"][0];
    assert_eq!((&row["event_type"], &row["result"]), (&"card.received".into(), &"accepted".into()));
    assert_eq!((&row["account"], &row["answered_by"]), (&"secure".into(), &"disk".into()));
    let detail = api(&service, &format!("events/{}", row["event_id"].as_str().unwrap()));
    let steps: Vec<_> = detail["timeline"].as_array().unwrap().iter().map(|step| step["what"].clone()).collect();
    assert_eq!(steps, ["happened", "received", "answered"], "without brokers nothing is published");
    let xml = fixture("user_get_card");
    for tag in ["FromUserName", "UserCardCode"] {
        let start = xml.find(&format!("<{tag}><![CDATA[")).unwrap() + tag.len() + 11;
        let personal = xml[start..].split("]]>").next().unwrap();
        assert!(!detail.to_string().contains(personal), "{tag} {personal}: {detail}");
        let masked = format!("{}***{}", &personal[..3], &personal[personal.len() - 2..]);
        assert!(detail.to_string().contains(&masked), "{masked}: {detail}");
    }
}

#[test]
fn no_answer_holds_a_secret_a_signature_or_an_unmasked_person() {
    let service = Setup::without_brokers().set("admin", "token = \"adminToken0042\"").serve();
    let secure = Account::of(Mode::Secure);
    let pushes = [
        secure.push(&claim("oNobodyShallReadMe00000000001", "740000000042", 1_767_225_600)),
        Account { token: "anotherToken0042", ..secure.clone() }.push(&fixture("user_del_card")),
        Account { aes_key: "CARDHOOKcardhook0123456789CARDHOOKcardhookw", ..secure.clone() }
            .push(&fixture("user_del_card")),
    ];
    for push in &pushes {
        push.post(service.public);
    }
    let bearer = "Authorization: Bearer adminToken0042\r\n";
    let ask = |path: &str| {
        let mut connection = Connection::open(service.admin).unwrap();
        connection.exchange("GET", &format!("/api/v1/{path}"), bearer, b"").unwrap()
    };
    eventually("the refusal and the quarantine", std::time::Duration::from_secs(10), || {
        let seen = ask("quarantine").body.contains("decrypt") && ask("refused").body.contains("\"cause\":\"token\"");
        (seen && ask("events").body.contains("card.received")).then_some(())
    });
    let mut secrets = vec![
        "adminToken0042".to_owned(),
        secure.token.to_owned(),
        "anotherToken0042".to_owned(),
        secure.aes_key.to_owned(),
        "oNobodyShallReadMe00000000001".to_owned(),
        "740000000042".to_owned(),
    ];
    for push in &pushes {
        let query = push.target.split_once('?').unwrap().1;
        secrets.extend(
            query
                .split('&')
                .filter(|pair| pair.contains("signature=") || pair.starts_with("nonce="))
                .map(|pair| pair.split_once('=').unwrap().1.to_owned()),
        );
    }
    let first = json(&ask("events"))["events"][0]["event_id"].as_str().unwrap().to_owned();
    let detail = format!("events/{first}");
    for path in every_path().into_iter().chain([detail.as_str()]) {
        let answer = ask(path);
        assert_eq!(answer.status, 200, "{path}");
        for secret in &secrets {
            assert!(!answer.body.contains(secret.as_str()), "{path} shows {secret}: {}", answer.body);
        }
    }
    let spool = service.log();
    assert!(!spool.contains("adminToken0042"));
}

#[test]
fn the_api_asks_for_the_token_and_the_page_does_not() {
    let service = Setup::without_brokers().set("admin", "token = \"adminToken0042\"").serve();
    for file in ["/console/", "/console/main.js", "/console/i18n/zh-CN.json"] {
        assert_eq!(service.admin(file).status, 200, "{file}");
    }
    let mut told_to_wait = 0;
    for path in every_path().into_iter().chain(["stream"]) {
        let refused = service.admin(&format!("/api/v1/{path}"));
        assert!(refused.status == 401 || refused.status == 429, "{path}: {refused:?}");
        told_to_wait += u32::from(refused.status == 429);
        let problem = json(&refused);
        assert!(problem["error"].is_string() && problem["hint"].is_string(), "{problem}");
    }
    assert!(told_to_wait > 0, "more than five wrong ones in a second");
    let mut connection = Connection::open(service.admin).unwrap();
    let bearer = "Authorization: Bearer adminToken0042\r\n";
    assert_eq!(
        connection.exchange("GET", "/api/v1/status", bearer, b"").unwrap().status,
        200,
        "the right one never waits"
    );
}

#[test]
fn a_page_of_another_site_gets_nothing_from_the_api() {
    let service = Setup::without_brokers().serve();
    let mut connection = Connection::open(service.admin).unwrap();
    for path in ["/api/v1/status", "/api/v1/stream", "/console/"] {
        let answer = connection.exchange("GET", path, "Origin: http://rebound.example\r\n", b"").unwrap();
        assert_eq!(answer.status, 403, "{path}");
        let problem = json(&answer);
        assert_eq!(
            problem["error"],
            "the Origin header says http://rebound.example, which is not this listener's address"
        );
    }
}

#[test]
fn a_request_for_a_foreign_name_is_told_what_was_found_and_the_cure() {
    let service = Setup::without_brokers().serve();
    let foreign = |host: &str| {
        let mut connection = std::net::TcpStream::connect(service.admin).unwrap();
        connection.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        write!(connection, "GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 403 ") && head.contains("application/json"), "{head}");
        serde_json::from_str::<Value>(body).unwrap()
    };
    let problem = foreign("cardhook.example:9090");
    assert_eq!(problem["error"], "the Host header says cardhook.example:9090, which is not this machine's own name");
    let hint = problem["hint"].as_str().unwrap();
    assert!(hint.contains(&format!("http://{}", service.admin)) && hint.contains("Host: localhost"), "{hint}");
    let long = "a".repeat(300);
    for hostile in ["<script>alert(1)</script>", "a\"b", "\u{202E}elpmaxe", "", &long] {
        let error = foreign(hostile)["error"].as_str().unwrap().to_owned();
        assert_eq!(error, "the Host header holds no name, which is not this machine's own name", "{hostile:?}");
    }
}

#[test]
fn the_api_is_read_only_and_not_cached() {
    let service = Setup::without_brokers().serve();
    for path in every_path() {
        let answer = service.admin(&format!("/api/v1/{path}"));
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let mut connection = Connection::open(service.admin).unwrap();
            let refused = connection.exchange(method, &format!("/api/v1/{path}"), "", b"").unwrap();
            assert_eq!((refused.status, refused.header("allow")), (405, Some("GET")), "{method} {path}");
        }
    }
    let unknown = service.admin("/api/v1/elsewhere");
    assert!(unknown.status == 404 && json(&unknown)["hint"].is_string());
}

#[test]
fn the_page_has_its_headers_and_stands_under_a_sub_path() {
    let service = Setup::without_brokers().serve();
    let page = service.admin("/console/");
    let policy = page.header("content-security-policy").unwrap();
    for part in
        ["default-src 'none'", "require-trusted-types-for 'script'", "frame-ancestors 'none'", "base-uri 'none'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(page.header(name), Some(value));
    }
    let etag = page.header("etag").unwrap();
    let mut connection = std::net::TcpStream::connect(service.admin).unwrap();
    write!(
        connection,
        "GET /console/ HTTP/1.1\r\nHost: 127.0.0.1\r\nIf-None-Match: {etag}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut known = String::new();
    connection.read_to_string(&mut known).unwrap();
    assert!(known.starts_with("HTTP/1.1 304 "), "{known}");
    for path in ["/", "/console"] {
        let moved = service.admin(path);
        assert_eq!((moved.status, moved.header("location")), (307, Some("console/")), "{path}");
    }
    for address in page.body.split(['"', '\'']).filter(|text| is_script_or_style(text)) {
        assert!(!address.starts_with('/') && !address.contains("://"), "{address} would leave the sub-path");
        assert_eq!(service.admin(&format!("/console/{address}")).status, 200, "{address}");
    }
    for outside in ["/console/../Cargo.toml", "/console/i18n/", "/console/nothing.js", "/console//etc/passwd"] {
        assert_eq!(service.admin(outside).status, 404, "{outside}");
    }
}

fn is_script_or_style(address: &str) -> bool {
    std::path::Path::new(address).extension().is_some_and(|extension| extension == "js" || extension == "css")
}

#[test]
fn without_the_console_there_is_none_of_it() {
    let service = Setup::without_brokers().set("admin", "console = false").serve();
    post(&service, &fixture("user_get_card"));
    for path in ["/", "/console/", "/api/v1/status", "/api/v1/stream"] {
        assert_eq!(service.admin(path).status, 404, "{path}");
    }
    assert_eq!(service.admin("/readyz").status, 200);
    let threads = std::fs::read_dir(format!("/proc/{}/task", service.id())).unwrap();
    let names: Vec<String> =
        threads.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok()).collect();
    assert!(names.iter().all(|name| name.trim() != "console"), "{names:?}");
}

#[test]
fn a_refusal_is_listed_with_its_cause_and_a_handshake_with_its_outcome() {
    let service = Setup::without_brokers().serve();
    let secure = Account::of(Mode::Secure);
    Account { token: "wrong", ..secure.clone() }.push(&fixture("user_get_card")).post(service.public);
    let refused = wait_for(&service, "refused?account=secure", |rows| rows["refused"][0].is_object());
    let row = &refused["refused"][0];
    assert_eq!((&row["cause"], &row["source"]), (&"token".into(), &"127.0.0.1".into()));
    assert!(row["found"].as_str().unwrap().contains("no token of this server"), "{row}");
    assert!(api(&service, "refused?account=compat")["refused"].as_array().unwrap().is_empty());
    let greeting = |query: &str| Push { target: format!("/wechat/secure?{query}"), body: Vec::new() };
    let signature = cardhook::protocol::sign(&cardhook::protocol::Token::new(secure.token), &["1700000000", "7"]);
    for (signature, accepted) in [("wrong", false), (signature.as_str(), true)] {
        let query = format!("signature={signature}&timestamp=1700000000&nonce=7&echostr=hello");
        crate::support::http::get(service.public, &greeting(&query).target).unwrap();
        let status = wait_for(&service, "status", |status| {
            let handshake =
                &status["accounts"].as_array().unwrap().iter().find(|a| a["name"] == "secure").unwrap()["handshake"];
            handshake["accepted"] == accepted
        });
        let hints = status["hints"].to_string();
        let failed = eventually("the hint", std::time::Duration::from_secs(5), || {
            let hints = api(&service, "status")["hints"].to_string();
            (hints.contains("handshake_failed") != accepted || hints.contains("\"of\":\"handshake_failed\""))
                .then_some(hints)
        });
        assert!(!failed.is_empty(), "{hints}");
    }
}

#[test]
fn dev_prints_the_consoles_address_first() {
    let output = crate::support::cardhook::run(&["dev", "--for", "1s"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let first = said.lines().next().unwrap();
    assert!(first.starts_with("console   http://127.0.0.1:") && first.ends_with("/console/"), "{said}");
}
