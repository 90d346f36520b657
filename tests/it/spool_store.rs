//! With no brokers configured the spool is the store.

use std::{path::Path, time::Duration};

use serde_json::Value;

use crate::support::{
    burst::Burst,
    cardhook::{Setup, run},
    wechat::{Account, Mode, fixture},
};

/// `cardhook spool export`, each line read.
pub fn export(spool: &Path) -> Vec<Value> {
    let output = run(&["spool", "export", "--path", &spool.display().to_string()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn events_stay_in_the_spool_and_export_prints_them_as_json_lines() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    for event in ["card_pass_check", "user_get_card", "user_consume_card"] {
        let answer = Account::of(Mode::Secure).post(service.public, &fixture(event));
        assert!(answer.is_success() && answer.took < Duration::from_secs(1), "{answer:?}");
    }
    let types = |events: &[Value]| -> Vec<String> {
        events.iter().map(|event| event["event_type"].as_str().unwrap().to_owned()).collect()
    };
    let expected = ["card.approved", "card.received", "card.consumed"];
    assert_eq!(types(&export(&setup.spool())), expected, "beside the running service");
    assert!(service.stop(Duration::from_secs(10)).success());
    assert_eq!(types(&export(&setup.spool())), expected, "after it stopped");
}

#[test]
fn export_with_remove_takes_out_what_it_printed_and_a_redelivery_is_still_known() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    let push = Account::of(Mode::Secure).push(&fixture("user_get_card"));
    assert!(push.post(service.public).is_success());
    assert!(service.stop(Duration::from_secs(10)).success());
    let spool = setup.spool().display().to_string();
    let output = run(&["spool", "export", "--remove", "--path", &spool]);
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1);
    let service = setup.serve();
    assert!(push.post(service.public).is_success());
    assert_eq!(export(&setup.spool()), [] as [Value; 0]);
    assert!(run(&["spool", "verify", "--path", &spool]).status.success());
}

#[test]
fn a_crash_loses_no_answered_event() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    let burst = Burst::start(service.public, 500, 20);
    burst.wait_answered(3000);
    service.crash();
    let accepted = crate::support::burst::accepted(&burst.join());
    let _restarted = setup.serve();
    let kept = export(&setup.spool()).iter().map(|event| event["code"].as_str().unwrap().to_owned()).collect();
    assert_eq!(accepted.difference(&kept).count(), 0);
}

#[test]
fn after_a_restart_the_metrics_show_at_once_what_waits() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    assert!(Account::of(Mode::Secure).post(service.public, &fixture("user_get_card")).is_success());
    let bytes = service.metric("cardhook_spool_bytes", "");
    service.crash();
    let service = setup.serve();
    assert_eq!(service.metric("cardhook_spool_records", ""), 1);
    assert_eq!(service.metric("cardhook_spool_bytes", ""), bytes);
    assert_eq!(service.metric("cardhook_dedup_entries", ""), 1);
}

#[test]
fn a_second_service_is_kept_out_of_the_spool() {
    let setup = Setup::without_brokers();
    let _service = setup.serve();
    let output = run(&["serve", "--config", &setup.write().display().to_string()]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_spool_is_nobody_elses_business() {
    use std::os::unix::fs::PermissionsExt as _;
    let setup = Setup::without_brokers();
    let service = setup.serve();
    assert!(Account::of(Mode::Secure).post(service.public, &fixture("user_get_card")).is_success());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&setup.spool()), 0o700);
    for file in std::fs::read_dir(setup.spool()).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
