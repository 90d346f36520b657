//! `cardhook replay --unverified`: a day with a wrong token, corrected (contract §3.2).

use std::{collections::BTreeMap, time::Duration};

use super::{ids, replay, reported};
use crate::support::{
    cardhook::{Service, Setup, Topics, run},
    consume::records,
    eventually,
    kafka::shared_broker,
    unix_seconds,
    wechat::{Account, Mode, Push, claim, fixture},
};

const TYPO: &str = "harnesstoken0024";
const LIMIT: Duration = Duration::from_mins(1);

/// Every account with a token that is not WeChat's.
fn mistyped(setup: Setup) -> Setup {
    let wrong = Mode::ALL.into_iter().map(|mode| Account { token: TYPO, ..Account::of(mode) });
    wrong.fold(setup.without_accounts(), |setup, account| setup.account(&account, ""))
}

fn corrected(setup: Setup) -> Setup {
    let right = Mode::ALL.into_iter().map(Account::of);
    right.fold(setup.without_accounts(), |setup, account| setup.account(&account, ""))
}

fn refused(service: &Service, push: &Push) {
    assert_eq!(push.post(service.public).status, 403);
}

fn wait_kept(service: &Service, count: u64) {
    eventually(&format!("{count} are kept"), LIMIT, || {
        (service.metric("cardhook_unverified_kept", "") == count).then_some(())
    });
}

#[test]
fn a_day_with_a_wrong_token_is_published_once_in_order_and_no_forgery_with_it() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let setup = mistyped(Setup::new(kafka, &topics));
    let service = setup.serve();
    let now = unix_seconds();
    let forger = |mode| Account { token: "forgerstoken0042", ..Account::of(mode) };
    let mut sent: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut re_delivered = Vec::new();
    for number in 0..30 {
        let mode = Mode::ALL[number % 3];
        let (user, code) = (format!("oUnverifiedUser{:013}", number % 3), format!("{number:012}"));
        let xml = claim(&user, &code, now - 100 + i64::try_from(number).unwrap());
        let push = Account::of(mode).push(&xml);
        refused(&service, &push);
        refused(&service, &push);
        // Another body, the same event: as a push that is sealed anew.
        refused(&service, &Account::of(mode).push(&xml.replacen('\n', "\n ", 1)));
        refused(&service, &forger(mode).push(&claim(&user, &format!("9{number:011}"), now)));
        sent.entry(user).or_default().push(code);
        if number % 10 == 0 {
            re_delivered.push(push);
        }
    }
    refused(&service, &Account::of(Mode::Secure).push(&fixture("text")));
    let unreadable = Account { aes_key: "0123456789CARDHOOKcardhook0123456789CARDHOO", ..Account::of(Mode::Secure) };
    refused(&service, &unreadable.push(&claim("oUnreadable", "000000000000", now)));
    wait_kept(&service, 30 + 30 + 30 + 2);
    service.crash();

    let setup = corrected(setup);
    let service = setup.serve();
    wait_kept(&service, 92);
    for push in &re_delivered {
        assert!(push.post(service.public).is_success(), "WeChat sends it again after the correction");
    }
    service.wait_drained();
    let (report, _) = replay(&setup, &["--unverified"]);
    assert_eq!(reported(&report, "read"), 92, "{report}");
    assert_eq!(reported(&report, "published"), 27, "{report}");
    assert_eq!(reported(&report, "known"), 27 + 6, "{report}");
    assert_eq!((reported(&report, "quarantined"), reported(&report, "ignored")), (1, 1), "{report}");
    assert_eq!((reported(&report, "left"), reported(&report, "token")), (30, 30), "{report}");

    let published = records(kafka, &topics.events);
    assert_eq!(published.len(), 30, "each once");
    let mut unique = ids(&published);
    unique.dedup();
    assert_eq!(unique.len(), 30);
    for (user, codes) in &sent {
        let arrived: Vec<String> = published
            .iter()
            .filter(|record| record.key.as_ref() == Some(user))
            .map(|record| record.text("code"))
            .filter(|code| code.parse::<usize>().unwrap() % 10 != 0)
            .collect();
        let expected: Vec<&String> = codes.iter().filter(|code| code.parse::<usize>().unwrap() % 10 != 0).collect();
        assert_eq!(arrived.iter().collect::<Vec<_>>(), expected, "{user}");
    }
    let dlq = records(kafka, &topics.dlq);
    assert_eq!(dlq.len(), 1);
    assert_eq!(dlq[0].header("dlq_reason"), Some("decrypt"));
    wait_kept(&service, 30);

    let (again, _) = replay(&setup, &["--unverified"]);
    assert_eq!((reported(&again, "read"), reported(&again, "published")), (30, 0), "{again}");
    assert_eq!(records(kafka, &topics.events).len(), 30);
}

#[test]
fn another_event_under_a_used_signature_is_a_forgery_and_is_not_published() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let setup = Setup::new(kafka, &topics);
    let account = Account::of(Mode::Plaintext);
    let now = unix_seconds();
    let (timestamp, nonce) = (now.to_string(), "4242");
    let service = setup.serve();
    assert!(account.push_at(&claim("oReal", "000000000001", now), &timestamp, nonce).post(service.public).is_success());
    service.wait_drained();
    drop(service);

    let setup = mistyped(setup);
    let service = setup.serve();
    refused(&service, &account.push_at(&claim("oReal", "000000000002", now), &timestamp, nonce));
    refused(&service, &account.push_at(&claim("oReal", "000000000003", now), &timestamp, "4243"));
    refused(&service, &account.push_at(&claim("oReal", "000000000004", now), &timestamp, "4243"));
    wait_kept(&service, 3);
    drop(service);

    let (report, _) = replay(&corrected(setup), &["--unverified"]);
    assert_eq!((reported(&report, "published"), reported(&report, "nonce_reused")), (1, 2), "{report}");
    let codes: Vec<String> = records(kafka, &topics.events).iter().map(|record| record.text("code")).collect();
    assert_eq!(codes, ["000000000001", "000000000003"]);
    assert!(records(kafka, &topics.dlq).iter().all(|record| record.header("dlq_reason") == Some("nonce_reused")));
}

#[test]
fn max_age_counts_from_the_receipt_and_nothing_is_kept_where_that_is_switched_off() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let account = Account::of(Mode::Plaintext);
    let wrong = Account { token: TYPO, ..account.clone() };
    let setup = Setup::new(kafka, &topics).replace_account(&wrong, "");
    let service = setup.serve();
    let now = unix_seconds();
    for (code, age) in [("000000000001", 10), ("000000000002", 7200)] {
        refused(&service, &account.push_at(&claim("oAged", code, now), &(now - age).to_string(), code));
    }
    wait_kept(&service, 2);
    drop(service);
    let setup = setup.replace_account(&account, "max_age = \"1h\"");
    let (report, _) = replay(&setup, &["--unverified"]);
    assert_eq!((reported(&report, "published"), reported(&report, "stale")), (1, 1), "{report}");

    let setup = setup.replace_account(&wrong, "").set("unverified", "max_bytes = 0");
    std::fs::remove_dir_all(setup.spool().join("unverified")).unwrap();
    let service = setup.serve();
    refused(&service, &account.push(&claim("oAged", "000000000003", now)));
    // The test accounts have one token in common.
    service.wait_says("cause=\"token_of_another_account\"");
    assert!(!setup.spool().join("unverified").exists());
}

#[test]
fn a_kill_costs_no_push_that_was_kept_a_second_before() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let setup = mistyped(Setup::new(kafka, &topics));
    let service = setup.serve();
    let account = Account::of(Mode::Compat);
    let post = |code: usize| {
        let xml = claim(&format!("oKilled{}", code % 7), &format!("{code:012}"), unix_seconds());
        refused(&service, &account.push(&xml));
    };
    (0..100).for_each(post);
    wait_kept(&service, 100);
    (100..130).for_each(post);
    service.crash();
    let (report, _) = replay(&corrected(setup), &["--unverified"]);
    let published = reported(&report, "published");
    assert!((100..=130).contains(&published), "{report}");
    assert_eq!(records(kafka, &topics.events).len(), published);
}

#[test]
fn without_brokers_there_is_nowhere_to_publish_and_the_command_says_so() {
    let setup = Setup::without_brokers();
    let config = setup.write().display().to_string();
    let output = run(&["replay", "--config", &config, "--unverified"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("unverified pushes stay"), "{output:?}");
}

#[test]
fn a_spool_path_where_no_service_has_run_is_an_error_and_not_an_empty_result() {
    let kafka = shared_broker();
    let setup = Setup::new(kafka, &Topics::create(kafka));
    let config = setup.write().display().to_string();
    let output = run(&["replay", "--config", &config, "--unverified"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("there is no spool in") && said.contains("spool.path"), "{said}");
}

#[test]
fn pushes_quarantined_as_encrypted_are_published_once_the_mode_is_corrected() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let wechat = Account::of(Mode::Secure);
    let wrong = Account { mode: Mode::Plaintext, ..wechat.clone() };
    let setup = Setup::new(kafka, &topics).without_accounts().account(&wrong, "");
    let service = setup.serve();
    assert!(wechat.post(service.public, &fixture("user_get_card")).is_success());
    service.wait_drained();
    drop(service);
    let (report, _) = replay(&setup.without_accounts().account(&wechat, ""), &[]);
    assert_eq!((reported(&report, "published"), reported(&report, "returned")), (1, 0), "{report}");
    assert_eq!(records(kafka, &topics.events)[0].json()["body_authenticated"], true);
}
