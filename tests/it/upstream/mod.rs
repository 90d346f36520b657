//! In front of the merchant's own application: what goes to it, what comes back, and what becomes of card events meanwhile.

mod cards;
mod failures;
mod real;

use std::{net::SocketAddr, time::Duration};

use crate::support::{
    application::{Application, Reply, reply},
    cardhook::{Service, Setup},
    eventually,
    http::{Answer, Connection},
    unix_seconds,
    wechat::{Account, Mode, Push, fixture},
};

/// A text message; no two have the same content.
fn text(content: &str) -> String {
    let now = unix_seconds();
    format!(
        "<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName>\n\
         <FromUserName><![CDATA[oUpstreamUser00000000000001]]></FromUserName>\n<CreateTime>{now}</CreateTime>\n\
         <MsgType><![CDATA[text]]></MsgType>\n<Content><![CDATA[{content}]]></Content>\n\
         <MsgId>1234567890123456</MsgId>\n</xml>"
    )
}

fn event(event: &str, key: &str) -> String {
    let now = unix_seconds();
    format!(
        "<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName>\n\
         <FromUserName><![CDATA[oUpstreamUser00000000000001]]></FromUserName>\n<CreateTime>{now}</CreateTime>\n\
         <MsgType><![CDATA[event]]></MsgType>\n<Event><![CDATA[{event}]]></Event>\n\
         <EventKey><![CDATA[{key}]]></EventKey>\n</xml>"
    )
}

fn secure() -> Account {
    Account::of(Mode::Secure)
}

/// The secure account forwards to this URL.
fn forwarding(setup: Setup, url: &str, more: &str) -> Setup {
    setup.replace_account(&secure(), &format!("upstream = {url:?}\n{more}"))
}

/// A cardhook without brokers that forwards messages there.
fn serve(url: &str, more: &str) -> (Setup, Service) {
    let setup = forwarding(Setup::without_brokers(), url, &format!("other = \"forward\"\n{more}"));
    let service = setup.serve();
    (setup, service)
}

fn post(to: SocketAddr, xml: &str) -> Answer {
    secure().post(to, xml)
}

fn ok() -> Reply {
    Reply::Bytes(reply("200 OK", "text/xml", b"<xml>hello</xml>"))
}

/// Waits until the log has it: it comes through a pipe.
fn says(service: &Service, line: &str) {
    eventually(line, Duration::from_secs(10), || service.log().contains(line).then_some(()));
}

fn count(service: &Service, result: &str) -> u64 {
    service.metric("cardhook_upstream_total", &format!("account=\"secure\",result=\"{result}\""))
}

#[test]
fn a_message_goes_on_as_it_came_and_the_reply_comes_back_as_it_is() {
    let application = Application::start(|_| {
        Reply::Bytes(
            b"HTTP/1.1 302 Found\r\nContent-Type: text/x-own; charset=gbk\r\nLocation: /there\r\nX-Own: 1\r\n\
            Content-Length: 3\r\nConnection: keep-alive\r\n\r\na\0b"
                .to_vec(),
        )
    });
    let (_setup, service) = serve(&format!("{}?shop=1", application.url()), "");
    let Push { target, body } = secure().push(&text("hello"));
    // Signs that a URL library would rewrite.
    let target = format!("{target}&openid=oX&odd='|%7E%2f");
    let mut connection = Connection::open(service.public).unwrap();
    let headers =
        "Content-Type: text/xml; charset=utf-8\r\nX-Forwarded-For: 101.226.103.5\r\nAccept-Encoding: gzip\r\n";
    let answer = connection.exchange("POST", &target, headers, &body).unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (302, "a\0b"));
    assert_eq!(answer.header("content-type"), Some("text/x-own; charset=gbk"));
    assert_eq!((answer.header("location"), answer.header("x-own")), (Some("/there"), Some("1")));

    let asked = application.asked();
    assert_eq!(asked.len(), 1);
    let query = target.split_once('?').unwrap().1;
    assert!(asked[0].head.starts_with("POST "), "{}", asked[0].head);
    assert_eq!(asked[0].target(), format!("/app?shop=1&{query}"));
    assert_eq!(asked[0].body, body);
    for (name, value) in [
        ("content-type", "text/xml; charset=utf-8"),
        ("x-forwarded-for", "101.226.103.5, 127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("host", &application.address.to_string()),
        ("user-agent", "Mozilla/4.0"),
    ] {
        assert_eq!(asked[0].headers(name), [value], "{name} in {}", asked[0].head);
    }
    assert!(asked[0].headers("accept-encoding").is_empty(), "an answer in another coding would not be as it is");
    assert_eq!(count(&service, "answered"), 1);
    assert_eq!(service.metric("cardhook_callbacks_total", "account=\"secure\",result=\"other\""), 1);
}

#[test]
fn what_is_not_verified_and_what_is_answered_here_never_reaches_the_application() {
    let application = Application::start(|_| ok());
    let (_setup, service) = serve(&application.url(), "forward_cards = true");
    let push = secure().push(&text("forged"));
    let mut connection = Connection::open(service.public).unwrap();
    let forged = push.target.replace("msg_signature=", "msg_signature=0");
    assert_eq!(connection.post(&forged, &push.body).unwrap().status, 403);
    assert_eq!(connection.post(&push.target, b"<xml><Encrypt>AAAA</Encrypt></xml>").unwrap().status, 403);
    assert_eq!(connection.post("/wechat/secure", &push.body).unwrap().status, 400);
    let handshake = Account::of(Mode::Plaintext).push_at("", "1700000000", "42").target.replace("plaintext", "secure");
    let answer = connection.exchange("GET", &format!("{handshake}&echostr=77"), "", b"").unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "77"));
    assert_eq!(application.asked().len(), 0);
    assert!(post(service.public, &text("right")).status == 200);
    assert_eq!(application.asked().len(), 1);
}

#[test]
fn connections_to_the_application_are_used_again() {
    let application = Application::start(|_| ok());
    let (_setup, service) = serve(&application.url(), "");
    // One connection of WeChat's is served by one worker thread.
    let mut connection = Connection::open(service.public).unwrap();
    for number in 0..50 {
        let push = secure().push(&text(&number.to_string()));
        assert_eq!(connection.post(&push.target, &push.body).unwrap().status, 200);
    }
    assert_eq!((application.asked().len(), application.opened()), (50, 1));
}

#[test]
fn chunked_replies_those_of_http_1_0_and_64_kib_come_back_whole_and_one_byte_more_does_not() {
    let application = Application::start(|asked| {
        match asked.target().rsplit('=').next().unwrap() {
        "chunked" => Reply::Bytes(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
                .to_vec(),
        ),
        "old" => Reply::Last(b"HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\nhello world".to_vec()),
        "empty" => Reply::Bytes(reply("200 OK", "text/plain", b"")),
        "largest" => Reply::Bytes(reply("200 OK", "text/xml", &vec![b'a'; 65_536])),
        "beyond" => Reply::Bytes(reply("200 OK", "text/xml", &vec![b'a'; 65_537])),
        "endless" => Reply::Last([b"HTTP/1.0 200 OK\r\n\r\n".as_slice(), &vec![b'a'; 65_537]].concat()),
        "cut" => Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut".to_vec()),
        other => panic!("{other}"),
    }
    });
    let (_setup, service) = serve(&application.url(), "");
    let ask = |kind: &str| {
        let push = secure().push(&text(kind));
        Push { target: format!("{}&kind={kind}", push.target), ..push }.post(service.public)
    };
    for kind in ["chunked", "old"] {
        let answer = ask(kind);
        assert_eq!((answer.status, answer.body.as_str()), (200, "hello world"), "{kind}");
        assert_eq!(answer.header("content-length"), Some("11"), "{kind}");
        assert_eq!(answer.header("content-type"), Some("text/xml"), "{kind}");
        assert_eq!(answer.header("transfer-encoding"), None, "{kind}");
    }
    assert_eq!((ask("empty").status, ask("empty").body.as_str()), (200, ""));
    assert_eq!(ask("largest").body.len(), 65_536);
    for kind in ["beyond", "endless"] {
        assert_eq!(ask(kind).status, 502, "{kind}");
    }
    assert_eq!(count(&service, "too_large"), 2);
    assert_eq!(ask("cut").status, 502);
    assert_eq!(count(&service, "refused"), 1);
}

#[test]
fn a_verified_push_that_cannot_be_read_is_quarantined_and_forwarded_and_the_reply_counts() {
    let application = Application::start(|_| ok());
    let (_setup, service) = serve(&application.url(), "");
    let answer = post(service.public, "<xml><ToUserName>a</nonsense>");
    assert_eq!((answer.status, answer.body.as_str()), (200, "<xml>hello</xml>"));
    assert_eq!(application.asked().len(), 1);
    assert_eq!(service.metric("cardhook_callbacks_total", "account=\"secure\",result=\"quarantined\""), 1);
    assert_eq!(service.metric("cardhook_spool_records", ""), 1);
}

#[test]
fn the_log_says_where_pushes_go_and_nothing_of_a_push_itself() {
    let application = Application::start(|_| Reply::Bytes(reply("500 Oh", "text/plain", b"SECRETreply")));
    let url = format!("{}?key=SECRETkey", application.url());
    let setup = forwarding(Setup::without_brokers(), &url, "other = \"forward\"\nforward_cards = true");
    let service = setup.set("log", "level = \"trace\"").serve();
    let push = secure().push(&text("SECRETcontent"));
    assert_eq!(push.post(service.public).status, 502);
    assert_eq!(post(service.public, &fixture("user_get_card")).status, 502);
    says(&service, "the upstream failed: it answered 500");
    let log = service.log();
    assert!(log.contains(&format!("other_messages={}", application.url())), "{log}");
    assert!(log.contains(&format!("card_events=the spool, then {}", application.url())), "{log}");
    for parameter in push.target.split_once('?').unwrap().1.split('&') {
        let value = parameter.split_once('=').unwrap().1;
        assert!(value == "aes" || !log.contains(value), "{parameter} in {log}");
    }
    assert!(!log.contains("SECRET"), "{log}");
}
