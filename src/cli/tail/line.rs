//! An event as one line for people: openid and code masked.

use std::fmt::{self, Display};

use serde::Deserialize;

use crate::{
    cli::mask::mask,
    event::{CardCode, OpenId},
};

/// The fields of contract §1.2 that a line or the funnel shows.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of contract §1.2")]
pub(super) struct Event {
    event_time: String,
    pub(super) event_type: String,
    openid: Option<OpenId>,
    pub(super) code: Option<CardCode>,
    pub(super) old_code: Option<CardCode>,
    pub(super) card_id: Option<String>,
    pub(super) outer_str: Option<String>,
}

impl Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:<22} openid={} code={} card_id={} outer_str={}",
            printable(&self.event_time),
            printable(&self.event_type),
            shown(self.openid.as_ref().map(|openid| mask(openid.as_str()))),
            shown(self.code.as_ref().map(|code| mask(code.as_str()))),
            shown(self.card_id.as_deref()),
            shown(self.outer_str.as_deref()),
        )
    }
}

fn shown(field: Option<impl AsRef<str>>) -> String {
    field.map_or_else(|| "-".to_owned(), |text| printable(text.as_ref()))
}

/// What users and campaigns wrote must not steer the terminal: control characters and line ends are escaped.
pub(super) fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, c| {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
        line
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_masks_what_is_personal_and_shows_the_rest() {
        let value = br#"{"event_time":"2026-08-30T10:24:02Z","event_type":"card.received","openid":"oTEST-aBcDeFgHiJkLmNoPqRsT",
            "code":"012345678901","card_id":"pTEST-card","outer_str":"poster \"7\"\u001b[2J\u2028","extra":{}}"#;
        let event: Event = serde_json::from_slice(value).unwrap();
        assert_eq!(
            event.to_string(),
            "2026-08-30T10:24:02Z card.received          openid=oTE***sT code=012***01 card_id=pTEST-card \
             outer_str=poster \"7\"\\u{1b}[2J\\u{2028}"
        );
    }

    #[test]
    fn absent_and_null_fields_are_dashes() {
        let value =
            br#"{"event_time":"2026-08-30T10:24:02Z","event_type":"card.approved","openid":null,"card_id":"p1"}"#;
        let event: Event = serde_json::from_slice(value).unwrap();
        assert!(event.to_string().ends_with("openid=- code=- card_id=p1 outer_str=-"));
    }
}
