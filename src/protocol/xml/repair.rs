//! Bytes that are not UTF-8, and characters that XML forbids, read as U+FFFD (contract §1.2): one odd character does not cost
//! a push.
//!
//! Each maximal part of a broken UTF-8 sequence becomes one U+FFFD, as `String::from_utf8_lossy` does it (Unicode 3.9, U+FFFD
//! substitution of maximal subparts). Does not depend on where in the document a character stands: the parser asks.

use std::ops::Range;

/// A document that XML allows, and where it had to be repaired.
pub(super) struct Repaired {
    pub(super) text: String,
    /// Byte offsets in `text` of every U+FFFD that was put in, ascending.
    pub(super) odd: Vec<usize>,
}

/// Whether XML allows each character (XML 1.0 §2.2).
pub(super) fn is_clean(source: &str) -> bool {
    // No early end, so that many bytes are looked at together.
    let control = |byte: u8| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
    let controls = source.bytes().fold(false, |found, byte| found | control(byte));
    !controls && (source.is_ascii() || !source.contains(['\u{FFFE}', '\u{FFFF}']))
}

/// Whether XML allows this character (XML 1.0 §2.2).
pub(super) fn is_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// Whether bytes are a document in UTF-16 or UTF-32: text in which every other byte is odd is not repaired.
pub(super) fn is_utf_16(xml: &[u8]) -> bool {
    [b"\xFF\xFE".as_slice(), b"\xFE\xFF", b"<\0", b"\0<", b"\0\0"].iter().any(|start| xml.starts_with(start))
}

/// Puts U+FFFD in the place of what is odd.
pub(super) fn repair(xml: &[u8]) -> Repaired {
    let mut repaired = Repaired { text: String::with_capacity(xml.len()), odd: Vec::new() };
    for chunk in xml.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_character(character) {
                repaired.text.push(character);
            } else {
                repaired.push_odd();
            }
        }
        if !chunk.invalid().is_empty() {
            repaired.push_odd();
        }
    }
    repaired
}

impl Repaired {
    fn push_odd(&mut self) {
        self.odd.push(self.text.len());
        self.text.push(char::REPLACEMENT_CHARACTER);
    }
}

/// References within a child's inner XML that were repaired: the bytes of each, and its character.
pub(super) type Replacements = Vec<(Range<usize>, char)>;

/// The part of `source` that `range` is, with the replacements that lie in it.
pub(super) fn replaced(source: &str, range: Range<usize>, replacements: Replacements) -> String {
    let mut text = String::with_capacity(range.len());
    let mut from = range.start;
    for (reference, character) in replacements {
        text.push_str(source.get(from..reference.start).unwrap_or_default());
        text.push(character);
        from = reference.end;
    }
    text.push_str(source.get(from..range.end).unwrap_or_default());
    text
}
