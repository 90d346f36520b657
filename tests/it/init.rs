//! `cardhook init`: the first hour's first command.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

const APP_ID: &str = "wx0123456789abcdef";

/// Runs `cardhook init` with `typed` as its standard input.
fn init(folder: &Path, args: &[&str], typed: &str) -> (Output, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardhook"));
    command.env_clear().args(["init", "--dir"]).arg(folder).args(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that asks nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

fn check(folder: &Path) -> Output {
    let config = folder.join("cardhook.toml");
    Command::new(env!("CARGO_BIN_EXE_cardhook")).env_clear().args(["check", "--config"]).arg(config).output().unwrap()
}

#[test]
fn it_writes_a_valid_configuration_with_private_secrets_and_names_each_field_of_wechats_page() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("made/by/init");
    let flags = ["--app-id", APP_ID, "--account", "shop-1", "--public-url", "https://shop.example/", "--yes"];
    let (output, out, err) = init(&place, &flags, "");
    assert!(output.status.success(), "{err}");
    let checked = check(&place);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    for (file, letters) in [("shop-1.token", 32), ("shop-1.aes_key", 43)] {
        let path = place.join(file);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file}");
        let secret = fs::read_to_string(&path).unwrap();
        assert_eq!(secret.trim_end().len(), letters);
        assert!(secret.trim_end().bytes().all(|byte| byte.is_ascii_alphanumeric()), "{file}");
        assert!(!out.contains(secret.trim_end()) && !err.contains(secret.trim_end()), "{file} in a pipe");
        assert!(out.contains(path.canonicalize().unwrap().to_str().unwrap()), "{out}");
    }
    for field in [
        "服务器地址 (URL)  https://shop.example/wechat/shop-1",
        "令牌 (Token)",
        "消息加解密密钥 (EncodingAESKey)",
        "消息加解密方式  安全模式",
        "数据格式  XML",
    ] {
        assert!(out.contains(field), "{field} is not in\n{out}");
    }
}

#[test]
fn a_second_account_in_the_same_folder_and_an_existing_file_are_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("shop.token"), "mine").unwrap();
    let (output, _, err) = init(folder.path(), &["--app-id", APP_ID, "--yes"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("shop.token") && err.contains("nothing was written"), "{err}");
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["shop.token"]);
    assert_eq!(fs::read_to_string(folder.path().join("shop.token")).unwrap(), "mine");
}

#[test]
fn it_asks_only_for_what_no_flag_says() {
    let folder = tempfile::tempdir().unwrap();
    let (output, out, err) = init(folder.path(), &["--app-id", APP_ID, "--lang", "en"], "\ncompat\n\n\n");
    assert!(output.status.success(), "{err}");
    assert!(err.contains("Name of the account [shop]") && !err.contains("AppID (wx…)"), "{err}");
    assert!(out.contains("兼容模式") && out.contains("https://your.domain/wechat/shop"), "{out}");
    let config = fs::read_to_string(folder.path().join("cardhook.toml")).unwrap();
    assert!(config.contains("mode = \"compat\"") && config.contains("brokers = [\"127.0.0.1:9092\"]"), "{config}");
}

#[test]
fn wrong_answers_write_nothing_and_say_what_was_expected() {
    for (args, code, said) in [
        (&["--yes"][..], 2, "--app-id"),
        (&["--yes", "--app-id", APP_ID, "--public-url", "shop.example"], 2, "--public-url"),
        (&["--yes", "--app-id", APP_ID, "--account", "../shop"], 78, "is no account name"),
        (&["--yes", "--app-id", APP_ID, "--mode", "safe"], 78, "mode"),
        (&["--yes", "--app-id", APP_ID, "--brokers", "kafka"], 78, "kafka.brokers"),
        (&["--app-id", APP_ID], 2, "--yes"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (output, _, err) = init(folder.path(), args, "");
        assert_eq!(output.status.code(), Some(code), "{args:?}: {err}");
        assert!(err.contains(said), "{args:?}: {err}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{args:?}");
    }
}

#[test]
fn the_commands_of_the_page_can_be_typed_as_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("my shop's");
    let (_, out, _) = init(&place, &["--app-id", APP_ID, "--yes", "--brokers", "", "--lang", "en"], "");
    assert!(!out.contains("topics create"), "there are none without brokers:\n{out}");
    let check = out.lines().find(|line| line.contains("cardhook check")).unwrap();
    let typed = check.trim().replacen("cardhook", env!("CARGO_BIN_EXE_cardhook"), 1).replace(" --connect", "");
    let shell = Command::new("sh").env_clear().args(["-c", &typed]).output().unwrap();
    assert!(shell.status.success(), "{typed}: {}", String::from_utf8_lossy(&shell.stderr));
    let (_, out, _) = init(&folder.path().join("plain"), &["--app-id", APP_ID, "--yes", "--lang", "en"], "");
    let create = out.lines().find(|line| line.contains("topics create")).unwrap();
    assert!(!create.contains('\''), "{create}");
}

#[test]
fn the_page_speaks_the_language_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (_, out, _) = init(&folder.path().join("zh"), &["--app-id", APP_ID, "--yes", "--lang", "zh"], "");
    assert!(out.contains("已写入") && !out.contains("Written"), "{out}");
    let (_, out, _) = init(&folder.path().join("en"), &["--app-id", APP_ID, "--yes", "--lang", "en"], "");
    assert!(out.contains("Written"), "{out}");
}

#[test]
fn show_prints_the_secrets_into_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let (_, out, _) = init(folder.path(), &["--app-id", APP_ID, "--yes", "--show"], "");
    let token = fs::read_to_string(folder.path().join("shop.token")).unwrap();
    assert!(out.contains(token.trim_end()), "{out}");
}
