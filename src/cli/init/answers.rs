//! What the configuration is made of: from flags, and from questions for the rest.

use std::io::{BufRead, Write as _};

use clap::Args;

use super::{super::Usage, Language};

/// What flags say.
#[derive(Debug, Args)]
pub(super) struct Given {
    /// The account's name, a part of its path: 1 to 32 of a-z, 0-9 and -
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// The account's AppID, from WeChat's console
    #[arg(long, value_name = "wx…")]
    app_id: Option<String>,
    /// How WeChat pushes: secure, compat or plaintext
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// The Kafka brokers, `host:port` separated by commas; "" for none: the spool is the store
    #[arg(long, value_name = "LIST")]
    brokers: Option<String>,
    /// The URL at which WeChat reaches this server, without the account's path
    #[arg(long, value_name = "https://…")]
    public_url: Option<String>,
}

/// All that the files and the page need.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) account: String,
    pub(super) app_id: String,
    pub(super) mode: String,
    pub(super) brokers: Vec<String>,
    /// Without a slash at its end.
    pub(super) public_url: String,
}

/// Stands in the page where nobody has said the real one.
const SOME_URL: &str = "https://your.domain";

impl Answers {
    /// Asks for what is missing, unless `silent`.
    pub(super) fn complete(
        given: &Given,
        silent: bool,
        language: Language,
        input: &mut dyn BufRead,
    ) -> anyhow::Result<Self> {
        let mut ask = |flag: &Option<String>, question: &str, default: &str| match flag {
            Some(answer) => Ok(answer.clone()),
            None if silent => Ok(default.to_owned()),
            None => answer(question, default, input),
        };
        let account = ask(&given.account, language.say("Name of the account", "公众号的名称（用作路径）"), "shop")?;
        let mode = ask(
            &given.mode,
            language.say(
                "Mode: secure (安全模式), compat, plaintext",
                "消息加解密方式：secure（安全模式）、compat、plaintext",
            ),
            "secure",
        )?;
        let app_id = ask(&given.app_id, language.say("AppID (wx…)", "AppID（wx…）"), "")?;
        let brokers = ask(
            &given.brokers,
            language.say("Kafka brokers, host:port,…", "Kafka broker，host:port，以逗号分隔"),
            "127.0.0.1:9092",
        )?;
        let url =
            ask(&given.public_url, language.say("Public URL of this server", "微信访问本服务器的公网地址"), SOME_URL)?;
        if app_id.is_empty() && mode != "plaintext" {
            return Err(Usage(format!("mode {mode} needs the account's AppID: --app-id wx…")).into());
        }
        let brokers = brokers.split(',').map(str::trim).filter(|broker| !broker.is_empty()).map(str::to_owned);
        Ok(Self { account, app_id, mode, brokers: brokers.collect(), public_url: public_url(&url)? })
    }
}

fn public_url(url: &str) -> Result<String, Usage> {
    let base = url.trim_end_matches('/');
    match base.strip_prefix("https://").or_else(|| base.strip_prefix("http://")) {
        Some(rest) if !rest.is_empty() && !rest.contains(['/', '?', '#', ' ']) => Ok(base.to_owned()),
        Some(_) | None => Err(Usage(format!(
            "--public-url {url:?}: expected scheme and host only, such as https://your.domain; the path is the account's"
        ))),
    }
}

/// One question on standard error, one line from `input`.
fn answer(question: &str, default: &str, input: &mut dyn BufRead) -> anyhow::Result<String> {
    let mut stderr = std::io::stderr().lock();
    if default.is_empty() {
        write!(stderr, "{question}: ")?;
    } else {
        write!(stderr, "{question} [{default}]: ")?;
    }
    stderr.flush()?;
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        writeln!(stderr)?;
        return Err(Usage(format!("no answer to: {question} (give it as a flag, or --yes for the defaults)")).into());
    }
    let line = line.trim();
    Ok(if line.is_empty() { default.to_owned() } else { line.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Given {
        Given { account: None, app_id: None, mode: None, brokers: None, public_url: None }
    }

    fn complete(given: &Given, silent: bool, typed: &str) -> anyhow::Result<Answers> {
        Answers::complete(given, silent, Language::En, &mut typed.as_bytes())
    }

    #[test]
    fn an_empty_line_takes_the_default_and_flags_are_not_asked_for() {
        let given = Given { app_id: Some("wx0123456789abcdef".to_owned()), ..nothing() };
        let answers = complete(&given, false, "\n\n a:1, b:2 ,\nhttps://shop.example/\n").unwrap();
        assert_eq!((answers.account.as_str(), answers.mode.as_str()), ("shop", "secure"));
        assert_eq!(answers.brokers, ["a:1", "b:2"]);
        assert_eq!(answers.public_url, "https://shop.example");
    }

    #[test]
    fn input_that_ends_and_a_missing_app_id_are_usage_errors() {
        for (silent, typed) in [(false, ""), (true, "")] {
            let error = complete(&nothing(), silent, typed).unwrap_err();
            assert!(error.is::<Usage>(), "{error}");
        }
        let plaintext = Given { mode: Some("plaintext".to_owned()), ..nothing() };
        assert!(complete(&plaintext, true, "").is_ok());
    }

    #[test]
    fn a_public_url_is_scheme_and_host() {
        for wrong in ["your.domain", "https://", "https://a/wechat/shop", "https://a?b", "ftp://a"] {
            assert!(public_url(wrong).is_err(), "{wrong}");
        }
        assert_eq!(public_url("http://a:8080/").unwrap(), "http://a:8080");
    }
}
