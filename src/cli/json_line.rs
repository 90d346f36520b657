//! A JSON value as one line, for every reader's idea of a line, and without what steers a terminal.
//!
//! JSON allows U+0085, U+2028 and U+2029 in a string as they are, and some readers of lines (Python's `splitlines`, old
//! JavaScript) end a line there. Does not depend on what the value says.

use std::{borrow::Cow, fmt::Write as _};

/// `json`, with line ends and control characters escaped: in JSON they can only stand in strings. Borrowed when there are none.
pub(super) fn json_line(json: &[u8]) -> Cow<'_, [u8]> {
    let is_plain = |byte: &u8| !matches!(byte, 0x7F | 0xC2 | 0xE2);
    // Both lead bytes begin other characters too; most values have neither.
    if json.iter().all(is_plain) {
        return Cow::Borrowed(json);
    }
    let Ok(text) = std::str::from_utf8(json) else { return Cow::Borrowed(json) };
    if !text.contains(ends_or_steers) {
        return Cow::Borrowed(json);
    }
    let mut line = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if ends_or_steers(c) {
            let _ = write!(line, "\\u{:04x}", u32::from(c));
        } else {
            line.push(c);
        }
    }
    Cow::Owned(line.into_bytes())
}

/// Whether some reader ends a line there, or a terminal takes it for a command. JSON itself escapes what is below U+0020.
fn ends_or_steers(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_within_strings_are_escaped_and_read_back() {
        let value = serde_json::json!({ "a\u{2028}": "卡券\u{85}â\u{2029}b", "c": "Â" });
        let json = serde_json::to_vec(&value).unwrap();
        let line = json_line(&json);
        let text = std::str::from_utf8(&line).unwrap();
        assert!(!text.contains(['\u{85}', '\u{2028}', '\u{2029}']) && text.contains("\\u2028"), "{text}");
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&line).unwrap(), value);
    }

    #[test]
    fn what_has_none_is_as_it_was() {
        assert!(matches!(json_line(b"{\"a\":1}"), Cow::Borrowed(b"{\"a\":1}")));
        assert_eq!(json_line("â€ Â".as_bytes()), "â€ Â".as_bytes());
    }
}
