//! The pushes of a full run, good and bad, and the accounts that they are for.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use cardhook::protocol::{Document, Value};

use super::hoard::{Hoard, Said};
use crate::support::{
    cardhook::Setup,
    http::Connection,
    project, unix_seconds,
    wechat::{Account, Mode, Push, fixture},
};

/// By mode: token and key, those before, and those of the next rotation.
const CREDENTIALS: [(Mode, [(&str, &str); 3]); 3] = [
    (
        Mode::Secure,
        [
            ("Ws6GGD3XcrGrVLbuvNZEwogCi0shwYUT", "x1AL2R+6RnCXh/E7TD+gU1K+V530YBUVW9BTEY82+ao"),
            ("qCBB7LnPtfw8KZboY5LgyJRIk8ZmQXlV", "K0kQMvL33ZR3GMJlTe1qomv/DNRnyZuoV6YyfDkTlGs"),
            ("lBqz5Q1EIugTpGDt4ZO7UE3VN2TyVGpK", "Aup9o0mY38T8a1nNlmFZqsQh8Kd/pJvu0MA52Z7Rx5g"),
        ],
    ),
    (
        Mode::Compat,
        [
            ("PbEevfJ0LbMoosXRVFDkSF000uKDtb4i", "FJdMmeSZKCALTPcpvhIkm7hYOGJ3KRD7N5RA10GDLqQ"),
            ("UcxAW2DFAjzwWtibxNsSQsI0tiXV9qdV", "kBqzieUvsuusw2YuEYISW4w0gwv+D1w4zSwhPjn7wWo"),
            ("Qw91vaYZnwcldAE6jgfVl2bAA2eOLerl", "NMHB+Fkf/nU7nQaouKBGo7XbViRdLXEwpYkBEviIP8g"),
        ],
    ),
    (
        Mode::Plaintext,
        [
            ("mmie4iJx9vTREeNYqjqZYGqzxYDZhzUh", "0VKLAabhN4JK0QVyCBafCALttlIOnkyXNtjyjBrZ8Ho"),
            ("A64LpW7PbfESFUaCl8UAZ4aKKhOOSJpT", "9dO9ouSD5dP+Z8PCjB8BBQberi83BUJgk9aukjXCckA"),
            ("cXIOmqITeb48ETk5mkLucIl2xsEiAV1P", "x0qVb1c3Jp9mGqzFz2bq7t5D+eYw/8nRk4LhUuSvTgE"),
        ],
    ),
];
/// Of a body whose tags are as WeChat's: these say whose card it is.
const PERSONAL: [&str; 9] = [
    "FromUserName",
    "FriendUserName",
    "StaffOpenId",
    "UnionId",
    "UserCardCode",
    "OldUserCardCode",
    "OrderId",
    "OutTradeNo",
    "TransId",
];
pub const OPENID: &str = "oHarnessUser00000000000000A1";
pub const CODE: &str = "004417730915";

/// The account of a mode with its credentials of now (0), before (1) or after a rotation (2).
pub fn account(mode: Mode, age: usize) -> Account {
    let (_, credentials) = CREDENTIALS.iter().find(|(of, _)| *of == mode).unwrap();
    let (token, aes_key) = credentials[age];
    Account { token, aes_key, ..Account::of(mode) }
}

/// The three accounts with their credentials of `now` and `before`.
pub fn accounts(setup: Setup, now: usize, before: usize) -> Setup {
    Mode::ALL.into_iter().fold(setup.without_accounts(), |setup, mode| {
        let Account { token, aes_key, .. } = account(mode, before);
        let lines = format!(
            "previous_token = {token:?}\nprevious_aes_key = {aes_key:?}\nother = \"publish\"\nmax_age = \"1h\"\n\
             account_id = \"gh_0123456789ab\"\n"
        );
        setup.account(&account(mode, now), &lines)
    })
}

/// The bodies of `tests/fixtures`.
pub fn fixtures() -> Vec<String> {
    let files = std::fs::read_dir(project("tests/fixtures")).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.is_file());
    let mut names: Vec<String> = files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names.iter().map(|name| fixture(name)).collect()
}

/// Everything that the traffic holds and nobody may see.
pub fn hoard() -> Hoard {
    let mut hoard = Hoard::default();
    for (mode, credentials) in CREDENTIALS {
        for (token, aes_key) in credentials {
            hoard.add_secret(&format!("a token of {mode:?}"), token);
            hoard.add_secret(&format!("a key of {mode:?}"), aes_key);
            hoard.add(&format!("the bytes of a key of {mode:?}"), key_bytes(aes_key));
        }
    }
    for body in fixtures() {
        for child in Document::parse(body.as_bytes()).unwrap().children {
            if let Value::Text(text) = &child.value
                && PERSONAL.contains(&&*child.tag)
                && !text.is_empty()
            {
                hoard.add(&child.tag, &**text);
            }
        }
    }
    hoard
}

/// The 32 bytes: the 43 characters' last two bits do not count.
fn key_bytes(aes_key: &str) -> Vec<u8> {
    use base64::{Engine as _, alphabet, engine::general_purpose};
    let lenient = general_purpose::NO_PAD.with_decode_allow_trailing_bits(true);
    general_purpose::GeneralPurpose::new(&alphabet::STANDARD, lenient).decode(aes_key).unwrap()
}

/// Sends all of it to a service whose accounts have their credentials of `now`. Each `round` has events of its own.
pub fn send(to: SocketAddr, now: usize, before: usize, round: usize, said: &mut Said) {
    let bodies: Vec<String> = fixtures()
        .iter()
        .map(|body| body.replace("<CreateTime>17500000", &format!("<CreateTime>175{round:03}00")))
        .collect();
    for mode in Mode::ALL {
        let account = account(mode, now);
        for body in &bodies {
            let push = with_openid(account.push(body));
            for _ in 0..2 {
                let answer = push.post(to);
                assert!(answer.is_success(), "{mode:?} {answer:?}\n{body}");
            }
        }
        assert!(self::account(mode, before).post(to, &bodies[0]).is_success());
        for body in quarantined(&bodies) {
            assert!(account.post(to, &body).is_success());
        }
        refused(to, &account, &bodies[0], said);
    }
    let reused = account(Mode::Plaintext, now);
    let (timestamp, nonce) = (unix_seconds().to_string(), format!("77{round}"));
    for body in &bodies[..3] {
        assert!(reused.push_at(body, &timestamp, &nonce).post(to).is_success());
    }
    let sealed = account(Mode::Secure, now);
    let wrong_key = Account { aes_key: CREDENTIALS[1].1[0].1, ..sealed.clone() };
    let wrong_app = Account { app_id: "wx00000000000000ff", ..sealed };
    for account in [wrong_key, wrong_app] {
        assert!(account.post(to, &bodies[0]).is_success());
    }
    let half = account(Mode::Compat, now).push(&bodies[0]);
    let head = format!("POST {} HTTP/1.1\r\nHost: {OPENID}\r\nContent-Length: 50000\r\n\r\n", half.target);
    said.hear("the answer to half a push", raw(to, &[head.as_bytes(), &half.body].concat()));
}

/// As WeChat sends it: whose event it is stands in the query too.
pub fn with_openid(push: Push) -> Push {
    Push { target: format!("{}&openid={OPENID}", push.target), ..push }
}

/// Verified, and no event.
fn quarantined(bodies: &[String]) -> Vec<String> {
    let claim = bodies.iter().find(|body| body.contains("user_get_card")).unwrap();
    vec![
        claim.replace("</xml>", "</lmx>"),
        claim.replace("gh_0123456789ab", "gh_ffffffffffff"),
        claim.replace("CreateTime", "NoTime"),
        claim.replace("<CardId>", "<CardId>&secret;"),
        format!("{{\"FromUserName\": {OPENID:?}, \"UserCardCode\": {CODE:?}}}"),
        format!("<xml><{OPENID}>{CODE}</{OPENID}2></xml>"),
    ]
}

/// Not even verified, or no request at all; with what nobody may see in every place of it.
fn refused(to: SocketAddr, account: &Account, body: &str, said: &mut Said) {
    let push = with_openid(account.push(body));
    let (path, query) = push.target.split_once('?').unwrap();
    let Account { token, aes_key, .. } = account;
    for query in [
        query.replace("ignature=", "ignature=0"),
        query.replace("timestamp=", "timestamp=1"),
        format!("{query}&nonce={token}"),
        format!("{query}&openid={OPENID}%zz"),
        format!("{query}&echostr={aes_key}%ff"),
        format!("openid={OPENID}"),
        format!("token={token}"),
        token.to_string(),
    ] {
        let bad = Push { target: format!("{path}?{query}"), ..push.clone() };
        said.hear("an answer to a bad query", format!("{:?}", bad.post(to)));
    }
    for (method, target) in [
        ("GET", format!("{path}?{query}&echostr=5836")),
        ("GET", format!("{path}?{}&echostr={CODE}", query.replace("signature=", "signature=0"))),
        ("PUT", push.target.clone()),
        ("POST", format!("/{token}/{CODE}?{query}")),
    ] {
        let answer = Connection::open(to).unwrap().exchange(method, &target, "", &push.body).unwrap();
        said.hear(format!("the answer to a {method}"), format!("{answer:?}"));
    }
    let oversize = Push { body: format!("{body}{}", CODE.repeat(6000)).into_bytes(), ..push.clone() };
    said.hear("the answer to an oversize body", format!("{:?}", oversize.post(to)));
    for broken in [
        format!("POST {}\x01 HTTP/1.1\r\nHost: x\r\n\r\n", push.target),
        format!("POST {} HTTP/1.1\r\nHost: x\r\n{OPENID} {token}\r\n\r\n", push.target),
        format!("POST {} HTTP/9.9\r\n\r\n", push.target),
        format!("{token} {OPENID} {CODE}\r\n\r\n"),
        format!("POST {} HTTP/1.1\r\nContent-Length: {CODE}x\r\n\r\n", push.target),
        format!("POST {} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{CODE}{OPENID}\r\n", push.target),
    ] {
        said.hear("the answer to a broken request", raw(to, broken.as_bytes()));
    }
}

/// Sends bytes and reads to the end.
fn raw(to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}
