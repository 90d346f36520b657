//! `server.allow_from = ["wechat"]`: the real binary asks WeChat's API under its real name and obeys what it learns.

use std::{net::SocketAddr, time::Duration};

use rustix::process::Signal;

use crate::support::{
    cardhook::{Service, Setup, run},
    eventually,
    http::{Answer, Connection},
    wechat::{Account, Mode, Push, fixture},
    wechat_api::{ACCESS_TOKEN, APP_SECRET, WeChatApi, lead_nowhere},
};

const WECHAT: &str = "101.226.103.7";
const STRANGER: &str = "203.0.113.9";
const OFFICE: &str = "198.51.100.7";

/// WeChat and an office may call, through a proxy on this machine; the plaintext account knows its AppSecret.
fn setup(app_secret: &str) -> Setup {
    let account = Account::of(Mode::Plaintext);
    let lines = format!("app_id = {:?}\napp_secret = {app_secret:?}", account.app_id);
    Setup::without_brokers()
        .replace_account(&account, &lines)
        .set("server", &format!("allow_from = [\"wechat\", {OFFICE:?}]\ntrusted_proxies = [\"127.0.0.1\"]"))
        .set("log", "level = \"trace\"")
}

fn push() -> Push {
    Account::of(Mode::Secure).push(&fixture("user_get_card"))
}

/// What a push gets that the proxy says is from there.
fn from(source: &str, to: SocketAddr, push: &Push) -> Answer {
    let headers = format!("Content-Type: text/xml\r\nX-Forwarded-For: {source}\r\n");
    Connection::open(to).unwrap().exchange("POST", &push.target, &headers, &push.body).unwrap()
}

fn known(service: &Service) -> u64 {
    let exposed = service.admin("/metrics").body;
    assert!(exposed.contains("\ncardhook_allow_list_known "), "{exposed}");
    service.metric("cardhook_allow_list_known", "")
}

fn wait_known(service: &Service) {
    eventually("the list is known", Duration::from_mins(1), || (known(service) == 1).then_some(()));
}

fn assert_open_and_said(service: &Service, said: &str) {
    assert_eq!(known(service), 0);
    assert_eq!(from(STRANGER, service.public, &push()).status, 200);
    eventually(said, Duration::from_mins(1), || service.log().contains(said).then_some(()));
}

#[test]
fn once_learnt_only_wechat_and_named_networks_may_call_and_a_restart_without_wechat_changes_nothing() {
    let (setup, api) = (setup(APP_SECRET), WeChatApi::start(&["127.0.0.1", "101.226.103.0/25", "2001:db8::/32"]));
    let service = setup.serve_with(|command| api.lead(command));
    wait_known(&service);
    let assert_judged = |service: &Service| {
        for source in [WECHAT, OFFICE, "2001:db8::5"] {
            assert_eq!(from(source, service.public, &push()).status, 200, "{source}");
        }
        let forged = Push { target: push().target.replace("signature=", "signature=0"), ..push() };
        let wrong = from(WECHAT, service.public, &forged);
        for source in [STRANGER, "101.226.103.200", "2001:db9::5", "nobody"] {
            let refused = from(source, service.public, &push());
            assert_eq!((refused.status, &refused.body), (403, &wrong.body), "{source}");
            assert_eq!(refused.header("content-length"), wrong.header("content-length"), "{source}");
        }
        assert_eq!(service.metric("cardhook_callbacks_total", "forbidden_source"), 4);
    };
    assert_judged(&service);
    eventually("the list is kept", Duration::from_mins(1), || {
        setup.spool().join("wechat-addresses.json").exists().then_some(())
    });
    service.crash();

    let service = setup.serve_with(lead_nowhere);
    assert_eq!(known(&service), 1);
    assert_judged(&service);
    eventually("it says so", Duration::from_mins(1), || service.log().contains("stay as last known").then_some(()));
}

#[test]
fn where_wechat_was_never_reached_anyone_may_call_and_the_alarm_is_raised() {
    let service = setup(APP_SECRET).serve_with(lead_nowhere);
    assert_open_and_said(&service, "ANYONE may call: WeChat's API does not answer");
}

#[test]
fn a_torn_file_is_not_trusted_and_said_so() {
    let setup = setup(APP_SECRET);
    std::fs::create_dir_all(setup.spool()).unwrap();
    std::fs::write(setup.spool().join("wechat-addresses.json"), "{\"ip_list\":[\"101.226.103.0/25\"").unwrap();
    let service = setup.serve_with(lead_nowhere);
    assert_open_and_said(&service, "wechat-addresses.json are not trusted");
}

#[test]
fn a_wrong_app_secret_is_named_with_its_cure_and_not_shown() {
    let api = WeChatApi::start(&["101.226.103.0/25"]);
    let service = setup("wrongsecret0042").serve_with(|command| api.lead(command));
    assert_open_and_said(&service, "errcode 40125: the AppSecret is wrong; compare app_secret");
    assert!(!service.log().contains("wrongsecret0042"), "{}", service.log());
}

#[test]
fn sighup_takes_a_new_app_secret_and_asks_anew() {
    let (setup, api) = (setup("wrongsecret0042"), WeChatApi::start(&["101.226.103.0/25"]));
    let service = setup.serve_with(|command| api.lead(command));
    assert_open_and_said(&service, "errcode 40125");
    let text = std::fs::read_to_string(setup.write()).unwrap().replace("wrongsecret0042", APP_SECRET);
    std::fs::write(setup.write(), text).unwrap();
    service.signal(Signal::HUP);
    wait_known(&service);
    assert_eq!(from(STRANGER, service.public, &push()).status, 403);

    api.now_tells(&[STRANGER]);
    service.signal(Signal::HUP);
    eventually("the list is exchanged", Duration::from_mins(1), || {
        (from(STRANGER, service.public, &push()).status == 200).then_some(())
    });
    assert_eq!(from(WECHAT, service.public, &push()).status, 403);
}

#[test]
fn neither_the_app_secret_nor_an_access_token_is_shown_anywhere() {
    let (setup, api) = (setup(APP_SECRET), WeChatApi::start(&["101.226.103.0/25"]));
    let service = setup.serve_with(|command| api.lead(command));
    wait_known(&service);
    let checked = run(&["check", "--print", "--config", &setup.write().display().to_string()]);
    let printed = String::from_utf8(checked.stdout).unwrap();
    assert!(printed.contains("\napp_secret = \"[redacted]\"\n"), "{printed}");
    let kept = std::fs::read_to_string(setup.spool().join("wechat-addresses.json")).unwrap_or_default();
    for shown in [printed, service.log(), service.admin("/metrics").body, kept] {
        assert!(!shown.contains(APP_SECRET) && !shown.contains(ACCESS_TOKEN), "{shown}");
    }
}
