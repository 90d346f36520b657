//! Wrong configuration prints every error with its key and its cure, and exits 78; no secret is ever printed.

use std::process::Output;

use crate::support::{
    cardhook::{Setup, run},
    wechat::{Account, Mode},
};

/// Runs a command on a configuration of this text.
fn with_text(args: &[&str], text: &str) -> (Output, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cardhook.toml");
    std::fs::write(&path, text).unwrap();
    let output = run(&[args, &["--config", &path.display().to_string()]].concat());
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    (output, errors)
}

const WRONG: &str = r#"
[server]
listen = "nowhere"
colour = "red"
[[account]]
name = "Shop!"
mode = "secure"
token = "ab"
aes_key = "tooshortSECRETKEY"
[kafka]
brokers = ["127.0.0.1:9092"]
[kafka.options]
"acks" = "1"
[delivery]
answer_after = "hope"
ack_timeout = "9s"
"#;

#[test]
fn every_error_is_printed_with_its_key_and_the_exit_code_is_78() {
    for command in ["serve", "check"] {
        let (output, errors) = with_text(&[command], WRONG);
        assert_eq!(output.status.code(), Some(78), "{command}: {errors}");
        let keys = [
            "server.listen",
            "server.colour",
            "name",
            "token",
            "aes_key",
            "app_id",
            "acks",
            "delivery.answer_after",
            "delivery.ack_timeout",
        ];
        for key in keys {
            assert!(errors.contains(key), "{command} says nothing of {key}:\n{errors}");
        }
        assert!(!errors.contains("tooshortSECRETKEY"), "{errors}");
    }
}

#[test]
fn an_account_and_the_brokers_must_be_written() {
    let (output, errors) = with_text(&["serve"], "");
    assert_eq!(output.status.code(), Some(78));
    assert!(errors.contains("account") && errors.contains("kafka.brokers"), "{errors}");
}

#[test]
fn a_missing_file_is_a_configuration_error() {
    let output = run(&["serve", "--config", "/nonexistent/cardhook.toml"]);
    assert_eq!(output.status.code(), Some(78));
}

#[test]
fn check_prints_the_effective_configuration_without_secrets() {
    let setup = Setup::without_brokers();
    let output = run(&["check", "--print", "--config", &setup.write().display().to_string()]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("wechat.card.events"), "{printed}");
    assert!(!printed.contains("harnesstoken0042") && !printed.contains("cardhookCARDHOOK"), "{printed}");
}

#[test]
fn unknown_commands_and_flags_are_usage_errors() {
    for args in [&["brew"][..], &["serve"], &["serve", "--milk"]] {
        assert_eq!(run(args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn the_process_list_shows_no_secret() {
    let service = Setup::without_brokers().serve();
    let shown = std::fs::read(format!("/proc/{}/cmdline", service.id())).unwrap();
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("serve"));
    for account in Mode::ALL.map(Account::of) {
        assert!(!shown.contains(account.token) && !shown.contains(account.aes_key));
    }
}
