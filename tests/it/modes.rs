//! Which pushes an account's mode accepts (contract §2.1), and what holds while tokens and keys are changed.

use cardhook::protocol::{Token, sign};

use crate::support::{
    cardhook::{Service, Setup},
    wechat::{Account, Mode, Push, fixture},
};

fn status(service: &Service, push: &Push) -> u16 {
    push.post(service.public).status
}

/// The push, sent to another account's path.
fn redirected(push: Push, from: Mode, to: Mode) -> Push {
    Push { target: push.target.replace(&format!("/wechat/{}", from.name()), &format!("/wechat/{}", to.name())), ..push }
}

/// What `spool export` prints of the one event that a service without brokers holds.
fn exported(setup: &Setup) -> Vec<serde_json::Value> {
    crate::spool_store::export(&setup.spool())
}

#[test]
fn a_secure_account_refuses_a_push_without_encrypt() {
    let service = Setup::without_brokers().serve();
    let clear = Account::of(Mode::Plaintext).push(&fixture("user_get_card"));
    assert_eq!(status(&service, &redirected(clear, Mode::Plaintext, Mode::Secure)), 403);
}

#[test]
fn a_secure_account_refuses_a_push_without_msg_signature() {
    let service = Setup::without_brokers().serve();
    let mut push = Account::of(Mode::Secure).push(&fixture("user_get_card"));
    push.target.truncate(push.target.find("&msg_signature=").unwrap());
    assert_eq!(status(&service, &push), 403);
}

#[test]
fn a_secure_account_refuses_another_ciphertext_under_a_valid_signature() {
    let service = Setup::without_brokers().serve();
    let account = Account::of(Mode::Secure);
    let mut push = account.push(&fixture("user_get_card"));
    push.body = account.push(&fixture("user_del_card")).body;
    assert_eq!(status(&service, &push), 403);
}

#[test]
fn a_plaintext_account_reads_the_clear_fields_of_a_compat_push() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    let push = Account::of(Mode::Compat).push(&fixture("user_get_card"));
    assert_eq!(status(&service, &redirected(push, Mode::Compat, Mode::Plaintext)), 200);
    let events = exported(&setup);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["outer_str"], "poster_42");
    assert_eq!(events[0]["body_authenticated"], false);
    assert_eq!(events[0]["extra"], serde_json::json!({}), "Encrypt never stands in extra");
}

#[test]
fn a_plaintext_account_quarantines_a_secure_push_for_it_has_nothing_to_read() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    let push = Account::of(Mode::Secure).push(&fixture("user_get_card"));
    assert_eq!(status(&service, &redirected(push, Mode::Secure, Mode::Plaintext)), 200);
    assert_eq!(exported(&setup)[0]["dlq_reason"], "decrypt");
}

#[test]
fn a_compat_account_believes_the_ciphertext_and_not_the_clear_fields_beside_it() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    let mut push = Account::of(Mode::Compat).push(&fixture("user_get_card"));
    let forged = String::from_utf8(push.body).unwrap().replace("poster_42", "forged_99");
    push.body = forged.into_bytes();
    assert_eq!(status(&service, &push), 200);
    let events = exported(&setup);
    assert_eq!(events[0]["outer_str"], "poster_42");
    assert_eq!(events[0]["body_authenticated"], true);
}

#[test]
fn a_compat_account_takes_plain_and_secure_pushes_while_it_migrates() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    let plain = Account::of(Mode::Plaintext).push(&fixture("user_get_card"));
    assert_eq!(status(&service, &redirected(plain, Mode::Plaintext, Mode::Compat)), 200);
    let secure = Account::of(Mode::Secure).push(&fixture("user_del_card"));
    assert_eq!(status(&service, &redirected(secure, Mode::Secure, Mode::Compat)), 200);
    let authenticated: Vec<bool> =
        exported(&setup).iter().map(|event| event["body_authenticated"].as_bool().unwrap()).collect();
    assert_eq!(authenticated, [false, true]);
}

#[test]
fn msg_signature_alone_does_not_open_a_plaintext_account() {
    let service = Setup::without_brokers().serve();
    let push = Account::of(Mode::Compat).push(&fixture("user_get_card"));
    let mut push = redirected(push, Mode::Compat, Mode::Plaintext);
    let (path, query) = push.target.split_once('?').unwrap();
    let query: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("signature=")).collect();
    push.target = format!("{path}?{}", query.join("&"));
    assert_eq!(status(&service, &push), 403);
}

#[test]
fn while_token_and_key_change_the_previous_ones_hold_too() {
    let setup = Setup::without_brokers();
    let previous = Account::of(Mode::Secure);
    let current = Account {
        token: "harnesstoken0043",
        aes_key: "0123456789CARDHOOKcardhook0123456789CARDHOO",
        ..previous.clone()
    };
    let rotation = format!("previous_token = {:?}\nprevious_aes_key = {:?}\n", previous.token, previous.aes_key);
    let setup = setup.replace_account(&current, &rotation);
    let service = setup.serve();
    let mixed = Account { token: current.token, ..previous.clone() };
    for (account, event) in [(previous, "user_get_card"), (mixed, "user_view_card"), (current, "user_del_card")] {
        assert_eq!(status(&service, &account.push(&fixture(event))), 200);
    }
    let types: Vec<String> =
        exported(&setup).iter().map(|event| event["event_type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, ["card.received", "card.viewed", "card.deleted"]);
}

#[test]
fn after_the_change_the_previous_token_and_key_hold_no_more() {
    let previous = Account::of(Mode::Secure);
    let current = Account {
        token: "harnesstoken0043",
        aes_key: "0123456789CARDHOOKcardhook0123456789CARDHOO",
        ..previous.clone()
    };
    let setup = Setup::without_brokers().replace_account(&current, "");
    let service = setup.serve();
    assert_eq!(status(&service, &previous.push(&fixture("user_get_card"))), 403);
    let old_key = Account { token: current.token, ..previous };
    assert_eq!(status(&service, &old_key.push(&fixture("user_get_card"))), 200);
    assert_eq!(exported(&setup)[0]["dlq_reason"], "decrypt", "verified, but nothing opens it");
}

#[test]
fn the_handshake_is_answered_in_every_mode_with_the_echostr_byte_for_byte() {
    let service = Setup::without_brokers().serve();
    for mode in Mode::ALL {
        let account = Account::of(mode);
        let signature = sign(&Token::new(account.token), &["1750000000", "27055319"]);
        let query = format!("signature={signature}&echostr=8641591277801631551&timestamp=1750000000&nonce=27055319");
        let answer = crate::support::http::get(service.public, &format!("/wechat/{}?{query}", account.name)).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "8641591277801631551"));
        assert!(answer.header("content-type").unwrap().starts_with("text/plain"), "{answer:?}");
    }
}
