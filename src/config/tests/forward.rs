//! `other`, `upstream` and its companions.

use super::*;

fn account(lines: &str) -> Account {
    load(&LEAST.replace("name", &format!("{lines}\nname"))).unwrap().accounts.remove(0)
}

fn routes(lines: &str) -> Vec<String> {
    let config = load(&LEAST.replace("name", &format!("{lines}\nname"))).unwrap();
    config.accounts[0].routes(&config.kafka).iter().map(|route| format!("{}: {route}", route.pushes)).collect()
}

#[test]
fn other_is_one_word_or_a_list_of_two() {
    const UPSTREAM: &str = "upstream = \"http://u\"\n";
    for (written, policy) in [
        ("other = \"ignore\"", OtherPolicy::Ignore),
        ("other = [\"ignore\"]", OtherPolicy::Ignore),
        ("other = \"publish\"", OtherPolicy::Publish),
        ("upstream = \"http://u\"\nother = \"forward\"", OtherPolicy::Forward),
        ("upstream = \"http://u\"\nother = [\"publish\", \"forward\"]", OtherPolicy::PublishAndForward),
        ("upstream = \"http://u\"\nother = [\"forward\", \"publish\"]", OtherPolicy::PublishAndForward),
    ] {
        assert_eq!(account(written).other, policy, "{written}");
    }
    for written in ["[]", "[\"ignore\", \"publish\"]", "[\"forward\", \"drop\"]", "\"drop\"", "true", "[1]"] {
        let written = format!("{UPSTREAM}other = {written}\nname");
        assert_eq!(keys_with("name", &written), ["account.shop.other"], "{written}");
    }
    let variable = ("CARDHOOK__ACCOUNT__SHOP__OTHER", "publish,forward");
    let upstream = ("CARDHOOK__ACCOUNT__SHOP__UPSTREAM", "http://u");
    let config = load_with(LEAST, &[variable, upstream], &[]).unwrap();
    assert_eq!(config.accounts[0].other, OtherPolicy::PublishAndForward);
}

#[test]
fn an_upstream_has_the_defaults_of_the_contract() {
    let upstream = account("other = \"forward\"\nupstream = \"http://127.0.0.1:8000/wx?a=1\"").upstream.unwrap();
    assert_eq!(upstream.url, "http://127.0.0.1:8000/wx?a=1");
    assert_eq!(upstream.on_failure, UpstreamFailure::Fail);
    assert_eq!((upstream.max_in_flight, upstream.cards), (256, false));
    let lines =
        "upstream_failure = \"success\"\nupstream_max_in_flight = 9\nforward_cards = true\nupstream = \"https://u\"";
    let upstream = account(lines).upstream.unwrap();
    assert_eq!(upstream.on_failure, UpstreamFailure::Success);
    assert_eq!((upstream.max_in_flight, upstream.cards), (9, true));
}

#[test]
fn an_upstream_that_gets_nothing_and_one_that_is_missing_are_errors() {
    for lines in [
        "upstream = \"http://u\"",
        "upstream = \"http://u\"\nother = \"publish\"",
        "other = \"forward\"",
        "other = [\"publish\", \"forward\"]",
        "forward_cards = true",
    ] {
        assert_eq!(keys_with("name", &format!("{lines}\nname")), ["account.shop.upstream"], "{lines}");
    }
    for (key, value) in
        [("upstream_failure", "\"retry\""), ("upstream_max_in_flight", "0"), ("forward_cards", "\"yes\"")]
    {
        assert_eq!(keys_with("name", &format!("{key} = {value}\nname")), [format!("account.shop.{key}")]);
    }
}

#[test]
fn an_upstream_is_a_url_of_http_without_a_password_and_no_error_shows_one() {
    for url in [
        "",
        "u",
        "ftp://u",
        "//u/",
        "http://",
        "http://u#a",
        "http://u:0",
        "http://u:99999/",
        "http://a b/",
        "http://user:s3cret@u/",
        "unix:/run/app.sock",
    ] {
        let lines = format!("other = \"forward\"\nupstream = {url:?}\nname");
        let errors = load(&LEAST.replace("name", &lines)).unwrap_err();
        assert_eq!(errors.len(), 1, "{url}: {errors:?}");
        assert_eq!(errors[0].key, "account.shop.upstream");
        assert!(!errors[0].to_string().contains("s3cret"), "{errors:?}");
    }
    for url in ["http://u", "https://app.example.com:8443/wechat?shop=1", "http://[::1]:8000/", "http://10.0.0.1"] {
        assert!(
            load(&LEAST.replace("name", &format!("other = \"forward\"\nupstream = {url:?}\nname"))).is_ok(),
            "{url}"
        );
    }
}

#[test]
fn an_upstream_is_not_cardhook_itself() {
    for (listen, url, wrong) in [
        ("0.0.0.0:8080", "http://127.0.0.1:8080/wechat/shop", true),
        ("127.0.0.1:8080", "http://localhost:8080/", true),
        ("0.0.0.0:80", "http://127.0.0.1/", true),
        ("[::]:8080", "http://[::1]:8080/", true),
        ("10.0.0.5:8080", "http://10.0.0.5:8080/", true),
        ("10.0.0.5:8080", "http://127.0.0.1:8080/", false),
        ("0.0.0.0:8080", "http://127.0.0.1:8000/", false),
        ("0.0.0.0:8080", "http://10.0.0.7:8080/", false),
    ] {
        let text = LEAST.replace("name", &format!("other = \"forward\"\nupstream = {url:?}\nname"));
        let expected: &[&str] = if wrong { &["account.shop.upstream"] } else { &[] };
        assert_eq!(keys(load(&format!("{text}[server]\nlisten = {listen:?}\n"))), expected, "{listen} {url}");
    }
}

#[test]
fn the_effective_configuration_shows_an_upstream_without_its_query_and_knows_when_it_changed() {
    let with = |query: &str| {
        let lines = format!("other = [\"publish\", \"forward\"]\nupstream = \"http://u/wx?{query}\"\nname");
        load(&LEAST.replace("name", &lines)).unwrap()
    };
    let config = with("key=s3cretKEY");
    let shown = config.effective();
    assert!(shown.contains("other = [\"publish\", \"forward\"]\nupstream = \"http://u/wx?[redacted]\"\n"), "{shown}");
    for line in ["upstream_failure = \"fail\"\n", "upstream_max_in_flight = 256\n", "forward_cards = false\n"] {
        assert!(shown.contains(line), "{shown}");
    }
    assert!(!shown.contains("s3cretKEY"));
    assert!(config.differing_keys(&with("key=another")).contains("account.shop.upstream"));
    assert!(config.differing_keys(&with("key=s3cretKEY")).is_empty());
}

#[test]
fn the_routes_say_where_each_kind_of_push_goes() {
    assert_eq!(
        routes(""),
        [
            "card events: topic wechat.card.events",
            "other messages: answered success",
            "unreadable pushes: topic wechat.card.dlq"
        ]
    );
    let url = "http://u/wx";
    assert_eq!(
        routes(&format!("other = \"forward\"\nupstream = \"{url}?key=s3cret\"")),
        [
            "card events: topic wechat.card.events".to_owned(),
            format!("other messages: {url}"),
            format!("unreadable pushes: topic wechat.card.dlq, then {url}"),
        ]
    );
    assert_eq!(
        routes(&format!("other = \"publish\"\nforward_cards = true\nupstream = \"{url}\"")),
        [
            format!("card events: topic wechat.card.events, then {url}"),
            "other messages: topic wechat.other".to_owned(),
            format!("unreadable pushes: topic wechat.card.dlq, then {url}"),
        ]
    );
}
