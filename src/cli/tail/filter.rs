//! Which events are shown.

use clap::Args;

use super::line::Event;
use crate::event::EventType;

/// Each is repeatable; an event is shown when every filter that is given names its value.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which events (each repeatable)")]
pub(super) struct Filter {
    /// Their `event_type`; `card.*` is all that begin so
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Their account's name
    #[arg(long, value_name = "NAME")]
    account: Vec<String>,
    /// Their `card_id`
    #[arg(long, value_name = "ID")]
    card: Vec<String>,
    /// Their `outer_str`
    #[arg(long, value_name = "TEXT")]
    outer_str: Vec<String>,
    /// Their user
    #[arg(long, value_name = "OPENID")]
    openid: Vec<String>,
}

impl Filter {
    /// Whether no filter holds it back.
    pub(super) fn passes(&self, event: &Event) -> bool {
        let is = |wanted: &[String], field: &str| {
            wanted.is_empty() || event.text(field).is_some_and(|found| wanted.iter().any(|wanted| wanted == found))
        };
        self.has_type(event.text("event_type").unwrap_or_default())
            && is(&self.account, "account")
            && is(&self.card, "card_id")
            && is(&self.outer_str, "outer_str")
            && is(&self.openid, "openid")
    }

    fn has_type(&self, found: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|wanted| names(wanted, found))
    }

    /// Types that name nothing that this release knows: perhaps mistyped. A newer release may write them.
    pub(super) fn unknown_types(&self) -> impl Iterator<Item = &String> {
        let known = || EventType::ALL.iter().map(|row| row.as_str()).chain(["other"]);
        self.types.iter().filter(move |wanted| !known().any(|known| names(wanted, known)))
    }
}

/// Whether a filter's type, or its beginning before a `*`, is that of an event.
fn names(wanted: &str, found: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(begin) => found.starts_with(begin),
        None => found == wanted,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        filter: Filter,
    }

    fn passes(args: &[&str], value: &str) -> bool {
        let line = Line::try_parse_from([&["tail"], args].concat()).unwrap();
        line.filter.passes(&Event::read(value.as_bytes()).unwrap())
    }

    #[test]
    fn a_mistyped_type_is_known_as_such() {
        let args = ["tail", "--type", "card.recieved", "--type", "card.*", "--type", "other", "--type", "gift*"];
        let line = Line::try_parse_from(args).unwrap();
        assert_eq!(line.filter.unknown_types().collect::<Vec<_>>(), ["card.recieved"]);
    }

    #[test]
    fn every_filter_that_is_given_must_name_the_value() {
        let value =
            r#"{"event_type":"card.received","account":"shop","card_id":"p1","outer_str":"poster","openid":"o1"}"#;
        for args in [
            &[][..],
            &["--type", "card.*"],
            &["--type", "gift_card.*", "--type", "card.received"],
            &["--account", "shop", "--card", "p1", "--outer-str", "poster", "--openid", "o1"],
        ] {
            assert!(passes(args, value), "{args:?}");
        }
        for args in [
            &["--type", "card"][..],
            &["--type", "gift_card.*"],
            &["--account", "shop", "--card", "p2"],
            &["--outer-str", ""],
            &["--openid", "o2"],
        ] {
            assert!(!passes(args, value), "{args:?}");
        }
        assert!(!passes(&["--outer-str", "poster"], r#"{"event_type":"card.received","outer_str":null}"#));
    }
}
