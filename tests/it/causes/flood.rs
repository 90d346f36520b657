//! Forged pushes by the thousand: bounded lines, a bounded number kept, and every one counted.

use crate::support::{
    cardhook::Setup,
    eventually,
    http::Connection,
    wechat::{Account, Mode, Push, fixture},
};

const FORGED: u64 = 6_000;

#[test]
fn a_flood_of_forged_pushes_writes_few_lines_and_is_kept_within_its_bounds() {
    let setup = Setup::without_brokers().set("unverified", "max_bytes = \"1MiB\"");
    let service = setup.serve();
    let forger = Account { token: "nobodystoken0042", ..Account::of(Mode::Plaintext) };
    let xml = fixture("user_get_card");
    let mut connection = Connection::open(service.public).unwrap();
    for number in 0..FORGED {
        let Push { target, body } = forger.push(&xml.replace("004417730915", &format!("{number:012}")));
        assert_eq!(connection.post(&target, &body).unwrap().status, 403);
    }
    assert_eq!(service.metric("cardhook_refused_total", "account=\"plaintext\",cause=\"token\""), FORGED);
    let lines = service.log().matches("request refused").count();
    assert!((1..=8).contains(&lines), "{lines} lines");
    // A burst of 1,000 is more than a MiB holds of them; the gauge is a second old at most.
    let kept = eventually("a steady number of kept ones", super::LIMIT, || {
        let kept = service.metric("cardhook_unverified_kept", "");
        (kept > 300).then_some(kept)
    });
    let folder = std::fs::read_dir(setup.spool().join("unverified")).unwrap();
    let bytes: u64 = folder.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    println!("{kept} kept in {bytes} bytes, {lines} lines");
    assert!(bytes <= 1 << 20, "{bytes} bytes");
    assert!(Account::of(Mode::Plaintext).post(service.public, &xml).is_success());
}

#[test]
fn lines_about_quarantined_pushes_are_limited_too() {
    let service = Setup::without_brokers().serve();
    let (account, xml) = (Account::of(Mode::Plaintext), fixture("user_get_card").replace("CreateTime", "NoTime"));
    for number in 0..200 {
        let xml = xml.replace("004417730915", &format!("{number:012}"));
        assert!(account.post(service.public, &xml).is_success());
    }
    let labels = "account=\"plaintext\",reason=\"missing_field\"";
    assert_eq!(service.metric("cardhook_quarantined_total", labels), 200);
    let lines = service.log().matches("push quarantined").count();
    assert!((1..=3).contains(&lines), "{lines} lines");
}
