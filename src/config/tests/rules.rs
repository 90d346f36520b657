//! What each key may hold.

use super::*;

#[test]
fn account_names_are_short_and_plain() {
    for name in ["a", "shop-1", "-", &"x".repeat(32)] {
        assert_eq!(keys_with("\"shop\"", &format!("{name:?}")), [""; 0], "{name}");
    }
    for name in ["", "Shop", "my_shop", "a b", "店", "a/b", &"x".repeat(33)] {
        assert_eq!(keys_with("\"shop\"", &format!("{name:?}")), [format!("account.{name}.name")], "{name}");
    }
    assert_eq!(keys_with("name = \"shop\"", ""), ["account[1].name"]);
    assert_eq!(keys_with("name = \"shop\"", "name = 7"), ["account[1].name"]);
}

#[test]
fn there_is_at_least_one_account() {
    assert_eq!(keys(load("[kafka]\nbrokers = []")), ["account"]);
}

#[test]
fn two_accounts_share_neither_name_nor_path() {
    let second = "[[account]]\nname = \"second\"\ntoken = \"abc\"\nmode = \"plaintext\"\n";
    assert_eq!(keys_after(second), [""; 0]);
    assert_eq!(keys_after(&second.replace("\"second\"", "\"shop\"")), ["account.shop.name"]);
    assert_eq!(keys_after(&format!("{second}path = \"/wechat/shop\"")), ["account.second.path"]);
}

#[test]
fn paths_hold_only_what_nobody_rewrites() {
    for path in ["/", "/a", "/wechat/shop.php", "/a/", "/A-z_0.~9"] {
        assert_eq!(keys_with("name", &format!("path = {path:?}\nname")), [""; 0], "{path}");
    }
    for path in ["", "a", "/a?b=c", "/a#b", "/a b", "//a", "/a/../b", "/{a}", "/%41", "/店", "/a\\n"] {
        assert_eq!(keys_with("name", &format!("path = {path:?}\nname")), ["account.shop.path"], "{path}");
    }
}

#[test]
fn tokens_are_those_that_wechat_accepts() {
    for token in ["abc", "00123", &"x".repeat(32)] {
        assert_eq!(keys_with("s3cretT0ken", token), [""; 0], "{token}");
    }
    for token in ["", "ab", "a b c", "a_b", "令牌令", &"x".repeat(33)] {
        assert_eq!(keys_with("s3cretT0ken", token), ["account.shop.token"], "{token}");
    }
    assert_eq!(keys_with("token = \"s3cretT0ken\"", ""), ["account.shop.token"]);
}

#[test]
fn compat_and_secure_mode_need_app_id_and_key() {
    for mode in ["compat", "secure"] {
        assert_eq!(keys_with("plaintext", mode), ["account.shop.app_id", "account.shop.aes_key"]);
        let both = format!("{mode}\"\napp_id = \"wx0123456789abcdef\"\naes_key = \"{KEY}");
        assert_eq!(keys_with("plaintext", &both), [""; 0]);
    }
    assert_eq!(keys_with("plaintext", "open"), ["account.shop.mode", "account.shop.app_id", "account.shop.aes_key"]);
}

#[test]
fn a_key_has_43_characters_of_base64() {
    for key in ["short", &KEY[1..], &format!("{KEY}="), &KEY.replace('a', "-")] {
        let mode = format!("secure\"\napp_id = \"wx0123456789abcdef\"\naes_key = \"{key}");
        assert_eq!(keys_with("plaintext", &mode), ["account.shop.aes_key"], "{key}");
    }
}

#[test]
fn ids_hold_no_blanks() {
    for key in ["app_id", "account_id"] {
        assert_eq!(keys_with("name", &format!("{key} = \"wx 1\"\nname")), [format!("account.shop.{key}")]);
    }
}

#[test]
fn brokers_must_be_written_even_when_there_are_none() {
    let errors = load(&LEAST.replace("brokers = [\"a:9092\"]", "")).unwrap_err();
    assert_eq!(errors[0].key, "kafka.brokers");
    assert!(errors[0].cure.contains("[\"host:9092\"]") && errors[0].cure.contains("brokers = []"), "{errors:?}");
    assert_eq!(keys_with("[\"a:9092\"]", "[]"), [""; 0]);
}

#[test]
fn a_broker_is_a_host_and_a_port() {
    for broker in ["a:1", "kafka-1.example.com:9092", "127.0.0.1:65535", "[::1]:9092"] {
        assert_eq!(keys_with("a:9092", broker), [""; 0], "{broker}");
    }
    for broker in ["a", ":9092", "a:", "a:0", "a:65536", "a:+1", "a b:1", "::1:9092", "PLAINTEXT://a:1", "a:1,b:1"] {
        assert_eq!(keys_with("a:9092", broker), ["kafka.brokers"], "{broker}");
    }
    assert_eq!(keys_with("[\"a:9092\"]", "[\"a:9092\", \"b\", \"c\"]"), ["kafka.brokers", "kafka.brokers"]);
    assert_eq!(keys_with("[\"a:9092\"]", "\"a:9092\""), ["kafka.brokers"]);
    let errors = load(&LEAST.replace("[\"a:9092\"]", "[\"\"]")).unwrap_err();
    assert_eq!(errors[0].problem, "\"\" is no host:port", "a template without a value");
}

#[test]
fn topics_have_names_that_kafka_takes() {
    for topic in ["A.b_c-1", &"x".repeat(249)] {
        assert_eq!(keys_with("[kafka]", &format!("[kafka]\ntopic = {topic:?}")), [""; 0], "{topic}");
    }
    for topic in ["", ".", "..", "a b", "店", "a/b", &"x".repeat(250)] {
        assert_eq!(
            keys_with("[kafka]", &format!("[kafka]\nother_topic = {topic:?}")),
            ["kafka.other_topic"],
            "{topic}"
        );
    }
}

#[test]
fn the_three_topics_differ() {
    assert_eq!(keys_with("[kafka]", "[kafka]\ntopic = \"wechat.other\""), ["kafka.other_topic"]);
    assert_eq!(keys_with("[kafka]", "[kafka]\ndlq_topic = \"wechat.card.events\""), ["kafka.dlq_topic"]);
    assert_eq!(keys_with("[kafka]", "[kafka]\ndlq_topic = \"wechat.other\""), ["kafka.other_topic"]);
}

#[test]
fn properties_that_would_undo_the_promise_are_reserved_with_a_reason() {
    for name in [
        "bootstrap.servers",
        "metadata.broker.list",
        "acks",
        "request.required.acks",
        "enable.idempotence",
        "enable.gapless.guarantee",
        "partitioner",
        "transactional.id",
        "message.timeout.ms",
        "delivery.timeout.ms",
        "delivery.report.only.error",
        "dr_cb",
        "dr_msg_cb",
        "plugin.library.paths",
        "enable.ssl.certificate.verification",
        "allow.auto.create.topics",
    ] {
        let errors = load(&format!("{LEAST}[kafka.options]\n{name:?} = \"1\"")).unwrap_err();
        assert_eq!(errors[0].key, format!("kafka.options.{name:?}"));
        assert!(errors[0].problem.starts_with("is reserved: "), "{errors:?}");
        let variable = format!("CARDHOOK__KAFKA__OPTIONS__{}", name.replace('.', "_").to_uppercase());
        let errors = load_with(LEAST, &[(&variable, "1")], &[]).unwrap_err();
        assert!(errors[0].problem.starts_with("is reserved: "), "{errors:?}");
    }
}

#[test]
fn more_than_five_requests_in_flight_are_reserved() {
    for name in ["max.in.flight", "max.in.flight.requests.per.connection"] {
        let key = format!("kafka.options.{name:?}");
        assert_eq!(keys_after(&format!("[kafka.options]\n{name:?} = 5")), [""; 0]);
        assert_eq!(keys_after(&format!("[kafka.options]\n{name:?} = 6")), [key.as_str()]);
        assert_eq!(keys_after(&format!("[kafka.options]\n{name:?} = \"1000000\"")), [key.as_str()]);
        assert_eq!(keys_after(&format!("[kafka.options]\n{name:?} = \"many\"")), [key.as_str()]);
    }
}

#[test]
fn other_properties_pass_through_as_texts() {
    let config = load(&format!(
        "{LEAST}[kafka.options]\nsecurity.protocol = \"SSL\"\n\"linger.ms\" = 5\n\"socket.nagle.disable\" = true"
    ))
    .unwrap();
    let options: Vec<_> = config.kafka.options.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(options, [("linger.ms", "5"), ("security.protocol", "SSL"), ("socket.nagle.disable", "true")]);
}

#[test]
fn librdkafka_is_asked_about_names_and_values() {
    for line in [
        "\"lingr.ms\" = 5",
        "\"linger.ms\" = -5",
        "\"security.protocol\" = \"TLS\"",
        "\"linger.ms\" = []",
        "\"a\\u0000b\" = 1",
    ] {
        assert_eq!(keys_after(&format!("[kafka.options]\n{line}")).len(), 1, "{line}");
    }
}

#[test]
fn without_brokers_answers_wait_for_the_disk() {
    for answer_after in ["kafka", "disk", "kafka_only"] {
        let text = LEAST.replace("\"a:9092\"", "");
        let config = load(&format!("{text}[delivery]\nanswer_after = {answer_after:?}")).unwrap();
        assert_eq!(config.delivery.answer_after, AnswerAfter::Disk);
    }
    let config = load(&format!("{LEAST}[delivery]\nanswer_after = \"kafka_only\"")).unwrap();
    assert_eq!(config.delivery.answer_after, AnswerAfter::KafkaOnly);
}

#[test]
fn times_and_sizes_have_limits() {
    for line in [
        "[delivery]\nack_timeout = \"3s\"",
        "[delivery]\nack_timeout = \"1ms\"",
        "[delivery]\nshutdown_timeout = \"5m\"",
        "[dedup]\nwindow = \"1s\"",
        "[spool]\nmax_bytes = \"64KiB\"",
        "[server]\nmax_body_bytes = \"1KiB\"",
        "[server]\nmax_body_bytes = \"1MiB\"",
    ] {
        assert_eq!(keys_after(line), [""; 0], "{line}");
    }
    for (section, line) in [
        ("delivery", "ack_timeout = \"0s\""),
        ("delivery", "ack_timeout = \"3001ms\""),
        ("delivery", "ack_timeout = 2"),
        ("delivery", "shutdown_timeout = \"0s\""),
        ("delivery", "shutdown_timeout = \"1h\""),
        ("dedup", "window = \"0s\""),
        ("dedup", "max_bytes = 0"),
        ("spool", "max_bytes = 0"),
        ("spool", "max_bytes = -1"),
        ("spool", "path = \"\""),
        ("server", "max_body_bytes = 0"),
        ("server", "max_body_bytes = 1048577"),
        ("log", "level = \"loud\""),
        ("log", "format = \"xml\""),
        ("delivery", "answer_after = \"later\""),
    ] {
        let key = line.split(' ').next().unwrap();
        assert_eq!(keys_after(&format!("[{section}]\n{line}")), [format!("{section}.{key}")], "{line}");
    }
}

#[test]
fn beyond_loopback_the_admin_listener_needs_a_token() {
    for listen in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
        assert_eq!(keys_after(&format!("[admin]\nlisten = {listen:?}")), [""; 0], "{listen}");
    }
    for listen in ["0.0.0.0:1", "10.0.0.1:1", "[::]:1"] {
        assert_eq!(keys_after(&format!("[admin]\nlisten = {listen:?}")), ["admin.token"], "{listen}");
        assert_eq!(keys_after(&format!("[admin]\nlisten = {listen:?}\ntoken = \"x\"")), [""; 0], "{listen}");
        let unreadable = format!("[admin]\nlisten = {listen:?}\ntoken_file = \"/nowhere\"");
        assert_eq!(keys_after(&unreadable), ["admin.token_file"], "one thing wrong is one error");
    }
    assert_eq!(keys_after("[admin]\ntoken = \"a b\""), ["admin.token"]);
}

#[test]
fn the_two_listeners_do_not_take_each_others_port() {
    let both =
        |server: &str, admin: &str| keys_after(&format!("[server]\nlisten = {server:?}\n[admin]\nlisten = {admin:?}"));
    assert_eq!(both("127.0.0.1:9", "127.0.0.1:9"), ["admin.listen"]);
    assert_eq!(both("0.0.0.0:9", "127.0.0.1:9"), ["admin.listen"]);
    assert_eq!(both("127.0.0.1:9", "127.0.0.2:9"), [""; 0]);
    assert_eq!(both("127.0.0.1:0", "127.0.0.1:0"), [""; 0]);
}

#[test]
fn networks_are_addresses_with_or_without_a_length() {
    for key in ["allow_from", "trusted_proxies"] {
        let config =
            load(&format!("{LEAST}[server]\n{key} = [\"10.0.0.0/8\", \"203.0.113.9\", \"2001:db8::/32\"]")).unwrap();
        let printed = format!("{key} = [\"10.0.0.0/8\", \"203.0.113.9/32\", \"2001:db8::/32\"]\n");
        assert!(config.effective().contains(&printed), "{}", config.effective());
        let wrong = format!("[server]\n{key} = [\"10.0.0.0/33\", \"localhost\", \"\"]");
        assert_eq!(keys_after(&wrong), vec![format!("server.{key}"); 3], "one for each");
    }
    let from_environment = load_with(LEAST, &[("CARDHOOK__SERVER__ALLOW_FROM", "10.0.0.0/8,127.0.0.1")], &[]).unwrap();
    assert_eq!(from_environment.server.allow_from.len(), 2);
}

#[test]
fn an_address_of_wechats_api_that_is_wrong_is_not_shown() {
    let api = "[wechat_api]\nbase_url = \"https://user:s3cretPassword@proxy.example/\"";
    let errors = load(&format!("{LEAST}{api}")).unwrap_err();
    assert_eq!(errors[0].key, "wechat_api.base_url");
    assert!(errors[0].problem.contains("without a user") && !errors[0].problem.contains("s3cret"), "{errors:?}");
}

#[test]
fn a_max_age_is_off_or_at_least_a_second() {
    assert_eq!(load(LEAST).unwrap().accounts[0].max_age, None);
    let config = load(&LEAST.replace("name", "max_age = \"48h\"\nname")).unwrap();
    assert_eq!(config.accounts[0].max_age, Some(Duration::from_hours(48)));
    assert!(config.effective().contains("max_age = \"48h\"\n"));
    assert_eq!(keys_with("name", "max_age = \"0s\"\nname"), ["account.shop.max_age"]);
}

#[test]
fn an_app_id_and_an_original_id_are_told_apart_by_their_form() {
    for (line, problem) in [
        ("app_id = \"gh_0123456789ab\"", "is an original id (原始ID)"),
        ("app_id = \"WX5F3C0123456789AB\"", "is no AppID"),
        ("app_id = \"wx5f3c0123456789\"", "is no AppID"),
        ("app_id = \"wx5f3c0123456789ag\"", "is no AppID"),
        ("account_id = \"wx5f3c0123456789ab\"", "is an AppID, which belongs in app_id"),
        ("account_id = \"WX5F3C0123456789AB\"", "is an AppID, which belongs in app_id"),
    ] {
        let errors = load(&LEAST.replace("name", &format!("{line}\nname"))).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].problem.contains(problem), "{errors:?}");
    }
    for line in
        ["app_id = \"wx5f3c0123456789ab\"", "account_id = \"gh_0123456789ab\"", "account_id = \"own_id_of_the_shop\""]
    {
        assert_eq!(keys_with("name", &format!("{line}\nname")), [""; 0], "{line}");
    }
}

#[test]
fn avro_needs_a_registry_and_the_other_formats_have_none() {
    let keys = |lines: &str| keys_with("[kafka]", &format!("[kafka]\n{lines}"));
    let registry = "kafka.schema_registry";
    for (lines, wrong) in [
        ("format = \"json\"", None),
        ("format = \"cloudevents\"", None),
        ("format = \"avro\"\nschema_registry = \"https://u:p@r/apis/ccompat/v7\"", None),
        ("format = \"avro\"", Some(registry)),
        ("format = \"avro\"\nschema_registry = \"r:8081\"", Some(registry)),
        ("schema_registry = \"http://r\"", Some(registry)),
        ("format = \"xml\"", Some("kafka.format")),
    ] {
        assert_eq!(keys(lines), Vec::from_iter(wrong), "{lines}");
    }
}
