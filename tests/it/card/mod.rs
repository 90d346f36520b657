//! `cardhook card …`: the real binary against a strict double of WeChat's card API.

mod answers;
mod pictures;
mod whole_loop;

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::support::{
    card_api::{CARD, CODE, CardApi, ENCRYPTED, OPENID, SECRET, TICKET, TOKEN_PREFIX},
    cardhook::Setup,
};

/// Runs `cardhook card` with the setup's configuration, for the account `secure`.
fn card(setup: &Setup, args: &[&str]) -> Output {
    card_command(setup, args).output().unwrap()
}

fn card_command(setup: &Setup, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardhook"));
    command.arg("card").args(args).arg("--config").arg(setup.write()).args(["--account", "secure"]);
    for variable in ["LC_ALL", "LC_MESSAGES", "LANG", "HTTP_PROXY", "http_proxy"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

fn text(output: &Output) -> (String, String) {
    (String::from_utf8(output.stdout.clone()).unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

/// What a command that goes well prints.
fn done(setup: &Setup, args: &[&str]) -> String {
    let output = card(setup, args);
    let (out, err) = text(&output);
    assert!(output.status.success(), "{args:?}: {out}{err}");
    for secret in [SECRET, TOKEN_PREFIX, TICKET] {
        assert!(!out.contains(secret) && !err.contains(secret), "{args:?} shows a secret: {out}{err}");
    }
    out
}

fn done_json(setup: &Setup, args: &[&str]) -> Value {
    serde_json::from_str(&done(setup, &[args, &["--json"]].concat())).unwrap()
}

fn setup(api: &CardApi) -> Setup {
    api.lead(Setup::without_brokers())
}

fn token_file(setup: &Setup) -> std::path::PathBuf {
    setup.spool().join("wechat-tokens-secure.json")
}

#[test]
fn each_call_is_made_in_wechats_form_and_its_answer_printed() {
    let api = CardApi::start();
    let setup = setup(&api);
    let made = done_json(
        &setup,
        &["qrcode", CARD, "--outer-str", "海报-7", "--code", "C1", "--openid", OPENID, "--unique", "--expires", "30m"],
    );
    assert_eq!((&made["ticket"], &made["url"]), (&"gQHB8DoAAAAAAAAA".into(), &"http://weixin.qq.com/q/h00001".into()));
    let asked = &api.asked("/card/qrcode/create")[0];
    assert_eq!(asked["expire_seconds"], 1800);
    assert_eq!(asked["action_info"]["card"]["outer_str"], "海报-7");
    assert_eq!(asked["action_info"]["card"]["is_unique_code"], true);
    done(&setup, &["qrcode", CARD, "pOther", "--outer-str", "both"]);
    assert_eq!(
        api.asked("/card/qrcode/create")[1]["action_info"]["multiple_card"]["card_list"][1]["card_id"],
        "pOther"
    );

    done(&setup, &["whitelist", "--openid", OPENID, "--username", "some-id"]);
    assert_eq!(api.asked("/card/testwhitelist/set")[0]["username"][0], "some-id");
    let state = done_json(&setup, &["get", CODE, "--card-id", CARD]);
    assert_eq!(
        (&state["user_card_status"], &state["new_field"]),
        (&"NORMAL".into(), &7.into()),
        "unknown fields are kept"
    );
    assert_eq!(done(&setup, &["decrypt", ENCRYPTED]).trim(), CODE);
    let redeemed = done_json(&setup, &["consume", CODE, "--outer-str", "till-2"]);
    assert_eq!(redeemed["answer"]["openid"], OPENID);
    assert_eq!(api.asked("/card/code/consume")[0], serde_json::json!({ "code": CODE, "outer_str": "till-2" }));

    let data = setup.folder().join("card.json");
    std::fs::write(&data, r#"{"card":{"title":"\u5341\u5143\u5238"}}"#).unwrap();
    let made = done_json(&setup, &["call", "card/create", "--data", data.to_str().unwrap()]);
    assert_eq!(made["card_id"], CARD);
    assert_eq!(api.asked("/card/create")[0]["card"]["title"], "十元券", "as text: the double refuses escapes");
    assert_eq!(api.asked("/cgi-bin/stable_token").len(), 1, "one token for all");
}

#[test]
fn signatures_are_made_with_the_card_ticket_and_ready_to_paste() {
    let api = CardApi::start();
    let setup = setup(&api);
    let once = ["--timestamp", "1404896688", "--nonce-str", "jonyqin"];
    let add = done_json(&setup, &[&["sign", "add", CARD, "--outer-str", "poster-7"][..], &once].concat());
    let card_ext: Value = serde_json::from_str(add["cardExt"].as_str().unwrap()).unwrap();
    assert_eq!((&card_ext["outer_str"], &card_ext["timestamp"]), (&"poster-7".into(), &"1404896688".into()));
    let expected = openssl_sha1(&mut [TICKET, "1404896688", CARD, "jonyqin"]);
    assert_eq!(card_ext["signature"], expected);
    let choose = done_json(&setup, &[&["sign", "choose", "--card-type", "GROUPON"][..], &once].concat());
    let expected = openssl_sha1(&mut [TICKET, "wx00c0ffee00c0ffee", "1404896688", "jonyqin", "GROUPON"]);
    assert_eq!(choose["cardSign"], expected);
    assert_eq!(api.asked("/cgi-bin/ticket/getticket").len(), 1, "one ticket for both");
}

/// By another implementation.
fn openssl_sha1(values: &mut [&str]) -> String {
    values.sort_unstable();
    let digest = openssl::hash::hash(openssl::hash::MessageDigest::sha1(), values.concat().as_bytes()).unwrap();
    digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

#[test]
fn a_redirect_link_is_read_checked_and_decoded() {
    let api = CardApi::start();
    let setup = setup(&api);
    let signature = openssl_sha1(&mut [SECRET, ENCRYPTED, CARD]);
    let encoded = ENCRYPTED.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let link =
        format!("https://shop.example/?id=1&encrypt_code={encoded}&card_id={CARD}&openid={OPENID}&outer_str=12b");
    let signed = format!("{link}&signature={signature}");
    let read = done_json(&setup, &["link", &signed, "--decrypt"]);
    assert_eq!((&read["code"], &read["signature"]), (&CODE.into(), &"valid".into()));
    assert_eq!((&read["openid"], &read["outer_str"]), (&OPENID.into(), &"12b".into()));
    assert!(done(&setup, &["link", &link]).contains("signature        none"));
    let forged = card(&setup, &["link", &signed.replace("outer_str=12b&signature=", "signature=0"), "--decrypt"]);
    assert_eq!(forged.status.code(), Some(1));
    assert!(text(&forged).0.contains("WRONG"));
    assert_eq!(api.asked("/card/code/decrypt").len(), 1, "a forged link's code is not asked for");
}

#[test]
fn what_wechat_would_refuse_is_refused_before_the_call() {
    let api = CardApi::start();
    let setup = setup(&api);
    let long = "x".repeat(129);
    let openids: Vec<&str> = (0..11).flat_map(|_| ["--openid", OPENID]).collect();
    for (args, told) in [
        (vec!["qrcode", CARD, "--outer-str", &long], "129 characters; outer_str takes 1 to 128"),
        (vec!["qrcode", CARD, "--outer-str", "a\u{7}b"], "not printable"),
        (vec!["qrcode", CARD, "--expires", "31m"], "1m to 30m"),
        // What a shell makes of a variable that is not set.
        (vec!["qrcode", ""], "a value is required"),
        (vec!["get", ""], "a value is required"),
        (vec!["consume", ""], "a value is required"),
        (vec!["qrcode", "a", "b", "c", "d", "e", "f"], "one QR code takes 5"),
        ([vec!["whitelist"], openids].concat(), "holds 10"),
        (vec!["call", "https://elsewhere/", "--data", "-"], "no path of WeChat's API"),
    ] {
        let output = card(&setup, &args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output).1.contains(told), "{args:?}: {}", text(&output).1);
    }
    assert!(api.asked("/cgi-bin/stable_token").is_empty());
    let without = api.lead_with(Setup::without_brokers(), "");
    let output = card(&without, &["get", CODE]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output).1.contains("account.secure.app_secret: is missing"), "{}", text(&output).1);
}

#[test]
fn ten_processes_at_once_make_one_request_for_a_token() {
    let api = CardApi::start();
    let setup = setup(&api);
    // Each writes the configuration anew: all before the first one starts.
    let mut commands: Vec<_> = (0..10).map(|_| card_command(&setup, &["get", CODE])).collect();
    let children =
        commands.iter_mut().map(|command| command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let children: Vec<_> = children.collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(api.asked("/cgi-bin/stable_token").len(), 1);
    assert_eq!(mode(&token_file(&setup)), 0o600);
}

#[test]
fn ten_processes_at_once_make_one_request_for_a_ticket() {
    let api = CardApi::start();
    let setup = setup(&api);
    let mut commands: Vec<_> = (0..10).map(|_| card_command(&setup, &["sign", "add", CARD])).collect();
    let children =
        commands.iter_mut().map(|command| command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let children: Vec<_> = children.collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(api.asked("/cgi-bin/ticket/getticket").len(), 1);
    assert_eq!(api.asked("/cgi-bin/stable_token").len(), 1);
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_token_is_described_and_shown_only_when_asked_for() {
    let api = CardApi::start();
    let setup = setup(&api);
    let told = done_json(&setup, &["token"]);
    assert_eq!(told["app_id"], "wx00c0ffee00c0ffee");
    assert!((7100..=7200).contains(&told["expires_in"].as_i64().unwrap()), "{told}");
    let (shown, _) = text(&card(&setup, &["token", "--show"]));
    assert!(shown.contains(TOKEN_PREFIX), "{shown}");
}

#[test]
fn a_token_servers_file_is_read_at_each_use() {
    let api = CardApi::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let setup =
        api.lead_with(Setup::without_brokers(), &format!("access_token_file = {:?}", file.display().to_string()));
    for token in ["first-of-the-server", "second-of-the-server"] {
        std::fs::write(&file, format!("{token}\n")).unwrap();
        api.accept(token);
        done(&setup, &["get", CODE]);
    }
    assert!(api.asked("/cgi-bin/stable_token").is_empty());
    std::fs::remove_file(&file).unwrap();
    let output = card(&setup, &["get", CODE]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).1.contains("access_token_file"), "{}", text(&output).1);
}
