//! Refusals, lost answers and what is no answer at all.

use cardhook::wechat_api::codes::MEANINGS;
use serde_json::Value;

use super::{card, card_command, done, setup, text, token_file};
use crate::support::card_api::{CODE, CardApi, Fault, OPENID, SECRET, TICKET, TOKEN_PREFIX};

/// WeChat's codes of the card calls and of all calls.
const CODES: [i64; 38] = [
    -1, 40001, 40013, 40014, 41001, 42001, 43002, 44002, 45009, 45011, 47001, 48001, 40125, 40164, 40201, 50002, 40053,
    40056, 40071, 40072, 40078, 40079, 40080, 40099, 40100, 40116, 40122, 40124, 40127, 40151, 41011, 41012, 43009,
    43010, 45021, 45030, 45031, 45033,
];

#[test]
fn every_documented_code_is_explained_in_both_languages() {
    let api = CardApi::start();
    let setup = setup(&api);
    assert_eq!(MEANINGS.len(), CODES.len());
    for meaning in MEANINGS {
        assert!(CODES.contains(&meaning.errcode), "{meaning:?}");
        assert!(!meaning.zh.is_ascii() && !meaning.zh_cure.is_empty(), "{meaning:?}");
        // A refused token is given up and asked for again.
        let times = if [40001, 40014, 42001].contains(&meaning.errcode) { 2 } else { 1 };
        for _ in 0..times {
            api.fault("/card/code/consume", Fault::Refuse(meaning.errcode, "words of WeChat"));
        }
        let output = card_command(&setup, &["consume", CODE]).env("LANG", "zh_CN.UTF-8").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{meaning:?}");
        let told = text(&output).1;
        let expected = [meaning.errcode.to_string(), meaning.en.to_owned()];
        assert!(expected.iter().all(|expected| told.contains(expected)), "{meaning:?}: {told}");
        // A busy WeChat leaves it open whether the code is redeemed.
        let in_chinese = told.contains(meaning.zh) && told.contains("words of WeChat");
        assert!(in_chinese || meaning.errcode == -1, "{meaning:?}: {told}");
    }
    assert!(api.redeemed().is_empty());
}

#[test]
fn a_token_that_ends_in_mid_run_is_renewed_once() {
    let api = CardApi::start();
    let setup = setup(&api);
    for errcode in [40001, 40014, 42001] {
        let before = api.asked("/cgi-bin/stable_token").len().max(1);
        api.fault("/card/code/get", Fault::Refuse(errcode, "access_token expired"));
        done(&setup, &["get", CODE]);
        assert_eq!(api.asked("/cgi-bin/stable_token").len(), before + 1, "{errcode}");
    }
}

#[test]
fn a_lost_answer_to_a_redemption_is_followed_by_a_question_and_never_by_a_second_redemption() {
    for fault in [Fault::DoneAndSilent, Fault::DoneAndCut] {
        let api = CardApi::start();
        let setup = setup(&api);
        api.fault("/card/code/consume", fault);
        let output = card(&setup, &["consume", CODE, "--json"]);
        let (out, err) = text(&output);
        assert_eq!(output.status.code(), Some(1), "{out}{err}");
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&report["outcome"], &report["user_card_status"]), (&"answer_lost".into(), &"CONSUMED".into()));
        assert_eq!((api.redeemed().len(), api.asked("/card/code/consume").len()), (1, 1));
        assert_eq!(api.asked("/card/code/get").len(), 1);
    }
    let api = CardApi::start();
    let setup = setup(&api);
    api.fault("/card/code/consume", Fault::Html);
    let output = card(&setup, &["consume", CODE]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).0.contains("not redeemed so far"), "{}", text(&output).0);
    assert_eq!(api.asked("/card/code/consume").len(), 1);
}

#[test]
fn calls_that_change_nothing_are_made_again_where_wechat_is_busy_or_hangs_up() {
    let api = CardApi::start();
    let setup = setup(&api);
    api.fault("/card/code/get", Fault::Refuse(-1, "system error"));
    api.fault("/card/code/get", Fault::DoneAndCut);
    done(&setup, &["get", CODE]);
    assert_eq!(api.asked("/card/code/get").len(), 3);
    for _ in 0..3 {
        api.fault("/card/code/get", Fault::Refuse(-1, "system error"));
    }
    let output = card(&setup, &["get", CODE]);
    assert!(text(&output).1.contains("busy"), "{}", text(&output).1);
    assert_eq!(api.asked("/card/code/get").len(), 6, "three times at most");
}

#[test]
fn a_proxys_page_is_named_and_no_failure_shows_a_secret_or_what_was_asked() {
    let api = CardApi::start();
    let setup = setup(&api);
    for (path, told) in [("/cgi-bin/stable_token", "proxy"), ("/card/code/get", "proxy")] {
        api.fault(path, Fault::Html);
        let output = card(&setup, &["get", CODE]);
        assert_eq!(output.status.code(), Some(1));
        let shown = format!("{}{}", text(&output).0, text(&output).1);
        assert!(shown.contains(told), "{shown}");
        for secret in [SECRET, TOKEN_PREFIX, TICKET, CODE, OPENID, "access_token="] {
            assert!(!shown.contains(secret), "{secret}: {shown}");
        }
    }
}

#[test]
fn a_torn_token_file_is_as_good_as_none() {
    let api = CardApi::start();
    let setup = setup(&api);
    done(&setup, &["get", CODE]);
    let kept = std::fs::read(token_file(&setup)).unwrap();
    std::fs::write(token_file(&setup), &kept[..kept.len() / 2]).unwrap();
    done(&setup, &["get", CODE]);
    assert_eq!(api.asked("/cgi-bin/stable_token").len(), 2);
}
