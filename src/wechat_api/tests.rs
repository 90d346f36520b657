//! Calls over real sockets.

use std::time::{Duration, Instant};

use super::{
    Api, ApiError,
    fake::{Answer, FakeWeChat, SECRETS, addresses, refusal, token},
};

fn wait_for<T>(call: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(call)
}

fn ask(api: &mut Api) -> Result<Vec<String>, ApiError> {
    let networks = wait_for(api.callback_addresses())?;
    Ok(networks.iter().map(ToString::to_string).collect())
}

/// Everything that a log line could show of an error.
fn shown(error: ApiError) -> String {
    let plain = format!("{error:?} {error}");
    format!("{plain} {:#}", anyhow::Error::new(error))
}

fn tokens_asked_for(wechat: &FakeWeChat) -> usize {
    wechat.asked().iter().filter(|request| request.contains("stable_token")).count()
}

#[test]
fn addresses_and_networks_of_both_families_are_read_and_what_is_neither_is_left_out() {
    let list =
        ["127.0.0.1", "101.226.103.7/25", "2001:db8::/32", "2001:db8::7", "::ffff:203.0.113.9", " 1.2.3.4 ", "x"];
    let wechat = FakeWeChat::new(&[token()], &[addresses(&list)]);
    let networks = ask(&mut wechat.api()).unwrap();
    let expected =
        ["127.0.0.1/32", "101.226.103.7/25", "2001:db8::/32", "2001:db8::7/128", "203.0.113.9/32", "1.2.3.4/32"];
    assert_eq!(networks, expected);
    let asked = wechat.asked();
    assert!(asked[0].starts_with("POST /cgi-bin/stable_token HTTP/1.1{"), "the secret in the body only: {asked:?}");
    assert!(asked[0].contains(r#""secret":"LEAKappsecret","force_refresh":false"#), "{asked:?}");
    assert_eq!(asked[1], "GET /cgi-bin/getcallbackip?access_token=LEAKaccesstoken HTTP/1.1");
}

#[test]
fn a_token_is_used_until_shortly_before_its_end() {
    let list = addresses(&["127.0.0.1"]);
    for (seconds, fetched) in [(7200, 1), (300, 2)] {
        let token = Answer::Body(format!(r#"{{"access_token":"t","expires_in":{seconds}}}"#));
        let wechat = FakeWeChat::new(&[token], std::slice::from_ref(&list));
        let mut api = wechat.api();
        ask(&mut api).unwrap();
        ask(&mut api).unwrap();
        assert_eq!(tokens_asked_for(&wechat), fetched, "valid for {seconds} s");
    }
}

#[test]
fn a_refused_token_is_renewed_once() {
    for errcode in [40_001, 40_014, 42_001] {
        let wechat = FakeWeChat::new(&[token()], &[refusal(errcode, "expired"), addresses(&["127.0.0.1"])]);
        assert_eq!(ask(&mut wechat.api()).unwrap(), ["127.0.0.1/32"]);
        assert_eq!(tokens_asked_for(&wechat), 2, "{errcode}");

        let wechat = FakeWeChat::new(&[token()], &[refusal(errcode, "expired")]);
        assert!(matches!(ask(&mut wechat.api()), Err(ApiError::Refused { errcode: told, .. }) if told == errcode));
        assert_eq!((tokens_asked_for(&wechat), wechat.asked().len()), (2, 4), "{errcode}");
    }
}

#[test]
fn a_refusal_is_told_with_its_cure_and_without_wechats_words() {
    let words = "LEAKwords invalid ip 203.0.113.9 ipv6 ::ffff:203.0.113.9, not in whitelist rid: 0-1";
    for (errcode, cure) in [
        (-1, "busy"),
        (40_001, "app_secret"),
        (40_125, "app_secret"),
        (40_013, "app_id"),
        (40_164, "put 203.0.113.9 on the account's IP whitelist"),
        (45_009, "too often"),
        (48_001, "permissions"),
        (50_002, "restricted"),
        (99_999, "return codes"),
    ] {
        let wechat = FakeWeChat::new(&[refusal(errcode, words)], &[addresses(&["127.0.0.1"])]);
        let shown = shown(ask(&mut wechat.api()).unwrap_err());
        assert!(shown.contains(&errcode.to_string()) && shown.contains(cure), "{shown}");
        assert!(!shown.contains("LEAK"), "{shown}");
        assert_eq!(wechat.asked().len(), 1, "a refused secret is not tried again at once");
    }
}

#[test]
fn what_is_no_answer_of_wechats_is_an_error_that_shows_none_of_it() {
    let page = "HTTP/1.1 200 OK\r\ncontent-length: 17\r\nconnection: close\r\n\r\n<html>LEAK</html>";
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/LEAK\r\ncontent-length: 0\r\n\r\n";
    let held = Duration::from_secs(5);
    for (answer, told) in [
        (Answer::Bytes(page, held), "something else than the JSON"),
        (Answer::Bytes(moved, held), "status 302"),
        (Answer::Body(String::new()), "something else"),
        (Answer::Body("[]".to_owned()), "something else"),
        (Answer::Body("{}".to_owned()), "something else"),
        (Answer::Body(r#"{"ip_list":[]}"#.to_owned()), "something else"),
        (Answer::Body(r#"{"ip_list":["LEAK"]}"#.to_owned()), "something else"),
        (Answer::Body(r#"{"ip_list":"LEAK"}"#.to_owned()), "something else"),
        (Answer::Body(format!(r#"{{"ip_list":["{}"]}}"#, "LEAK".repeat(1 << 20))), "more than"),
        (Answer::Nothing, "does not answer"),
    ] {
        let wechat = FakeWeChat::new(&[token()], std::slice::from_ref(&answer));
        let shown = shown(ask(&mut wechat.api()).unwrap_err());
        assert!(shown.contains(told), "{answer:?}: {shown}");
        assert!(!shown.contains("LEAK"), "{shown}");
    }
}

#[test]
fn a_slow_answer_is_given_up_whether_its_head_or_its_body_is_late() {
    let body = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"ip_list\":[";
    for bytes in ["", body] {
        let wechat = FakeWeChat::new(&[token()], &[Answer::Bytes(bytes, Duration::from_secs(20))]);
        let mut api = wechat.api();
        api.patience = Duration::from_millis(300);
        let began = Instant::now();
        let shown = shown(ask(&mut api).unwrap_err());
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(shown.contains("does not answer"), "{shown}");
        assert!(SECRETS.iter().all(|secret| !shown.contains(secret)), "{shown}");
    }
}

#[test]
fn another_caller_gets_a_token_of_its_own() {
    let wechat = FakeWeChat::new(&[token()], &[addresses(&["127.0.0.1"])]);
    let mut api = wechat.api();
    ask(&mut api).unwrap();
    let rotated = super::Caller { app_secret: super::AppSecret::new("rotated"), ..super::fake::caller() };
    api.change_caller(rotated);
    ask(&mut api).unwrap();
    assert!(wechat.asked()[2].contains(r#""secret":"rotated""#), "{:?}", wechat.asked());
}

#[test]
fn nothing_of_ours_prints_a_secret() {
    let wechat = FakeWeChat::new(&[token()], &[addresses(&["127.0.0.1"])]);
    let mut api = wechat.api();
    ask(&mut api).unwrap();
    let shown = format!("{api:?} {:?}", super::fake::caller());
    assert!(shown.contains("[redacted]") && SECRETS.iter().all(|secret| !shown.contains(secret)), "{shown}");
}
