//! A JSON value as one line, for every reader's idea of a line.
//!
//! JSON allows U+0085, U+2028 and U+2029 in a string as they are, and some readers of lines (Python's `splitlines`, old
//! JavaScript) end a line there. Does not depend on what the value says.

use std::borrow::Cow;

/// Line ends that are more than one byte of UTF-8, and how JSON escapes them.
const LINE_ENDS: [(&[u8], &[u8]); 3] =
    [("\u{85}".as_bytes(), b"\\u0085"), ("\u{2028}".as_bytes(), b"\\u2028"), ("\u{2029}".as_bytes(), b"\\u2029")];

/// `json`, with these line ends escaped: in JSON they can only stand in strings.
pub(super) fn json_line(json: &[u8]) -> Cow<'_, [u8]> {
    // Both bytes begin other characters too; most values have neither.
    if !json.iter().any(|byte| matches!(byte, 0xC2 | 0xE2)) {
        return Cow::Borrowed(json);
    }
    let mut line = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some((first, behind)) = rest.split_first() {
        if let Some((after, escape)) =
            LINE_ENDS.iter().find_map(|(end, escape)| Some((rest.strip_prefix(*end)?, escape)))
        {
            line.extend_from_slice(escape);
            rest = after;
        } else {
            line.push(*first);
            rest = behind;
        }
    }
    Cow::Owned(line)
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
