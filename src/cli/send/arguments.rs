//! What to send and how fast: the flags of `send` into a plan.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;

use super::target::TargetArgs;
use crate::{
    cli::{
        Usage,
        simulator::{Target, wechat_event},
    },
    event::EventType,
    protocol::{Document, Value},
};

const CARD_ID: &str = "pSIM_a_card_of_the_simulator";

/// Post events as WeChat does: a simulator
#[derive(Debug, Args)]
#[command(after_help = "Several EVENTs are one customer's journey: same openid, card and code, one after the other.

Examples:
  cardhook send user_get_card --config cardhook.toml --outer-str poster-7
  cardhook send card.received card.consumed --config cardhook.toml --account shop --count 1000 --rate 200
  cardhook send user_get_card --set IsGiveByFriend=1 --set OutetStr= --config cardhook.toml
  cardhook send --file body.xml --url https://shop.example/wechat/shop \\
      --token-file token --aes-key-file aes_key --app-id wx0123456789abcdef --mode secure")]
pub(in crate::cli) struct SendArgs {
    /// WeChat's `Event` (`user_get_card`) or cardhook's `event_type` (`card.received`)
    #[arg(value_name = "EVENT", required_unless_present = "file")]
    events: Vec<String>,
    /// A clear body to send as it is, encrypted as the mode says (repeatable)
    #[arg(long, value_name = "BODY.xml")]
    file: Vec<PathBuf>,
    /// How often to send each EVENT and file
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Pushes a second; as fast as they are answered when not given
    #[arg(long, value_name = "PER_SECOND", value_parser = interval)]
    rate: Option<Duration>,
    /// Pushes under way at the same time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=4096))]
    connections: u64,
    /// Keep connections open; WeChat opens one for every push
    #[arg(long)]
    keep_alive: bool,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    fields: FieldArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What (without them every event has a user and a code of its own)")]
struct FieldArgs {
    /// `OuterStr`, in events that have one
    #[arg(long, value_name = "TEXT")]
    outer_str: Option<String>,
    /// `FromUserName`
    #[arg(long)]
    openid: Option<String>,
    /// `CardId`
    #[arg(long, value_name = "ID")]
    card_id: Option<String>,
    /// `UserCardCode`
    #[arg(long)]
    code: Option<String>,
    /// Sets the text of an element, or adds one (repeatable)
    #[arg(long, value_name = "Tag=value", value_parser = tag_and_value)]
    set: Vec<(String, String)>,
}

impl FieldArgs {
    /// The first flag that is given.
    fn given(&self) -> Option<&'static str> {
        [
            ("--outer-str", self.outer_str.is_some()),
            ("--openid", self.openid.is_some()),
            ("--card-id", self.card_id.is_some()),
            ("--code", self.code.is_some()),
            ("--set", !self.set.is_empty()),
        ]
        .into_iter()
        .find_map(|(flag, given)| given.then_some(flag))
    }
}

/// One of the things that a round sends.
#[derive(Debug)]
pub(super) enum Content {
    /// An event of the simulator's.
    Event(EventType),
    /// A file, as it is.
    File {
        xml: Vec<u8>,
        /// What the envelope says, as the body does.
        to_user: Option<String>,
        /// What the query says, as the body does.
        openid: Option<String>,
    },
}

/// Everything that sending needs to know.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) target: Target,
    pub(super) contents: Vec<Content>,
    /// Rounds: how often the contents are sent.
    pub(super) count: u64,
    /// From one push to the next.
    pub(super) interval: Option<Duration>,
    pub(super) connections: u64,
    pub(super) keep_alive: bool,
    pub(super) openid: Option<String>,
    pub(super) card_id: String,
    pub(super) code: Option<String>,
    pub(super) outer_str: Option<String>,
    pub(super) set: Vec<(String, String)>,
}

impl SendArgs {
    /// Reads the files that the flags name.
    ///
    /// # Errors
    /// An unknown event, flags that do not fit together, or a file that cannot be read.
    pub(super) fn plan(&self) -> anyhow::Result<Plan> {
        let events = self.events.iter().map(|name| event(name).map(Content::Event));
        let files = self.file.iter().map(|path| file(path));
        let fields = &self.fields;
        if self.events.is_empty()
            && let Some(flag) = fields.given()
        {
            let problem =
                format!("{flag} changes EVENTs, and a --file is sent as it is: change the file, or name an EVENT");
            return Err(Usage(problem).into());
        }
        Ok(Plan {
            contents: events.chain(files).collect::<anyhow::Result<_>>()?,
            target: self.target.target()?,
            count: self.count,
            interval: self.rate,
            connections: self.connections,
            keep_alive: self.keep_alive,
            openid: fields.openid.clone(),
            card_id: fields.card_id.clone().unwrap_or_else(|| CARD_ID.to_owned()),
            code: fields.code.clone(),
            outer_str: fields.outer_str.clone(),
            set: fields.set.clone(),
        })
    }
}

fn event(name: &str) -> anyhow::Result<EventType> {
    EventType::of_name(name).ok_or_else(|| {
        let known = EventType::ALL.iter().map(|row| format!("  {:<30} {}", wechat_event(*row), row.as_str()));
        Usage(format!("{name} is no event. There are:\n{}", known.collect::<Vec<_>>().join("\n"))).into()
    })
}

fn file(path: &Path) -> anyhow::Result<Content> {
    let xml = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    // What cannot be read is sent all the same: the receiver is to be tried with it.
    let document = Document::parse(&xml).ok();
    let text = |tag: &str| {
        let children = document.iter().flat_map(|document| &document.children);
        let mut same = children.filter(|child| child.tag.eq_ignore_ascii_case(tag));
        match &same.next()?.value {
            Value::Text(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Elements(_) => None,
        }
    };
    let (to_user, openid) = (text("ToUserName"), text("FromUserName"));
    drop(document);
    Ok(Content::File { xml, to_user, openid })
}

fn tag_and_value(text: &str) -> Result<(String, String), String> {
    let (tag, value) = text.split_once('=').ok_or("expected Tag=value")?;
    let mut letters = tag.chars();
    let named = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if named { Ok((tag.to_owned(), value.to_owned())) } else { Err(format!("{tag:?} is no XML tag")) }
}

fn interval(rate: &str) -> Result<Duration, String> {
    let rate: f64 = rate.parse().map_err(|_| "expected a number")?;
    if (0.001..=1_000_000.0).contains(&rate) {
        Ok(Duration::from_secs_f64(1.0 / rate))
    } else {
        Err("expected 0.001 to 1000000".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_must_be_one_and_a_value_may_be_anything() {
        assert_eq!(tag_and_value("Memo=a=b"), Ok(("Memo".to_owned(), "a=b".to_owned())));
        assert_eq!(tag_and_value("OutetStr="), Ok(("OutetStr".to_owned(), String::new())));
        assert!(tag_and_value("Memo").is_err());
        assert!(tag_and_value("</xml>=x").is_err());
        assert!(tag_and_value("=x").is_err());
    }

    #[test]
    fn a_rate_is_an_interval() {
        assert_eq!(interval("200"), Ok(Duration::from_millis(5)));
        assert!(interval("0").is_err() && interval("-1").is_err() && interval("inf").is_err());
    }

    #[test]
    fn what_changes_events_does_not_stand_beside_files_alone() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            send: SendArgs,
        }
        for (flag, value) in
            [("--set", "OuterStr=x"), ("--outer-str", "x"), ("--openid", "o"), ("--card-id", "p"), ("--code", "1")]
        {
            let args = ["send", "--file", "/dev/null", "--url", "http://x/", "--token-file", "/dev/null", flag, value];
            let line = <Line as clap::Parser>::try_parse_from(args).unwrap();
            let error = line.send.plan().unwrap_err().to_string();
            assert!(error.contains(flag) && error.contains("--file"), "{error}");
        }
        let ftp = ["send", "card.received", "--url", "ftp://x/", "--token-file", "/dev/null"];
        assert!(<Line as clap::Parser>::try_parse_from(ftp).is_err_and(|error| error.to_string().contains("https://")));
    }

    #[test]
    fn an_unknown_event_names_those_that_there_are() {
        let error = event("user_eats_card").unwrap_err().to_string();
        assert!(error.contains("user_get_card") && error.contains("card.received"));
    }
}
