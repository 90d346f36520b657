//! File, environment, flags: who wins, and how their texts are read.

use super::*;
use crate::protocol::Mode;

#[test]
fn the_environment_wins_over_the_file_and_flags_over_both() {
    let environment = [("CARDHOOK__KAFKA__TOPIC", "from.environment"), ("CARDHOOK__LOG__LEVEL", "warn")];
    let config = load_with(LEAST, &environment, &[("kafka.topic", "from.flag")]).unwrap();
    assert_eq!(config.kafka.topic, "from.flag");
    assert_eq!(config.log.level, tracing::Level::WARN);
}

#[test]
fn lists_of_the_environment_are_separated_by_commas() {
    let config = load_with(LEAST, &[("CARDHOOK__KAFKA__BROKERS", "a:9092, b:9092")], &[]).unwrap();
    assert_eq!(config.kafka.brokers, ["a:9092", "b:9092"]);
    let config = load_with(LEAST, &[("CARDHOOK__KAFKA__BROKERS", "")], &[]).unwrap();
    assert_eq!(config.kafka.brokers, [""; 0]);
}

#[test]
fn a_text_that_looks_like_a_number_stays_a_text() {
    let environment = [("CARDHOOK__ADMIN__TOKEN", "00123"), ("CARDHOOK__ACCOUNT__SHOP__ACCOUNT_ID", "true")];
    let config = load_with(LEAST, &environment, &[]).unwrap();
    assert_eq!(config.admin.token.unwrap().expose(), "00123");
    assert_eq!(config.accounts[0].account_id.as_deref(), Some("true"));
}

#[test]
fn sizes_durations_and_truths_of_the_environment_are_read_by_their_type() {
    let environment = [
        ("CARDHOOK__SERVER__MAX_BODY_BYTES", "2048"),
        ("CARDHOOK__SPOOL__MAX_BYTES", "1GiB"),
        ("CARDHOOK__DELIVERY__ACK_TIMEOUT", "500ms"),
        ("CARDHOOK__ACCOUNT__SHOP__FORWARD_CARDS", "false"),
    ];
    let config = load_with(LEAST, &environment, &[]).unwrap();
    assert_eq!(config.server.max_body_bytes, 2048);
    assert_eq!(config.spool.max_bytes, 1 << 30);
    assert_eq!(config.delivery.ack_timeout, Duration::from_millis(500));
}

#[test]
fn a_blank_in_an_accounts_name_is_written_as_an_underscore() {
    for (name, variable) in [
        ("shop-1", "CARDHOOK__ACCOUNT__SHOP_1__ACCOUNT_ID"),
        ("a--b", "CARDHOOK__ACCOUNT__A__B__ACCOUNT_ID"),
        ("-a-", "CARDHOOK__ACCOUNT___A___ACCOUNT_ID"),
    ] {
        let text = LEAST.replace("\"shop\"", &format!("{name:?}"));
        let config = load_with(&text, &[(variable, "gh_1")], &[]).unwrap();
        assert_eq!(config.accounts.len(), 1, "{name}");
        assert_eq!(config.accounts[0].account_id.as_deref(), Some("gh_1"), "{name}");
    }
}

#[test]
fn an_account_may_stand_wholly_in_the_environment() {
    let environment = [
        ("CARDHOOK__KAFKA__BROKERS", "a:9092"),
        ("CARDHOOK__ACCOUNT__MY_SHOP__TOKEN", "00123"),
        ("CARDHOOK__ACCOUNT__MY_SHOP__MODE", "compat"),
        ("CARDHOOK__ACCOUNT__MY_SHOP__APP_ID", "wx0123456789abcdef"),
        ("CARDHOOK__ACCOUNT__MY_SHOP__AES_KEY", KEY),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::load(None, environment, &[]).unwrap();
    assert_eq!((config.accounts[0].name.as_str(), config.accounts[0].path.as_str()), ("my-shop", "/wechat/my-shop"));
    assert_eq!(config.accounts[0].credentials.mode, Mode::Compat);
}

#[test]
fn dots_of_a_librdkafka_property_are_written_as_underscores() {
    let config = load_with(LEAST, &[("CARDHOOK__KAFKA__OPTIONS__SECURITY_PROTOCOL", "SSL")], &[]).unwrap();
    assert_eq!(config.kafka.options[0].0, "security.protocol");
    assert_eq!(config.kafka.options[0].1.expose(), "SSL");
}

#[test]
fn variables_that_speak_of_nothing_are_errors_and_those_of_others_are_not() {
    for (variable, key) in [
        ("CARDHOOK__SERVER__LISEN", "server.lisen"),
        ("CARDHOOK__SEVER__LISTEN", "sever"),
        ("CARDHOOK__SERVER", "CARDHOOK__SERVER"),
        ("CARDHOOK__", "CARDHOOK__"),
        ("CARDHOOK__ACCOUNT__SHOP", "CARDHOOK__ACCOUNT__SHOP"),
        ("CARDHOOK__ACCOUNT__SHOP__NAME", "account.shop.name"),
        ("CARDHOOK__ACCOUNT__SHOP__TOKN", "account.shop.tokn"),
        ("CARDHOOK__server__listen", "CARDHOOK__server__listen"),
        ("CARDHOOK_SERVER__LISTEN", "CARDHOOK_SERVER__LISTEN"),
        ("CARDHOOK_LISTEN", "CARDHOOK_LISTEN"),
        ("CARDHOOK_", "CARDHOOK_"),
    ] {
        assert_eq!(keys(load_with(LEAST, &[(variable, "x")], &[])), [key], "{variable}");
    }
    assert!(load_with(LEAST, &[("PATH", "/bin"), ("CARDHOOK", "x"), ("CARDHOOKS__A__B", "x")], &[]).is_ok());
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_of_this_name_and_those_of_scripts_are_not_ours() {
    for (variable, value) in [
        ("CARDHOOK_SERVICE_HOST", "10.96.0.7"),
        ("CARDHOOK_SERVICE_PORT", "80"),
        ("CARDHOOK_SERVICE_PORT_HTTP", "80"),
        ("CARDHOOK_PORT", "tcp://10.96.0.7:80"),
        ("CARDHOOK_PORT_80_TCP", "tcp://10.96.0.7:80"),
        ("CARDHOOK_PORT_80_TCP_ADDR", "10.96.0.7"),
        ("CARDHOOK_ADMIN_SERVICE_HOST", "10.96.0.8"),
        ("CARDHOOK_ADMIN_PORT_9090_TCP_PROTO", "tcp"),
        // Of our own scripts.
        ("CARDHOOK_IMAGE", "cardhook:1"),
    ] {
        assert!(load_with(LEAST, &[(variable, value)], &[]).is_ok(), "{variable}");
    }
    assert_eq!(keys(load_with(LEAST, &[("CARDHOOK_PORT", "8080")], &[])), ["CARDHOOK_PORT"], "that one is a slip");
}

#[test]
fn an_account_that_a_variable_makes_is_told_as_that_variable() {
    let errors = load_with(LEAST, &[("CARDHOOK__ACCOUNT__SHOPP__TOKEN", "s3cretT0ken")], &[]).unwrap_err();
    assert_eq!(
        errors.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(),
        ["account.shopp.app_id", "account.shopp.aes_key"]
    );
    for error in errors {
        assert!(error.problem.contains("CARDHOOK__ACCOUNT__SHOPP__TOKEN makes it"), "{error}");
    }
    let known = load_with(LEAST, &[("CARDHOOK__ACCOUNT__SHOP__MODE", "secure")], &[]).unwrap_err();
    assert!(known.iter().all(|error| !error.problem.contains("CARDHOOK__ACCOUNT")), "{known:?}");
}

#[test]
fn flags_speak_of_keys_by_their_dotted_names() {
    let flags = [("account.shop.path", "/hook"), ("kafka.options.client.id", "me")];
    let config = load_with(LEAST, &[], &flags).unwrap();
    assert_eq!(config.accounts[0].path, "/hook");
    assert_eq!(config.kafka.options[0].0, "client.id");
    assert_eq!(keys(load_with(LEAST, &[], &[("topic", "x")])), ["topic"]);
}

#[test]
fn a_value_that_is_not_utf_8_is_an_error() {
    assert_eq!(keys(load_with(LEAST, &[("CARDHOOK__ADMIN__TOKEN", "a\u{fffd}b")], &[])), ["CARDHOOK__ADMIN__TOKEN"]);
}

#[test]
fn the_real_environment_gives_only_what_is_meant_for_cardhook() {
    assert!(environment().iter().all(|(name, _)| name.starts_with("CARDHOOK_")));
}

#[test]
fn a_higher_source_replaces_a_secret_however_it_is_written() {
    let token = file("fromFile");
    let path = token.path().to_str().unwrap();
    let in_file = format!("{LEAST}[admin]\ntoken_file = {path:?}");
    let config = load_with(&in_file, &[("CARDHOOK__ADMIN__TOKEN", "fromEnvironment")], &[]).unwrap();
    assert_eq!(config.admin.token.unwrap().expose(), "fromEnvironment");
    let in_line = format!("{LEAST}[admin]\ntoken = \"inLine\"");
    let config = load_with(&in_line, &[("CARDHOOK__ADMIN__TOKEN_FILE", path)], &[]).unwrap();
    assert_eq!(config.admin.token.unwrap().expose(), "fromFile");
}

#[test]
fn a_secret_is_not_taken_from_the_command_line() {
    let flags = [
        ("account.shop.token", "s3cr3t"),
        ("admin.token", "s3cr3t"),
        ("kafka.options.ssl.key.password", "s3cr3t"),
        ("kafka.schema_registry", "http://user:s3cr3t@registry.example"),
    ];
    let errors = load_with(LEAST, &[], &flags).unwrap_err();
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert!(errors.iter().all(|error| error.problem.contains("process list") && !error.to_string().contains("s3cr3t")));
}
