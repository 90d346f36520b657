//! What the commands print: with a right configuration, with wrong ones, and with what is given on the command line.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Output, Stdio},
};

use super::{
    ADMIN_TOKEN, KEY_PASSWORD, SASL_PASSWORD, SOON, hang_up, hear_admin,
    hoard::{Hoard, Said},
    traffic::{CODE, OPENID, account},
};
use crate::support::{
    cardhook::{Service, Setup, Topics, run},
    eventually,
    wechat::{Mode, fixture},
};

/// Runs a command; gives what it printed, and lets it be heard.
fn hear(said: &mut Said, args: &[&str]) -> Output {
    let output = run(args);
    said.hear(args.join(" "), [output.stdout.as_slice(), &output.stderr].concat());
    output
}

/// Those that look into the spool and at the configuration while the broker is away.
pub fn beside_a_service(setup: &Setup, said: &mut Said) {
    let config = setup.write().display().to_string();
    assert!(hear(said, &["check", "--print", "--config", &config]).status.success());
    assert!(hear(said, &["spool", "ls", "--config", &config]).status.success());
    assert!(hear(said, &["spool", "verify", "--config", &config]).status.success());
    // Each waits for the broker a while.
    let config = config.as_str();
    let asking = [&["check", "--connect"][..], &["topics", "create"], &["tail"], &["replay"]];
    let asked: Vec<Output> = std::thread::scope(|scope| {
        let threads = asking.map(|command| scope.spawn(move || run(&[command, &["--config", config]].concat())));
        threads.map(|thread| thread.join().unwrap()).into()
    });
    for (command, output) in asking.iter().zip(asked) {
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        said.hear(command.join(" "), [output.stdout, output.stderr].concat());
    }
}

/// Those that read and write topics, the service stopped.
pub fn beside_the_broker(setup: Setup, topics: &Topics, said: &mut Said) {
    let config = setup.write().display().to_string();
    let with = |command: &[&'static str]| [command, &["--config"]].concat();
    for command in [
        &["check", "--connect"][..],
        &["topics", "create", "--replication", "1"],
        &["tail", "--from-beginning", "--until-end"],
        &["tail", "--from-beginning", "--until-end", "--funnel"],
        &["tail", "--from-beginning", "--until-end", "--funnel", "--json", "--topic", "nowhere"],
        &["replay"],
        &["replay", "--reason", "nonce_reused", "--timestamp", "now"],
        &["spool", "ls"],
    ] {
        hear(said, &[&with(command), &[config.as_str()][..]].concat());
    }
    let masked = hear(said, &[&with(&["tail", "--from-beginning", "--until-end"]), &[config.as_str()][..]].concat());
    assert!(String::from_utf8_lossy(&masked.stdout).contains("openid=oHa***A1"));
    let quarantine = ["tail", "--from-beginning", "--until-end", "--config", &config, "--topic", &topics.dlq];
    assert!(hear(said, &quarantine).status.success());

    sends(&setup, said);
    refused_by_the_broker(setup, said);
}

/// Credentials for a broker that knows no SASL, and some that the client itself cannot read.
fn refused_by_the_broker(setup: Setup, said: &mut Said) {
    let sasl = "\"security.protocol\" = \"SASL_PLAINTEXT\"\n\"socket.connection.setup.timeout.ms\" = 1000\n";
    let plain = format!("{sasl}\"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = \"cardhook\"");
    let bearer = format!(
        "{sasl}\"sasl.mechanism\" = \"OAUTHBEARER\"\n\"enable.sasl.oauthbearer.unsecure.jwt\" = true\n\
         \"sasl.oauthbearer.config\" = \"principal=cardhook {KEY_PASSWORD}\""
    );
    let setup = [plain, bearer].iter().fold(setup, |setup, options| {
        let setup = setup.reset("kafka.options", options);
        let config = setup.write().display().to_string();
        assert!(!hear(said, &["check", "--connect", "--config", &config]).status.success());
        setup
    });
    let service = setup.serve_unready();
    assert!(account(Mode::Secure, 2).post(service.public, &fixture("user_get_card")).is_success());
    let is_away = || service.admin("/readyz").body.contains("\"kafka\":false").then_some(());
    eventually("Kafka counts as away", SOON, is_away);
    said.hear("the log of a service without a token", service.log());
}

/// `send`, to a service and to nobody, by a configuration and by files.
fn sends(setup: &Setup, said: &mut Said) {
    let service = setup.serve();
    let config = setup.write().display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let of_files = account(Mode::Secure, 2);
    let [token, aes_key] = [("token", of_files.token), ("aes_key", of_files.aes_key)].map(|(name, secret)| {
        let path = folder.path().join(name);
        std::fs::write(&path, secret).unwrap();
        path.display().to_string()
    });
    let files = ["--token-file", &token, "--aes-key-file", &aes_key, "--app-id", of_files.app_id];
    let event = ["send", "user_get_card", "--openid", OPENID, "--code", CODE, "--url"];
    for host in [service.public.to_string(), "127.0.0.1:1".to_owned()] {
        let url = format!("http://{host}/wechat/secure?shop={CODE}");
        let by_files = hear(said, &[&event[..], &[&url], &files].concat());
        let by_configuration = hear(said, &[&event[..], &[&url, "--config", &config, "--account", "secure"]].concat());
        for output in [by_files, by_configuration] {
            assert_eq!(output.status.success(), host != "127.0.0.1:1", "{host}");
        }
    }
    let swapped = ["--token-file", &aes_key, "--aes-key-file", &token, "--app-id", of_files.app_id];
    assert!(!hear(said, &[&event[..], &["http://127.0.0.1:1/"], &swapped].concat()).status.success());
    hear_admin(&service, said);
    said.hear("the log of a service that was sent to", service.log());
}

/// Configurations that are wrong where a secret stands, by themselves and for a running service.
pub fn wrong_configurations(setup: &Setup, service: &Service, said: &mut Said) {
    let path = setup.write();
    let config = path.display().to_string();
    let right = std::fs::read_to_string(&path).unwrap();
    let secret = account(Mode::Secure, 2);
    let wrong = [
        ("aes_key", right.replace(secret.aes_key, &secret.aes_key[..40])),
        ("aes_key", right.replace(secret.aes_key, &format!("{}==", &secret.aes_key[..41]))),
        ("token", right.replace(secret.token, &format!("{0}{0}", secret.token))),
        ("token", right.replace(secret.token, &format!("{}-卡", secret.token))),
        ("tokne", right.replace("token =", "tokne =")),
        ("admin.token", right.replace(ADMIN_TOKEN, &format!("{ADMIN_TOKEN} {ADMIN_TOKEN}"))),
        ("ssl.key.password", right.replace(KEY_PASSWORD, &format!("{KEY_PASSWORD}\\u0000{KEY_PASSWORD}"))),
        ("ssl.keypassword", right.replace("ssl.key.password", "ssl.keypassword")),
        ("sasl_password", right.replace(SASL_PASSWORD, &format!("{SASL_PASSWORD}\\u0000"))),
        ("sasl_password", right.replace("sasl_password =", "sasl_password_file = \"/nowhere\"\nsasl_password =")),
        ("is not TOML", right.replace(&format!("{SASL_PASSWORD}\""), SASL_PASSWORD)),
        ("is not TOML", right.replace(&format!("\"{}\"", secret.token), secret.token)),
        ("is not TOML", right.replace(&format!("\"{}\"", secret.token), &format!("\"\\{}\"", secret.token))),
    ];
    for (named, text) in wrong {
        assert_ne!(text, right, "{named}");
        std::fs::write(&path, text).unwrap();
        for command in ["serve", "check", "tail"] {
            let output = hear(said, &[command, "--config", &config]);
            assert_eq!(output.status.code(), Some(78), "{named}");
            assert!(String::from_utf8_lossy(&output.stderr).contains(named), "{named}");
        }
        hang_up(service, "the old one stays");
    }
    setup.write();
    for flag in [format!("account.secure.token={}", secret.token), format!("kafka.sasl_password={SASL_PASSWORD}")] {
        assert_eq!(hear(said, &["check", "--config", &config, "--set", &flag]).status.code(), Some(78));
    }
}

#[test]
fn dev_shows_neither_its_secrets_nor_whole_openids_and_codes() {
    let mut dev = Command::new(env!("CARGO_BIN_EXE_cardhook"))
        .arg("dev")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut banner = BufReader::new(dev.stderr.take().unwrap()).lines().map(Result::unwrap);
    let send = banner.find(|line| line.contains("cardhook send ")).unwrap();
    let tail = banner.find(|line| line.contains("cardhook tail ")).unwrap();
    let mut hoard = Hoard::default();
    for flag in ["--token-file ", "--aes-key-file "] {
        let file = send.split(flag).nth(1).unwrap().split(' ').next().unwrap();
        hoard.add(flag, std::fs::read(file).unwrap());
    }
    let mut events = BufReader::new(dev.stdout.take().unwrap());
    let mut shown = String::new();
    for _ in 0..20 {
        events.read_line(&mut shown).unwrap();
    }
    let broker = tail.split("--brokers ").nth(1).unwrap().split(' ').next().unwrap();
    let topic = ["--topic", "wechat.card.events", "--from-beginning", "--until-end", "--json"];
    let values = run(&[&["tail", "--brokers", broker][..], &topic].concat());
    let values = String::from_utf8(values.stdout).unwrap();
    for value in values.lines().take(20).map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
        for personal in ["openid", "code", "friend_openid", "old_code"].iter().filter_map(|name| value[name].as_str()) {
            hoard.add("what is personal", personal);
        }
    }
    Command::new("kill").args(["-TERM", &dev.id().to_string()]).status().unwrap();
    eventually("dev ends", SOON, || dev.try_wait().unwrap());
    events.read_to_string(&mut shown).unwrap();
    let mut said = Said::default();
    said.hear("dev's events", &shown);
    said.hear("what dev offers", send + &tail);
    banner.for_each(|line| said.hear("dev's log", line));
    assert_eq!(said.betrayed(&hoard), Vec::<String>::new());
    assert!(hoard.found_in(values.as_bytes()).contains(&"what is personal in clear".to_owned()));
}
