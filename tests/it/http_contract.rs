//! The table of contract §2 over real sockets, with the real binary.

use std::time::{Duration, Instant};

use crate::support::{
    cardhook::{Service, Setup},
    http::{Answer, Connection, get},
    wechat::{Account, Mode, Push, fixture},
};

fn claim_push() -> Push {
    Account::of(Mode::Secure).push(&fixture("user_get_card"))
}

fn post_query(service: &Service, query: &str, body: &[u8]) -> Answer {
    Push { target: format!("/wechat/secure?{query}"), body: body.to_vec() }.post(service.public)
}

fn query(push: &Push) -> Vec<String> {
    push.target.split_once('?').unwrap().1.split('&').map(str::to_owned).collect()
}

#[test]
fn query_parameters_may_stand_in_any_order_beside_others_and_percent_encoded() {
    let service = Setup::without_brokers().serve();
    let push = claim_push();
    let mut pairs = query(&push);
    pairs.reverse();
    pairs.extend(["shop=1".to_owned(), "shop=2".to_owned(), "empty=".to_owned()]);
    pairs.rotate_left(2);
    assert!(post_query(&service, &pairs.join("&"), &push.body).is_success());
    let encoded: Vec<String> = query(&push).iter().map(|pair| percent_encoded(pair)).collect();
    let answer = post_query(&service, &encoded.join("&"), &push.body);
    assert!(answer.is_success(), "{answer:?}");
}

/// Every byte of the value as an escape.
fn percent_encoded(pair: &str) -> String {
    let (name, value) = pair.split_once('=').unwrap();
    let escapes: Vec<String> = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
    format!("{name}={}", escapes.concat())
}

#[test]
fn a_missing_doubled_empty_or_undecodable_parameter_is_a_400_in_plain_text() {
    let service = Setup::without_brokers().serve();
    let push = claim_push();
    for name in ["timestamp", "nonce"] {
        let without: Vec<String> = query(&push).into_iter().filter(|pair| !pair.starts_with(name)).collect();
        assert_bad_request(&post_query(&service, &without.join("&"), &push.body));
    }
    let unsigned: Vec<String> = query(&push).into_iter().filter(|pair| !pair.contains("signature=")).collect();
    assert_bad_request(&post_query(&service, &unsigned.join("&"), &push.body));
    let all = query(&push).join("&");
    for further in ["nonce=1", "openid=a&openid=b", "echostr=", "openid=%zz", "openid=%ff", "encrypt_type=aes"] {
        assert_bad_request(&post_query(&service, &format!("{all}&{further}"), &push.body));
    }
    assert_eq!(service.metric("cardhook_callbacks_total", "bad_request"), 9);
}

fn assert_bad_request(answer: &Answer) {
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")), "{answer:?}");
    assert!(!answer.body.is_empty() && answer.body.len() < 200, "{answer:?}");
}

/// An answer without its date and the time it took.
fn dateless(mut answer: Answer) -> (u16, Vec<(String, String)>, String) {
    answer.headers.retain(|(name, _)| name != "date");
    (answer.status, answer.headers, answer.body)
}

#[test]
fn every_refused_verification_gets_the_same_answer() {
    let aged = Account::of(Mode::Plaintext);
    let service = Setup::without_brokers().replace_account(&aged, "max_age = \"1h\"").serve();
    let xml = fixture("user_get_card");
    let [secure, compat, plaintext] = [Mode::Secure, Mode::Compat, Mode::Plaintext].map(Account::of);
    let changed = |account: &Account, from: &str, to: &str| {
        let push = account.push(&xml);
        assert!(push.target.contains(from), "{push:?}");
        Push { target: push.target.replacen(from, to, 1), ..push }
    };
    let foreign = Account { token: "anothertoken0042", ..secure.clone() };
    let loud = secure.push(&xml);
    let (clear, msg_signature) = loud.target.rsplit_once('=').unwrap();
    let shouted = format!("{clear}={}", msg_signature.to_uppercase());
    let mut refused = vec![
        changed(&secure, "msg_signature=", "msg_signature=0"),
        changed(&secure, "msg_signature=", "other="),
        changed(&secure, "timestamp=", "timestamp=0"),
        changed(&secure, "nonce=", "nonce=%30"),
        Push { target: shouted, ..loud.clone() },
        Push { target: format!("{clear}=short"), ..loud.clone() },
        Push { body: xml.clone().into_bytes(), ..loud.clone() },
        Push { body: b"{\"Encrypt\": \"JSON\"}".to_vec(), ..loud.clone() },
        Push { body: Vec::new(), ..loud.clone() },
        Push { body: secure.push(&xml.replace("poster_42", "other")).body, ..loud },
        foreign.push(&xml),
        changed(&compat, "msg_signature=", "msg_signature=0"),
        changed(&plaintext, "?signature=", "?signature=0"),
        changed(&plaintext, "?signature=", "?msg_signature="),
        plaintext.push_at(&xml, "1700000000", "1"),
        plaintext.push_at(&xml, "soon", "1"),
    ];
    refused[12].body = b"<xml><Unclosed>".to_vec();
    let mut answers: Vec<_> = refused.iter().map(|push| dateless(push.post(service.public))).collect();
    let handshake = format!("{}&echostr=5836", changed(&compat, "?signature=", "?signature=0").target);
    answers.push(dateless(get(service.public, &handshake).unwrap()));
    for (answer, asked) in answers.iter().zip(refused.iter().map(|push| &push.target).chain([&handshake])) {
        assert_eq!(answer.0, 403, "{asked}");
        assert_eq!(answer, &answers[0], "{asked}");
    }
    assert_eq!(service.metric("cardhook_callbacks_total", "bad_signature"), 15);
    assert_eq!(service.metric("cardhook_callbacks_total", "stale"), 2);
}

#[test]
fn every_push_with_a_right_signature_gets_the_same_answer() {
    let secure = Account::of(Mode::Secure);
    let service = Setup::without_brokers().replace_account(&secure, "account_id = \"gh_0123456789ab\"").serve();
    let xml = fixture("user_get_card");
    let wrong_key = Account { aes_key: "0123456789CARDHOOKcardhook0123456789CARDHOO", ..secure.clone() };
    let wrong_app = Account { app_id: "wx00000000000000ff", ..secure.clone() };
    let pushes = [
        ("an event", secure.push(&xml)),
        ("a duplicate", secure.push(&xml)),
        ("a message", secure.push(&fixture("text"))),
        ("decrypt", wrong_key.push(&xml)),
        ("app_id", wrong_app.push(&xml)),
        ("malformed", secure.push("<xml><Event>user_get_card</Event>")),
        ("JSON", secure.push("{}")),
        ("nothing", secure.push("")),
        ("missing_field", secure.push(&xml.replace("CreateTime", "NoTime"))),
        ("wrong_account", secure.push(&xml.replace("gh_0123456789ab", "gh_ffffffffffff"))),
    ];
    let answers = pushes.map(|(what, push)| (what, dateless(push.post(service.public))));
    for (what, answer) in &answers {
        assert_eq!((answer.0, answer.2.as_str()), (200, "success"), "{what}");
        assert_eq!(answer, &answers[0].1, "{what}");
    }
    assert_eq!(service.metric("cardhook_callbacks_total", "quarantined"), 7);
}

#[test]
fn other_paths_are_404_other_methods_405_and_larger_bodies_413() {
    let service = Setup::without_brokers().serve();
    for path in ["/", "/wechat", "/wechat/nobody", "/wechat/secure/", "/livez", "/readyz", "/metrics"] {
        assert_eq!(get(service.public, path).unwrap().status, 404, "{path}");
    }
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = Connection::open(service.public).unwrap().exchange(method, "/wechat/secure", "", b"").unwrap();
        assert_eq!(answer.status, 405, "{method}");
    }
    let large = Push { body: vec![b' '; 65_537], ..claim_push() };
    assert_eq!(large.post(service.public).status, 413);
}

#[test]
fn a_body_of_exactly_the_largest_size_is_read() {
    let service = Setup::without_brokers().serve();
    let account = Account::of(Mode::Plaintext);
    let xml = fixture("user_get_card");
    let padded = xml.replace("poster_42", &"x".repeat(65_536 - xml.len() + "poster_42".len()));
    assert_eq!(padded.len(), 65_536);
    assert!(account.post(service.public, &padded).is_success());
}

#[test]
fn a_head_or_body_that_is_not_whole_within_three_seconds_is_a_408() {
    let service = Setup::without_brokers().serve();
    let push = claim_push();
    let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", push.target, push.body.len());
    let halves = [head.as_bytes()[..40].to_vec(), [head.as_bytes(), &push.body[..100]].concat()];
    std::thread::scope(|scope| {
        for half in &halves {
            scope.spawn(|| {
                let mut connection = Connection::open(service.public).unwrap();
                let sent = Instant::now();
                connection.send(half).unwrap();
                let answer = connection.receive(sent).unwrap();
                assert_eq!(answer.status, 408, "{answer:?}");
                let range = Duration::from_millis(2500)..Duration::from_secs(4);
                assert!(range.contains(&answer.took), "{answer:?}");
            });
        }
    });
}

#[test]
fn answers_are_never_compressed_redirected_or_without_length() {
    let service = Setup::without_brokers().serve();
    let push = claim_push();
    let mut connection = Connection::open(service.public).unwrap();
    let answer = connection.exchange("POST", &push.target, "Accept-Encoding: gzip, br\r\n", &push.body).unwrap();
    assert!(answer.is_success());
    assert_eq!(answer.header("content-length"), Some("7"));
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.header("transfer-encoding"), None);
}

#[test]
fn an_http_1_0_request_and_one_that_closes_are_answered() {
    let service = Setup::without_brokers().serve();
    let push = claim_push();
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        let mut connection = Connection::open(service.public).unwrap();
        let head = format!(
            "POST {} {version}\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            push.target,
            push.body.len()
        );
        connection.send(&[head.as_bytes(), &push.body].concat()).unwrap();
        let answer = connection.receive(Instant::now()).unwrap();
        assert!(answer.is_success(), "{answer:?}");
        assert!(connection.receive(Instant::now()).is_err(), "the connection stays open");
    }
}

#[test]
fn the_admin_listener_tells_health_and_counts_by_account() {
    let service = Setup::without_brokers().serve();
    assert_eq!(service.admin("/livez").status, 200);
    let ready = service.admin("/readyz");
    assert_eq!(ready.status, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&ready.body).unwrap().is_object(), "{ready:?}");
    assert!(claim_push().post(service.public).is_success());
    assert!(Account::of(Mode::Secure).post(service.public, &fixture("text")).is_success());
    let metrics = [
        ("cardhook_callbacks_total", "accepted"),
        ("cardhook_callbacks_total", "other"),
        ("cardhook_events_total", "card.received"),
        ("cardhook_answer_seconds_count", "disk"),
        ("cardhook_spool_records", ""),
        ("cardhook_dedup_entries", ""),
    ];
    for (name, label) in metrics {
        assert_eq!(service.metric(name, label), 1, "{name} {label}");
    }
    assert!(service.admin("/metrics").body.contains("\n# TYPE cardhook_callbacks_total counter\n"));
    assert_eq!(service.admin("/wechat/secure").status, 404, "callbacks come to the public listener only");
}
