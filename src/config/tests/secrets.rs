//! Secrets: from files, and never shown.

use super::*;

/// Every secret of a configuration, each with a word that must not come out.
fn with_secrets() -> String {
    format!(
        r#"
[admin]
token = "LEAKadmin"
[[account]]
name = "shop"
app_id = "wx0123456789abcdef"
token = "LEAKtoken"
previous_token = "LEAKprevious"
aes_key = "LEAK{0}"
previous_aes_key = "LEAK{0}"
app_secret = "LEAKapi"
[kafka]
brokers = ["a:9092"]
sasl_password = "LEAKsasl"
[kafka.options]
"ssl.key.password" = "LEAKkey"
"ssl.key.pem" = "LEAKpem"
"ssl.keystore.password" = "LEAKclient"
"sasl.oauthbearer.config" = "LEAKconfig"
"#,
        &KEY[4..]
    )
}

#[test]
fn neither_debug_nor_the_effective_configuration_shows_a_secret() {
    let config = load(&with_secrets()).unwrap();
    let shown = format!("{config:?} {config:#?}");
    assert!(!shown.contains("LEAK") && shown.contains("[redacted]"), "{shown}");
    let effective = config.effective();
    assert!(!effective.contains("LEAK"), "{effective}");
    for key in [
        "token",
        "previous_token",
        "aes_key",
        "previous_aes_key",
        "app_secret",
        "sasl_password",
        "\"ssl.key.password\"",
    ] {
        assert!(effective.contains(&format!("\n{key} = \"[redacted]\"\n")), "{key} in {effective}");
    }
}

#[test]
fn no_error_shows_a_secret() {
    let wrong = [
        ("LEAKadmin", "LEAK admin"),
        ("LEAKtoken", "LEAK_token"),
        ("LEAKprevious", "LEAK_previous"),
        ("LEAKefgh", "LEAK-efgh"),
        ("LEAKapi", "LEAK api"),
        ("LEAKsasl", "LEAK\\u0000"),
        ("\"LEAKkey\"", "[\"LEAKkey\"]"),
        ("ssl.key.pem\"", "sssl.key.pem\""),
        ("LEAKclient", "LEAK\\u0000client"),
        ("\"sasl.oauthbearer.config\" = \"LEAK", "\"sasl.pasword\" = \"LEAK"),
    ];
    for (old, new) in wrong {
        let text = with_secrets().replace(old, new);
        assert_ne!(text, with_secrets(), "{old}");
        let errors = load(&text).unwrap_err();
        assert!(!format!("{errors:?}").contains("LEAK"), "{errors:?}");
    }
    let typo = with_secrets().replace("previous_token =", "previus_token =").replace("sasl_password", "sasl_pasword");
    let errors = load(&typo).unwrap_err();
    assert_eq!(errors.len(), 2);
    assert!(!format!("{errors:?}").contains("LEAK"), "{errors:?}");
    let number = with_secrets().replace("\"LEAKtoken\"", "8005882300");
    assert!(!format!("{:?}", load(&number).unwrap_err()).contains("8005882300"));
}

#[test]
fn every_secret_may_stand_in_a_file() {
    let (token, key) = (file("s3cretT0ken\n"), file(&format!("{KEY}\r\n")));
    let (token, key) = (token.path().display(), key.path().display());
    let config = load(&format!(
        r#"
[admin]
token_file = "{token}"
[[account]]
name = "shop"
app_id = "wx0123456789abcdef"
token_file = "{token}"
previous_token_file = "{token}"
aes_key_file = "{key}"
previous_aes_key_file = "{key}"
app_secret_file = "{token}"
[kafka]
brokers = []
sasl_password_file = "{token}"
"#
    ))
    .unwrap();
    assert_eq!(config.admin.token.unwrap().expose(), "s3cretT0ken");
    assert_eq!(config.kafka.sasl_password.unwrap().expose(), "s3cretT0ken");
    let credentials = &config.accounts[0].credentials;
    assert!(credentials.previous_token.is_some() && credentials.previous_aes_key.is_some());
    assert_eq!(config.accounts[0].app_secret, Some(AppSecret::new("s3cretT0ken")));
}

#[test]
fn one_trailing_newline_of_a_file_is_dropped_and_no_more() {
    for (content, expected) in
        [("pass", "pass"), ("pass\n", "pass"), ("pass\r\n", "pass"), ("pass\n\n", "pass\n"), (" p \n", " p ")]
    {
        let secret = file(content);
        let config =
            load(&LEAST.replace(
                "[kafka]",
                &format!("[kafka]\nsasl_password_file = {:?}", secret.path().display().to_string()),
            ));
        assert_eq!(config.unwrap().kafka.sasl_password.unwrap().expose(), expected);
    }
}

#[test]
fn a_secret_file_that_cannot_be_read_is_named() {
    let errors = load(&LEAST.replace("token = \"s3cretT0ken\"", "token_file = \"/nowhere/token\"")).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].key, "account.shop.token_file");
    assert!(errors[0].problem.contains("/nowhere/token"), "{errors:?}");
}

#[test]
fn a_secret_file_that_does_not_end_is_not_read_to_its_end() {
    let errors = load(&LEAST.replace("token = \"s3cretT0ken\"", "token_file = \"/dev/zero\"")).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].problem.contains("\"/dev/zero\" cannot be read: it is over 64 KiB"), "{errors:?}");
}

#[test]
fn what_an_editor_puts_around_a_secret_is_named() {
    for (content, problem) in [
        ("\u{FEFF}s3cretT0ken\n", "begins with a byte order mark"),
        ("s3cretT0ken\n\n", "has a blank or line break at the end"),
        ("s3cretT0ken \n", "has a blank or line break at the end"),
        (" s3cretT0ken", "has a blank or line break at the beginning"),
        ("s3cret-T0ken", "is not 3 to 32 letters and digits"),
    ] {
        let token = file(content);
        let path = format!("token_file = {:?}", token.path().display().to_string());
        let errors = load(&LEAST.replace("token = \"s3cretT0ken\"", &path)).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].problem.starts_with(problem) && !errors[0].to_string().contains("s3cret"), "{errors:?}");
    }
    let password = file("\u{FEFF}pass");
    let path = format!("[kafka]\nsasl_password_file = {:?}", password.path().display().to_string());
    let errors = load(&LEAST.replace("[kafka]", &path)).unwrap_err();
    assert!(errors[0].problem.starts_with("begins with a byte order mark"), "{errors:?}");
}

#[test]
fn a_secret_beside_its_file_is_an_error() {
    let token = file("s3cretT0ken");
    let both = format!("token = \"s3cretT0ken\"\ntoken_file = {:?}", token.path().display().to_string());
    assert_eq!(keys_with("token = \"s3cretT0ken\"", &both), ["account.shop.token"]);
    let environment =
        [("CARDHOOK__ADMIN__TOKEN", "secret"), ("CARDHOOK__ADMIN__TOKEN_FILE", token.path().to_str().unwrap())];
    assert_eq!(keys(load_with(LEAST, &environment, &[])), ["admin.token"]);
}

#[test]
fn a_password_stands_in_one_place_only() {
    let both = "[kafka]\nsasl_password = \"a\"\noptions.sasl.password = \"b\"";
    assert_eq!(keys_with("[kafka]", both), ["kafka.sasl_password"]);
}
