//! A real exchange of token and key: who still uses the old ones, and when they may go.

use rustix::process::Signal;
use serde_json::Value;

use super::{api, wait_for};
use crate::support::{
    cardhook::{Service, Setup},
    faults::Faults,
    wechat::{Account, Mode, claim, fixture},
};

const NEW: (&str, &str) = ("rotatedtoken0042", "0123456789CARDHOOKcardhook0123456789CARDHOO");
const MINUTE_MS: i64 = 60_000;

fn account(status: &Value) -> &Value {
    status["accounts"].as_array().unwrap().iter().find(|account| account["name"] == "secure").unwrap()
}

/// Waits for a hint of the account, or for its end.
fn hint(service: &Service, id: &str, held: bool) -> Value {
    let find = |status: &Value| status["hints"].as_array().unwrap().iter().find(|hint| hint["id"] == id).cloned();
    find(&wait_for(service, "status", |status| find(status).is_some() == held)).unwrap_or_default()
}

fn post(service: &Service, account: &Account, event: &str) {
    assert!(account.post(service.public, &fixture(event)).is_success(), "{event}");
}

#[test]
fn an_exchange_of_token_and_key_is_followed_to_its_end() {
    let setup = Setup::without_brokers();
    let faults = Faults::new(setup.folder());
    let old = Account::of(Mode::Secure);
    let new = Account { token: NEW.0, aes_key: NEW.1, ..old.clone() };
    let service = setup.serve_under(&faults);
    service.wait_ready();
    post(&service, &old, "user_get_card");
    assert_eq!(account(&api(&service, "status"))["token"]["previous"], Value::Null);

    let previous = format!("previous_token = {:?}\nprevious_aes_key = {:?}", old.token, old.aes_key);
    let setup = setup.replace_account(&new, &previous);
    setup.write();
    service.signal(Signal::HUP);
    service.wait_says("tokens and keys reloaded");
    let status = wait_for(&service, "status", |status| account(status)["token"]["previous"].is_object());
    for secret in ["token", "aes_key"] {
        let told = serde_json::json!({"last_used": null, "replaced": false});
        assert_eq!(account(&status)[secret]["previous"], told, "{secret}");
    }

    post(&service, &old, "user_consume_card");
    let used = hint(&service, "previous_secret_used", true);
    assert_eq!((&used["level"], &used["account"]), (&"info".into(), &"secure".into()));
    assert_eq!(used["values"]["secrets"], "previous_token, previous_aes_key");
    let status = api(&service, "status");
    for secret in ["token", "aes_key"] {
        assert_eq!(account(&status)[secret]["previous"]["last_used"], used["values"]["last"], "{secret}");
    }
    // The page was saved with the new token, and the key is not exchanged on all servers yet.
    faults.clock_offset_ms(11 * MINUTE_MS);
    post(&service, &Account { aes_key: old.aes_key, ..new.clone() }, "user_del_card");
    assert_eq!(hint(&service, "previous_secret_unused", true)["values"]["secrets"], "previous_token");
    assert_eq!(hint(&service, "previous_secret_used", true)["values"]["secrets"], "previous_aes_key");
    faults.clock_offset_ms(22 * MINUTE_MS);
    post(&service, &new, "user_view_card");
    hint(&service, "previous_secret_used", false);
    let unused = hint(&service, "previous_secret_unused", true);
    assert_eq!(unused["values"]["secrets"], "previous_token, previous_aes_key");
    assert_eq!(account(&api(&service, "status"))["aes_key"]["previous"]["replaced"], true);

    let setup = setup.replace_account(&new, "");
    setup.write();
    service.signal(Signal::HUP);
    hint(&service, "previous_secret_unused", false);
    assert_eq!(account(&api(&service, "status"))["token"]["previous"], Value::Null);
    let shown = api(&service, "status").to_string();
    for secret in [old.token, old.aes_key, NEW.0, NEW.1] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_secret_is_named_by_its_file_and_never_by_its_value() {
    let setup = Setup::without_brokers().without_accounts();
    let (token, key) = (setup.folder().join("shop.token"), setup.folder().join("shop.aes_key"));
    let old = Account::of(Mode::Secure);
    std::fs::write(&token, old.token).unwrap();
    std::fs::write(&key, old.aes_key).unwrap();
    let setup = setup.set(
        "log",
        &format!(
            "[[account]]\nname = \"secure\"\napp_id = {:?}\ntoken_file = {token:?}\naes_key_file = {key:?}\n\
             [[account]]\nname = \"open\"\nmode = \"plaintext\"\ntoken = {:?}",
            old.app_id, old.token
        ),
    );
    let service = setup.serve();
    assert!(old.post(service.public, &claim("oInvented", "740000000042", 1_767_225_600)).is_success());
    let status = api(&service, "status");
    assert_eq!(account(&status)["token"]["file"], token.to_str().unwrap());
    assert_eq!(account(&status)["aes_key"]["file"], key.to_str().unwrap());
    let open = &status["accounts"][1];
    assert_eq!((&open["token"]["file"], &open["aes_key"]), (&Value::Null, &Value::Null));
    assert!(!status.to_string().contains(old.token) && !status.to_string().contains(old.aes_key));
}
