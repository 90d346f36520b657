//! What is asked wrongly, what is hostile, what is too much.

use super::{api, json, post, wait_for};
use crate::support::{
    cardhook::Setup,
    wechat::{Account, Mode, claim, fixture},
};

fn received(outer_str: &str, code: u32) -> String {
    let xml = claim("oInventedOfTheConsole00000001", &format!("{code:012}"), 1_767_225_600 + i64::from(code));
    xml.replace("CDATA[harness]", &format!("CDATA[{outer_str}]"))
}

#[test]
fn hostile_channels_are_data_and_nothing_else() {
    let service = Setup::without_brokers().serve();
    let longest = "𝕬".repeat(128);
    let hostile = [
        "<img src=x onerror=alert(1)>",
        "\u{202e}txt.exe",
        "__proto__",
        "</script><script>alert(1)</script>",
        &longest,
        "'\";--",
    ];
    for (number, outer_str) in (0..).zip(hostile) {
        post(&service, &received(outer_str, number));
    }
    let funnel = wait_for(&service, "funnel", |funnel| funnel["channels"].as_array().unwrap().len() == hostile.len());
    for outer_str in hostile {
        let found = funnel["channels"].as_array().unwrap().iter().find(|channel| channel["outer_str"] == outer_str);
        assert_eq!(found.unwrap()["received"], 1, "{outer_str}");
    }
    let answer = service.admin("/api/v1/funnel");
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[test]
fn the_last_500_pushes_are_kept_and_pages_follow_each_other() {
    let service = Setup::without_brokers().serve();
    for number in 0..520 {
        post(&service, &received("page", number));
    }
    wait_for(&service, "funnel", |funnel| funnel["channels"][0]["received"] == 520);
    let (mut numbers, mut before) = (Vec::new(), String::new());
    loop {
        let page = api(&service, &format!("events?limit=200{before}"));
        let rows = page["events"].as_array().unwrap();
        assert!(rows.len() <= 200);
        numbers.extend(rows.iter().map(|row| row["number"].as_u64().unwrap()));
        let Some(next) = page["next"].as_u64() else { break };
        before = format!("&before={next}");
    }
    let expected: Vec<u64> = (21..=520).rev().collect();
    assert_eq!(numbers, expected);
    assert_eq!(api(&service, "events?limit=100000")["events"].as_array().unwrap().len(), 200);
    let gone = service.admin("/api/v1/events/00000000-0000-0000-0000-000000000000");
    assert!(gone.status == 404 && json(&gone)["hint"].as_str().unwrap().contains("cardhook tail"), "{gone:?}");
}

#[test]
fn filters_choose_and_wrong_ones_are_said() {
    let service = Setup::without_brokers().serve();
    post(&service, &fixture("user_get_card"));
    post(&service, &fixture("user_get_card"));
    post(&service, &fixture("user_del_card"));
    assert!(Account::of(Mode::Compat).post(service.public, &fixture("user_del_card")).is_success());
    wait_for(&service, "events", |events| events["events"].as_array().unwrap().len() == 4);
    for (filter, count) in [
        ("account=compat", 1),
        ("account=secure", 3),
        ("account=", 4),
        ("type=card.deleted", 2),
        ("type=card.deleted&account=secure", 1),
        ("result=duplicate", 1),
        ("type=nothing", 0),
    ] {
        let found = api(&service, &format!("events?{filter}"));
        assert_eq!(found["events"].as_array().unwrap().len(), count, "{filter}");
    }
    for (wrong, status) in [
        ("events?result=lost", 400),
        ("events?limit=x", 400),
        ("events?limit=0", 400),
        ("events?colour=red", 400),
        ("events?account=nobody", 404),
        ("funnel?account=nobody", 404),
        ("refused?account=nobody", 404),
        ("series?window=1y", 400),
        ("funnel?window=1y", 400),
    ] {
        let answer = service.admin(&format!("/api/v1/{wrong}"));
        assert_eq!(answer.status, status, "{wrong}: {}", answer.body);
        let problem = json(&answer);
        assert!(problem["error"].is_string() && problem["hint"].is_string(), "{wrong}: {problem}");
    }
    let none = json(&service.admin("/api/v1/events?limit=0"));
    assert!(none["error"] == "limit is 0" && none["hint"].as_str().unwrap().contains("1 to 200"), "{none}");
}

#[test]
fn every_answer_fits_its_schema() {
    let service = Setup::without_brokers().serve();
    post(&service, &fixture("user_get_card"));
    let row = wait_for(&service, "events", |events| events["events"][0].is_object());
    let id = row["events"][0]["event_id"].as_str().unwrap().to_owned();
    let document = cardhook::console::api_schema();
    let detail = format!("events/{id}");
    for path in super::every_path().into_iter().chain([detail.as_str()]) {
        let documented = match path.split('?').next().unwrap() {
            one if one == detail => "events/{id}",
            path => path,
        };
        let operation = &document["paths"][format!("/{documented}")]["get"];
        let mut schema = operation["responses"]["200"]["content"]["application/json"]["schema"].clone();
        schema["components"] = document["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let answer = api(&service, path);
        let errors: Vec<String> = validator.iter_errors(&answer).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{path}: {errors:?}");
    }
}
