//! What packages and containers are made of: the health command, completions, manual pages.

use std::{process::Output, time::Duration};

use crate::support::cardhook::{Setup, run};

fn health(config: &str, more: &[&str]) -> Output {
    run(&[&["health", "--config", config], more].concat())
}

#[test]
fn health_says_whether_the_running_service_is_ready_and_fails_when_there_is_none() {
    let setup = Setup::without_brokers();
    let service = setup.serve();
    // The service was given port 0.
    let admin = format!("admin.listen={}", service.admin);
    let config = setup.write();
    let config = config.to_str().unwrap();
    let ready = health(config, &["--set", &admin]);
    assert_eq!(ready.status.code(), Some(0), "{ready:?}");
    assert!(String::from_utf8(ready.stdout).unwrap().contains("\"ready\":true"));
    let live = health(config, &["--live", "--set", &admin]);
    assert_eq!((live.status.code(), live.stdout), (Some(0), b"ok\n".to_vec()));

    assert!(service.stop(Duration::from_secs(15)).success());
    let gone = health(config, &["--set", &admin]);
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
    let error = String::from_utf8(gone.stderr).unwrap();
    assert!(error.contains("admin.listen") && error.contains("is cardhook running there?"), "{error}");
}

#[test]
fn each_shell_has_its_completions_and_each_command_its_manual_page() {
    for (shell, sign) in [("bash", "_cardhook"), ("zsh", "#compdef cardhook"), ("fish", "complete -c cardhook")] {
        let output = run(&["completions", shell]);
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8(output.stdout).unwrap().contains(sign), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    let output = run(&["man", folder.path().to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    for page in ["cardhook.1", "cardhook-serve.1", "cardhook-spool-ls.1"] {
        let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains(".SH NAME"), "{page}");
    }
    let nowhere = run(&["man", "/nowhere/at/all"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(String::from_utf8(nowhere.stderr).unwrap().contains("no folder /nowhere/at/all"));
}
