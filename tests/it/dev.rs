//! `cardhook dev`, as a stranger meets it: no configuration, no Kafka.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::{
    application::{Library, RealApplication},
    wechat::{Account, Mode},
};

/// Types that must appear within the first five seconds.
const SOON: [&str; 4] = ["card.approved", "card.received", "card.consumed", "card.deleted"];

fn cardhook(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardhook"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn the_console_of_dev_is_open_to_this_machine_alone() {
    let dev = cardhook(&["dev", "--for", "1s", "--admin-listen", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(dev.status.code(), Some(2));
    let error = String::from_utf8(dev.stderr).unwrap();
    assert!(error.contains("--admin-listen") && error.contains("is no loopback address"), "{error}");
}

#[test]
fn dev_shows_each_step_of_a_cards_life_within_five_seconds_and_ends_when_told() {
    let started = Instant::now();
    let dev = cardhook(&["dev", "--for", "5s"]).output().unwrap();
    assert!(dev.status.success());
    assert!(started.elapsed() < Duration::from_secs(15));
    let lines = String::from_utf8(dev.stdout).unwrap();
    let types: BTreeSet<&str> = lines.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    for event_type in SOON {
        assert!(types.contains(event_type), "{event_type} is not among {types:?}");
    }
    for line in lines.lines() {
        for field in ["openid=", "code=", "card_id=", "outer_str="] {
            assert!(line.contains(field), "{field} is not in {line}");
        }
        let shown = line.split("openid=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        assert!(shown.contains("***"), "an openid in clear: {line}");
    }
}

#[test]
fn the_lines_that_dev_offers_work_as_they_stand() {
    let mut dev = cardhook(&["dev"]).spawn().unwrap();
    let mut banner = BufReader::new(dev.stderr.take().unwrap()).lines().map(Result::unwrap);
    let events = BufReader::new(dev.stdout.take().unwrap());
    let curl = banner.find(|line| line.trim_start().starts_with("curl ")).unwrap();
    let send = banner.find(|line| line.contains("cardhook send ")).unwrap();
    for line in [&curl, &send] {
        let ran = Command::new("bash").args(["-c", line]).output().unwrap();
        assert!(ran.status.success(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    let asked_for = send.split("--outer-str ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let seen =
        events.lines().map(Result::unwrap).take(500).any(|line| line.contains(&format!("outer_str={asked_for}")));
    assert!(seen, "what was sent comes back from the broker");
    Command::new("kill").args(["-TERM", &dev.id().to_string()]).status().unwrap();
    assert!(dev.wait().unwrap().success());
}

#[test]
fn dev_stands_in_front_of_a_real_application_and_shows_what_it_answers() {
    let account = Account::of(Mode::Secure);
    let application = RealApplication::start(Library::Wechatpy, &account);
    let folder = tempfile::tempdir().unwrap();
    let [token, aes_key] = [("token", account.token), ("aes_key", account.aes_key)].map(|(name, secret)| {
        let path = folder.path().join(name);
        std::fs::write(&path, secret).unwrap();
        path.display().to_string()
    });
    let url = format!("http://{}/wechat", application.address);
    let secrets = ["--token-file", &token, "--aes-key-file", &aes_key, "--app-id", account.app_id];
    let dev = cardhook(&[&["dev", "--for", "6s", "--upstream", &url], &secrets[..]].concat()).output().unwrap();
    let said = String::from_utf8(dev.stderr).unwrap();
    assert!(!said.contains("ERROR"), "{said}");
    assert!(dev.status.success(), "{said}");
    for line in ["card.received: 200 with a reply", "card.approved: 200 success", "text: 200 with a reply"] {
        assert!(said.contains(&format!("answered  {line}")), "{line} is not in\n{said}");
    }
    assert!(application.said().contains("user_get_card"), "{}", application.said());
    assert!(String::from_utf8(dev.stdout).unwrap().contains("card.received"));
}

#[test]
fn dev_closes_the_loop_with_the_lines_that_it_offers() {
    let mut dev = cardhook(&["dev"]).spawn().unwrap();
    let mut banner = BufReader::new(dev.stderr.take().unwrap()).lines().map(Result::unwrap);
    let events = BufReader::new(dev.stdout.take().unwrap());
    let qrcode = banner.find(|line| line.contains(" card qrcode ")).unwrap();
    let curl = banner.next().unwrap();
    let consume = banner.next().unwrap();
    let bash = |line: &str| {
        let ran = Command::new("bash").args(["-c", line]).output().unwrap();
        assert!(ran.status.success(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    let made = bash(&qrcode);
    let url = made.lines().find_map(|line| line.strip_prefix("url ")).unwrap().trim();
    let claimed = bash(&curl.replace("THE_URL_IT_PRINTS", url));
    let code = claimed.trim().rsplit(' ').next().unwrap();
    assert!(bash(&consume.replace("THE_CODE_CURL_PRINTS", code)).starts_with("redeemed"));
    let mut left = vec![("card.received", "outer_str=poster-7"), ("card.consumed", "outer_str=till-2")];
    for line in events.lines().map(Result::unwrap).take(500) {
        left.retain(|(event_type, channel)| !(line.contains(event_type) && line.contains(channel)));
        if left.is_empty() {
            break;
        }
    }
    assert!(left.is_empty(), "not seen: {left:?}");
    Command::new("kill").args(["-TERM", &dev.id().to_string()]).status().unwrap();
    assert!(dev.wait().unwrap().success());
}
