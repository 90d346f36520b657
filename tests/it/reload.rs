//! SIGHUP: tokens and keys are exchanged while the service runs; what is wrong changes nothing.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::{
    cardhook::{Service, Setup},
    eventually,
    wechat::{Account, Mode, fixture},
};

fn hang_up(service: &Service, logged: &str) {
    service.signal(Signal::HUP);
    eventually(logged, Duration::from_mins(1), || service.log().contains(logged).then_some(()));
}

fn status(service: &Service, account: &Account, event: &str) -> u16 {
    account.push(&fixture(event)).post(service.public).status
}

#[test]
fn new_tokens_and_keys_count_from_the_signal_on_and_the_previous_ones_still_do() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    let old = Account::of(Mode::Secure);
    let new =
        Account { token: "rotatedtoken0042", aes_key: "0123456789CARDHOOKcardhook0123456789CARDHOO", ..old.clone() };
    assert_eq!(status(&service, &old, "user_get_card"), 200);
    assert_eq!(status(&service, &new, "user_del_card"), 403);
    let previous = format!("previous_token = {:?}\nprevious_aes_key = {:?}", old.token, old.aes_key);
    let setup = setup.replace_account(&new, &previous).set("log", "level = \"debug\"");
    setup.write();
    hang_up(&service, "takes a restart");
    assert_eq!(status(&service, &new, "user_del_card"), 200);
    assert_eq!(status(&service, &old, "user_consume_card"), 200, "while WeChat changes over");
    assert_eq!(service.metric("cardhook_callbacks_total", "accepted"), 3, "opened, not only verified");
    assert!(service.log().contains("log.level"), "{}", service.log());
    assert!(!service.log().contains(new.token), "{}", service.log());
}

#[test]
fn a_wrong_configuration_leaves_the_old_one_running_and_says_why() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    let setup = setup.set("server", "max_body_bytes = \"much\"");
    setup.write();
    hang_up(&service, "server.max_body_bytes");
    assert_eq!(status(&service, &Account::of(Mode::Secure), "user_get_card"), 200);
}
