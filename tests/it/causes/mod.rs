//! What a refusal says to the operator: each mistake is made, and the line is read (contract §2.3).

mod connections;
mod flood;

use std::time::Duration;

use crate::{
    spool_store::export,
    support::{
        cardhook::{Service, Setup},
        eventually,
        http::{Answer, Connection, get},
        unix_seconds,
        wechat::{Account, Mode, Push, fixture},
    },
};

const LIMIT: Duration = Duration::from_secs(30);

/// The line of a cause, once it is there.
fn line(service: &Service, cause: &str, of: &str) -> String {
    let cause = format!("cause=\"{cause}\"");
    let found = |log: String| log.lines().find(|line| line.contains(&cause) && line.contains(of)).map(str::to_owned);
    eventually(&format!("a line about {cause}"), LIMIT, || found(service.log()))
}

/// Makes a mistake at an account, and holds its answer, its counter and its line.
fn told(service: &Service, account: &str, cause: &str, status: u16, words: &[&str], mistake: impl Fn() -> Answer) {
    let labels = format!("account=\"{account}\",cause=\"{cause}\"");
    let before = service.metric("cardhook_refused_total", &labels);
    let answer = mistake();
    assert_eq!(answer.status, status, "{cause}: {answer:?}");
    assert_eq!(service.metric("cardhook_refused_total", &labels), before + 1, "{cause}");
    let line = line(service, cause, &format!("account={account} "));
    assert!(line.contains(" WARN ") && line.contains("request refused"), "{line}");
    for words in words.iter().copied().chain([format!("account={account}").as_str(), "cure=", "since=", "source="]) {
        assert!(line.contains(words), "{cause}: {words} in {line}");
    }
}

fn secure() -> Push {
    Account::of(Mode::Secure).push(&fixture("user_get_card"))
}

fn changed(push: Push, change: impl Fn(&str) -> String) -> Push {
    Push { target: change(&push.target), ..push }
}

fn with_body(push: Push, body: &str) -> Push {
    Push { body: body.as_bytes().to_vec(), ..push }
}

fn post_with(service: &Service, push: &Push, headers: &str) -> Answer {
    Connection::open(service.public).unwrap().exchange("POST", &push.target, headers, &push.body).unwrap()
}

/// What a plaintext push to the account in secure mode looks like.
fn clear_to_secure(body: &str) -> Push {
    let push = Account::of(Mode::Plaintext).push(body);
    changed(push, |target| target.replace("/wechat/plaintext", "/wechat/secure"))
}

#[test]
fn each_mistake_with_the_query_is_told_with_its_cause() {
    let service = Setup::without_brokers().serve();
    let public = service.public;
    let xml = fixture("user_get_card");
    told(&service, "secure", "no_query", 400, &["strips", "proxy_pass"], || {
        changed(secure(), |target| target.split('?').next().unwrap().to_owned()).post(public)
    });
    told(&service, "secure", "missing_parameter", 400, &["nonce is missing"], || {
        changed(secure(), |target| target.replace("nonce=", "once=")).post(public)
    });
    told(&service, "secure", "malformed_parameter", 400, &["openid is empty"], || {
        changed(secure(), |target| format!("{target}&openid=")).post(public)
    });
    told(&service, "secure", "escaped_query", 400, &["amp;", "HTML"], || {
        changed(secure(), |target| target.replace('&', "&amp;")).post(public)
    });
    told(&service, "secure", "redirected", 400, &["redirect", "console"], || get(public, &secure().target).unwrap());
    told(&service, "plaintext", "redirected", 400, &["redirect"], || {
        get(public, &Account::of(Mode::Plaintext).push(&xml).target).unwrap()
    });
}

#[test]
fn each_mistake_with_tokens_and_modes_is_told_with_its_cause() {
    let other = Account { name: "other", token: "tokenofother0042", ..Account::of(Mode::Secure) };
    let setup = Setup::without_brokers().account(&other, "");
    let service = setup.serve();
    let public = service.public;
    let xml = fixture("user_get_card");
    let wrong = Account { token: "nobodystoken0042", ..Account::of(Mode::Secure) };
    told(
        &service,
        "secure",
        "token",
        403,
        &["console", "cardhook replay --unverified", "unverified pushes are kept"],
        || wrong.post(public, &xml),
    );
    told(&service, "compat", "token", 403, &["differs"], || {
        Account { token: "nobodystoken0042", ..Account::of(Mode::Compat) }.post(public, &xml)
    });
    told(&service, "plaintext", "token", 403, &["differs"], || {
        Account { token: "nobodystoken0042", ..Account::of(Mode::Plaintext) }.post(public, &xml)
    });
    told(&service, "secure", "token_of_another_account", 403, &["account other", "/wechat/other", "swapped"], || {
        changed(other.push(&xml), |target| target.replace("/wechat/other", "/wechat/secure")).post(public)
    });
    told(&service, "other", "token_of_another_account", 403, &["verifies with the token of the account"], || {
        get(public, &format!("{}&echostr=1", secure().target.replace("/wechat/secure", "/wechat/other"))).unwrap()
    });
    told(&service, "secure", "clear_push", 403, &["明文模式", "compat"], || clear_to_secure(&xml).post(public));
    assert_eq!(service.metric("cardhook_refused_total", "account=\"secure\""), 3, "nothing else was counted");
}

#[test]
fn each_mistake_with_the_body_is_told_with_its_cause() {
    let setup = Setup::without_brokers().set("server", "max_body_bytes = 8192");
    let service = setup.serve();
    let public = service.public;
    let xml = fixture("user_get_card");
    let of_another = Account::of(Mode::Secure).push(&fixture("user_del_card")).body;
    told(&service, "secure", "body_changed", 403, &["msg_signature does not", "byte for byte"], || {
        Push { body: of_another.clone(), ..secure() }.post(public)
    });
    told(&service, "compat", "body_changed", 403, &["msg_signature does not"], || {
        let push = Account::of(Mode::Compat).push(&xml);
        let body = String::from_utf8(push.body.clone()).unwrap();
        with_body(push, &body.replace("<Encrypt><![CDATA[", "<Encrypt><![CDATA[AAAA")).post(public)
    });
    told(&service, "secure", "json_body", 403, &["数据格式", "XML"], || {
        with_body(secure(), "{\"ToUserName\":\"gh_0123456789ab\",\"Encrypt\":\"abc\"}").post(public)
    });
    told(&service, "secure", "compressed", 403, &["Content-Encoding"], || {
        post_with(&service, &with_body(secure(), "\u{1f}\u{8b}"), "Content-Encoding: gzip\r\n")
    });
    told(&service, "secure", "too_large", 413, &["max_body_bytes"], || {
        with_body(secure(), &"x".repeat(9000)).post(public)
    });
    told(&service, "secure", "slow", 408, &["3 s"], || {
        let mut connection = Connection::open(public).unwrap();
        let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n<xml>", secure().target);
        connection.send(head.as_bytes()).unwrap();
        connection.receive(std::time::Instant::now()).unwrap()
    });
}

#[test]
fn an_empty_or_cut_body_is_refused_so_that_it_is_sent_again_and_is_no_event() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    let xml = fixture("user_get_card");
    for mode in [Mode::Plaintext, Mode::Compat] {
        let push = Account::of(mode).push(&xml);
        let whole = String::from_utf8(push.body.clone()).unwrap();
        for body in ["", &whole[..200], whole.trim_end().strip_suffix("</xml>").unwrap()] {
            told(&service, mode.name(), "body_changed", 400, &[], || {
                with_body(push.clone(), body).post(service.public)
            });
        }
        assert!(push.post(service.public).is_success(), "the re-delivery, under the same query");
    }
    told(&service, "secure", "body_changed", 403, &["empty"], || with_body(secure(), "").post(service.public));
    told(&service, "secure", "body_changed", 403, &[], || with_body(clear_to_secure(""), "").post(service.public));
    assert_eq!(service.metric("cardhook_quarantined_total", ""), 0);
    assert_eq!(service.metric("cardhook_callbacks_total", "quarantined"), 0);
    assert_eq!(export(&setup.spool()).len(), 2, "one event for each account");
}

#[test]
fn age_and_source_are_told_with_their_cause() {
    let aged = Account::of(Mode::Plaintext);
    let setup = Setup::without_brokers()
        .replace_account(&aged, "max_age = \"1h\"")
        .set("server", "allow_from = [\"203.0.113.0/24\"]\ntrusted_proxies = [\"127.0.0.1\"]");
    let service = setup.serve();
    let xml = fixture("user_get_card");
    let from = |push: &Push, source: &str| post_with(&service, push, &format!("X-Forwarded-For: {source}\r\n"));
    let at = |seconds: i64| aged.push_at(&xml, &(unix_seconds() + seconds).to_string(), "4711");
    told(&service, "plaintext", "stale", 403, &["max_age", "its signature is right"], || {
        from(&at(-7200), "203.0.113.7")
    });
    told(&service, "plaintext", "clock", 403, &["ahead", "clock"], || from(&at(900), "203.0.113.7"));
    told(&service, "plaintext", "source", 403, &["server.allow_from", "source=198.51.100.9"], || {
        from(&at(0), "198.51.100.9")
    });
    assert!(from(&at(0), "203.0.113.7").is_success());
}

#[test]
fn a_plaintext_account_with_encrypted_pushes_is_told_so_and_no_key_is_blamed() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    let push = changed(secure(), |target| target.replace("/wechat/secure", "/wechat/plaintext"));
    assert!(push.post(service.public).is_success());
    let line = line(&service, "encrypted_push", "account=plaintext");
    assert!(
        line.contains("push quarantined") && line.contains("reason=\"decrypt\"") && line.contains("明文模式"),
        "{line}"
    );
    let record = &export(&setup.spool())[0];
    let detail =
        record["headers"]["dlq_detail"].as_str().or(record["dlq_detail"].as_str()).unwrap_or_default().to_owned();
    assert!(detail.starts_with("encrypted_push: ") && !detail.contains("current or previous"), "{record}");
    assert_eq!(service.metric("cardhook_quarantined_total", "account=\"plaintext\",reason=\"decrypt\""), 1);
}

#[test]
fn a_json_body_that_is_verified_is_quarantined_as_what_it_is() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    let push = Account::of(Mode::Plaintext).push("{\"ToUserName\":\"gh_0123456789ab\"}");
    assert!(push.post(service.public).is_success());
    let line = eventually("a line", LIMIT, || {
        service.log().lines().find(|line| line.contains("push quarantined")).map(str::to_owned)
    });
    assert!(line.contains("JSON") && line.contains("数据格式"), "{line}");
}

#[test]
fn the_times_of_the_last_push_and_handshake_are_shown() {
    let service = Setup::without_brokers().serve();
    let shown = |name: &str, labels: &str| -> Option<f64> {
        let text = service.admin("/metrics").body;
        let line = text.lines().find(|line| line.starts_with(&format!("{name}{{{labels}")))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    let last_push = || shown("cardhook_last_push_timestamp_seconds", "account=\"secure\"");
    assert_eq!(last_push(), None);
    let began = f64::from(u32::try_from(unix_seconds()).unwrap());
    assert!(secure().post(service.public).is_success());
    assert!(last_push().unwrap() >= began);
    let greet = |push: Push| get(service.public, &format!("{}&echostr=1", push.target)).unwrap().status;
    assert_eq!(greet(secure()), 200);
    let handshake = |result: &str| {
        shown("cardhook_handshake_timestamp_seconds", &format!("account=\"secure\",result=\"{result}\""))
    };
    assert!(handshake("accepted").unwrap() >= began);
    assert_eq!(handshake("refused"), None);
    assert_eq!(greet(Account { token: "nobodystoken0042", ..Account::of(Mode::Secure) }.push("<xml/>")), 403);
    assert!(handshake("refused").unwrap() >= began);
}

#[test]
fn a_person_who_opens_the_url_reads_one_line_in_both_languages_and_no_name() {
    let service = Setup::without_brokers().serve();
    for target in ["/wechat/secure", "/wechat/secure?", "/wechat/secure?from=singlemessage"] {
        let page = get(service.public, target).unwrap();
        assert_eq!(page.status, 400, "{target}");
        assert!(page.header("content-type").unwrap().contains("charset=utf-8"), "{page:?}");
        assert_eq!(page.body.trim_end().lines().count(), 1, "{page:?}");
        assert!(page.body.contains("WeChat") && page.body.contains("微信"), "{page:?}");
        let all = format!("{page:?}").to_lowercase();
        assert!(
            !all.contains("cardhook") && !all.contains("actix") && !all.contains(env!("CARGO_PKG_VERSION")),
            "{all}"
        );
    }
}

#[test]
fn a_path_that_is_near_to_an_accounts_is_told_and_every_unknown_one_is_counted() {
    let service = Setup::without_brokers().serve();
    for path in ["/wp-login.php", "/wechat/secret", "/wechat/secure/", "//wechat//secure", "/WeChat/Secure"] {
        assert_eq!(get(service.public, path).unwrap().status, 404, "{path}");
    }
    assert_eq!(service.metric("cardhook_unknown_path_total", ""), 5);
    let line = eventually("a line", LIMIT, || {
        service.log().lines().find(|line| line.contains("no account has this path")).map(str::to_owned)
    });
    assert!(line.contains("path=\"/wechat/secure/\"") && line.contains("account=secure"), "{line}");
    assert!(line.contains("/wechat/compat"), "the configured paths: {line}");
    assert_eq!(service.log().matches("no account has this path").count(), 1, "one in ten seconds");
    assert!(!service.log().contains("wp-login"), "what is near to nothing is only counted");
}
