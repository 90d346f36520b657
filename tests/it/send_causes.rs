//! `cardhook send` says why there is no answer.

use std::net::{SocketAddr, TcpListener};

use crate::support::{
    cardhook::{Setup, run},
    wechat::{Account, Mode},
};

/// The line about answers, of one event sent to a URL.
pub fn answer_of(url: &str) -> String {
    let account = Account::of(Mode::Plaintext);
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, account.token).unwrap();
    let token = token.display().to_string();
    let output = run(&["send", "user_get_card", "--url", url, "--token-file", &token, "--mode", "plaintext"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said.lines().find_map(|line| line.strip_prefix("answer")).unwrap().trim().to_owned()
}

fn unused_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_missing_answer_is_told_with_its_cause() {
    let service = Setup::without_brokers().serve();
    let public = service.public;
    for (url, said) in [
        ("http://no-such-name.invalid/wechat/shop".to_owned(), "none: name not found ("),
        (format!("http://{}/wechat/shop", unused_port()), "none: connection refused ("),
        (format!("https://{public}/wechat/shop"), "none: TLS failed ("),
        (format!("http://{public}/wechat/shop"), "404 (the URL's path is not that of an account"),
    ] {
        let answer = answer_of(&url);
        assert!(answer.starts_with(said) && answer.ends_with(": 4"), "{url}: {answer}");
    }
}
