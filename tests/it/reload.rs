//! SIGHUP: tokens and keys are exchanged while the service runs; what is wrong changes nothing.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    spool_store::export,
    support::{
        cardhook::{Service, Setup},
        eventually, unix_seconds,
        wechat::{Account, Mode, claim, fixture},
    },
};

/// Tokens and keys, each in place of the one before.
const ROTATIONS: [(&str, &str); 4] = [
    ("harnesstoken0042", "cardhookCARDHOOK0123456789cardhookCARDHOOKx"),
    ("rotatedtoken0042", "0123456789CARDHOOKcardhook0123456789CARDHOO"),
    ("thirdtoken0042", "CARDHOOKcardhook0123456789CARDHOOKcardhook0"),
    ("fourthtoken0042", "hookCARDcardHOOK9876543210hookCARDcardHOOK9"),
];
const SENDERS: usize = 4;

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
    service.wait_says("log.level");
    let secrets = "account=\"secure\" changed=\"token, previous_token, aes_key, previous_aes_key\"";
    service.wait_says(secrets);
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
    assert_eq!(service.metric("cardhook_config_last_reload_successful", ""), 0);
    let setup = setup.reset("server", "listen = \"127.0.0.1:0\"");
    setup.write();
    hang_up(&service, "nothing changed");
    assert_eq!(service.metric("cardhook_config_last_reload_successful", ""), 1);
}

#[test]
fn a_reload_that_changes_nothing_says_so_and_why_it_may_be() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    hang_up(&service, "reloaded: nothing changed\n");
    assert!(!service.log().contains("tokens and keys reloaded"), "{}", service.log());
    drop(service);
    let under_systemd = setup.serve_with(|command| {
        command.env("CREDENTIALS_DIRECTORY", "/run/credentials/x");
    });
    hang_up(&under_systemd, "LoadCredential changes with a restart only");
}

/// The account after so many rotations.
fn rotated(rotation: usize) -> Account {
    let (token, aes_key) = ROTATIONS[rotation];
    Account { token, aes_key, ..Account::of(Mode::Secure) }
}

/// Sends claims with the credentials of now, until told to stop; gives their codes.
fn send(to: SocketAddr, sender: usize, rotation: &AtomicUsize, stop: &AtomicBool) -> Vec<String> {
    let codes = (0..100_000).take_while(|_| !stop.load(Ordering::Relaxed));
    let sent = codes.map(|turn| {
        let code = format!("{sender:02}{turn:010}");
        let account = rotated(rotation.load(Ordering::Relaxed));
        let answer = account.post(to, &claim("oHarnessUser00000000000000A1", &code, unix_seconds()));
        assert!(answer.is_success(), "{answer:?}");
        code
    });
    sent.collect()
}

#[test]
fn rotations_in_mid_traffic_refuse_no_push_and_lose_none() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    let (rotation, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let accepted = || service.metric("cardhook_callbacks_total", "accepted");
    let more = || {
        let before = accepted();
        eventually("pushes go on", Duration::from_mins(1), || (accepted() > before + 100).then_some(()));
    };
    let (setup, sent) = std::thread::scope(|scope| {
        let (rotation, stop) = (&rotation, &stop);
        let senders: Vec<_> =
            (0..SENDERS).map(|sender| scope.spawn(move || send(service.public, sender, rotation, stop))).collect();
        let setup = (1..ROTATIONS.len()).fold(setup, |setup, next| {
            more();
            let (token, aes_key) = ROTATIONS[next - 1];
            let previous = format!("previous_token = {token:?}\nprevious_aes_key = {aes_key:?}");
            let setup = setup.replace_account(&rotated(next), &previous);
            setup.write();
            service.signal(Signal::HUP);
            // The account that changed is named, and no other.
            let reloaded = || service.log().matches("tokens and keys reloaded").count() == next;
            eventually("the credentials are reloaded", Duration::from_mins(1), || reloaded().then_some(()));
            rotation.store(next, Ordering::Relaxed);
            setup
        });
        more();
        stop.store(true, Ordering::Relaxed);
        (setup, senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect::<Vec<_>>())
    });
    let kept: HashSet<String> =
        export(&setup.spool()).iter().map(|event| event["code"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kept.len(), sent.len(), "each was opened, and kept once");
    assert!(sent.iter().all(|code| kept.contains(code)));
}
