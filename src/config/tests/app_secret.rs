//! App secrets, and what cannot be without one.

use super::*;

#[test]
fn wechats_addresses_may_be_asked_for_in_the_name_of_an_account_with_an_app_secret() {
    let ask = "\n[server]\nallow_from = [\"10.0.0.0/8\", \"wechat\"]";
    let errors = load(&format!("{LEAST}{ask}")).unwrap_err();
    assert_eq!((errors.len(), errors[0].key.as_str()), (1, "server.allow_from"));
    assert!(errors[0].cure.contains("app_secret"), "{errors:?}");

    let account = |name, more| format!("[[account]]\nname = {name:?}\ntoken = \"abc\"\nmode = \"plaintext\"\n{more}\n");
    let second = account("second", "app_id = \"wx0000000000000002\"\napp_secret = \"s2\"");
    let third = account("third", "app_id = \"wx0000000000000003\"\napp_secret = \"s3\"");
    let config = load(&format!("{LEAST}{ask}\n{second}{third}")).unwrap();
    assert_eq!(config.api_caller().unwrap().app_id, "wx0000000000000002", "the first that has one");
    assert!(config.effective().contains("allow_from = [\"10.0.0.0/8\", \"wechat\"]\n"), "{}", config.effective());

    let wrong = account("second", "app_id = \"wx0000000000000002\"\napp_secret = \"s 2\"");
    assert_eq!(keys_after(&format!("{ask}\n{wrong}")), ["account.second.app_secret"], "one thing wrong is one error");
    assert_eq!(keys_after("[server]\ntrusted_proxies = [\"wechat\"]"), ["server.trusted_proxies"]);
}

#[test]
fn an_app_secret_needs_an_app_id_in_plaintext_mode_too() {
    assert_eq!(keys_with("name", "app_secret = \"s\"\nname"), ["account.shop.app_id"]);
    assert_eq!(keys_with("name", "app_id = \"wx0000000000000001\"\napp_secret = \"s\"\nname"), [""; 0]);
    let secure = "secure\"\napp_secret = \"s";
    assert_eq!(keys_with("plaintext", secure), ["account.shop.app_id", "account.shop.aes_key"]);
    for wrong in ["app_secret = \"\"", "app_secret = \"a b\"", "app_secret_file = \"/dev/null\""] {
        let keys = keys_with("name", &format!("app_id = \"wx0000000000000001\"\n{wrong}\nname"));
        assert_eq!(keys, ["account.shop.app_secret"], "{wrong}");
    }
}
