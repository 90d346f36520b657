//! `cardhook card …` at trace level, when all goes well and when it does not: AppSecret, access token and ticket are shown
//! nowhere, nor in the list of processes while a call waits.

use std::process::{Command, Stdio};

use super::hoard::{Hoard, Said};
use crate::support::{
    card_api::{CARD, CODE, CardApi, ENCRYPTED, Fault, OPENID, SECRET, TICKET, TOKEN_PREFIX},
    cardhook::Setup,
    eventually,
};

fn hoard() -> Hoard {
    let mut hoard = Hoard::default();
    hoard.add_secret("the AppSecret", SECRET);
    hoard.add_secret("the ticket", TICKET);
    hoard.add("the access token", TOKEN_PREFIX);
    hoard
}

fn card(setup: &Setup, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardhook"));
    command.env_clear().env("RUST_BACKTRACE", "1").arg("card").args(args);
    command.arg("--config").arg(setup.write()).args(["--account", "secure"]).stdin(Stdio::null());
    command
}

#[test]
fn the_card_commands_show_no_secret_whatever_wechat_answers() {
    let api = CardApi::start();
    let setup = api.lead(Setup::without_brokers()).set("log", "level = \"trace\"");
    let mut said = Said::default();
    let sign = ["sign", "add", CARD, "--outer-str", "poster-7"];
    let calls: [(&str, &[&str]); 7] = [
        ("/card/qrcode/create", &["qrcode", CARD, "--outer-str", "poster-7"]),
        ("/card/testwhitelist/set", &["whitelist", "--openid", OPENID]),
        ("/card/code/get", &["get", CODE]),
        ("/card/code/decrypt", &["decrypt", ENCRYPTED]),
        ("/cgi-bin/ticket/getticket", &sign),
        ("/card/code/consume", &["consume", CODE]),
        ("/cgi-bin/stable_token", &["token"]),
    ];
    let faults = [
        Fault::Refuse(40_001, "invalid credential"),
        Fault::Refuse(48_001, "api unauthorized"),
        Fault::Html,
        Fault::DoneAndCut,
    ];
    let mut failed = 0;
    for (path, args) in calls {
        for fault in faults {
            // Without tokens that are kept, every run asks for all that it needs.
            let _ = std::fs::remove_file(setup.spool().join("wechat-tokens-secure.json"));
            api.fault(path, fault);
            for json in [&[][..], &["--json"]] {
                let output = card(&setup, &[args, json].concat()).output().unwrap();
                failed += usize::from(!output.status.success());
                said.hear(format!("{args:?} {json:?} after {fault:?}"), [output.stdout, output.stderr].concat());
            }
        }
    }
    assert!(failed > 10, "{failed}");
    assert_eq!(said.betrayed(&hoard()), Vec::<String>::new());
    // What is looked for was there to be found.
    let kept = std::fs::read(setup.spool().join("wechat-tokens-secure.json")).unwrap();
    assert!(!hoard().found_in(&kept).is_empty());
}

#[test]
fn a_waiting_card_command_shows_no_secret_in_the_list_of_processes() {
    let api = CardApi::start();
    let setup = api.lead(Setup::without_brokers());
    api.fault("/card/qrcode/create", Fault::DoneAndSilent);
    let mut command = card(&setup, &["qrcode", CARD, "--outer-str", "poster-7"]);
    let mut waiting = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("it asks", std::time::Duration::from_mins(1), || {
        (!api.asked("/card/qrcode/create").is_empty()).then_some(())
    });
    let shown = ["cmdline", "environ"].map(|file| std::fs::read(format!("/proc/{}/{file}", waiting.id())).unwrap());
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    assert!(String::from_utf8_lossy(&shown[0]).contains("qrcode"));
    assert_eq!(hoard().found_in(&shown.concat()), Vec::<String>::new());
}
