//! Character data of one element: joining its pieces, line ends, and trimming what is outside CDATA.

use std::borrow::Cow;

/// What contract §1.2 calls white space.
pub(in crate::protocol) const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

pub(super) fn is_blank(character: char) -> bool {
    BLANKS.contains(&character)
}

/// CRLF and CR as LF (XML 1.0 §2.11).
pub(super) fn normalised(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")) } else { text }
}

/// What has been read of an element's text. Borrows as long as it is one piece of the input.
#[derive(Default)]
pub(super) struct CharacterData<'a> {
    text: Cow<'a, str>,
    /// Blanks outside CDATA behind `text`: they belong to it only when more follows.
    blanks: Cow<'a, str>,
}

impl<'a> CharacterData<'a> {
    pub(super) fn push_text(&mut self, piece: Cow<'a, str>) {
        match piece {
            Cow::Borrowed(piece) => {
                let (solid, blanks) = self.split(piece);
                self.push_section(Cow::Borrowed(solid));
                append(&mut self.blanks, Cow::Borrowed(blanks));
            }
            Cow::Owned(piece) => {
                let (solid, blanks) = self.split(&piece);
                self.push_section(Cow::Owned(solid.to_owned()));
                append(&mut self.blanks, Cow::Owned(blanks.to_owned()));
            }
        }
    }

    pub(super) fn push_section(&mut self, piece: Cow<'a, str>) {
        if self.text.is_empty() {
            // Without text there are no blanks behind it.
            self.text = piece;
        } else if !piece.is_empty() {
            append(&mut self.text, std::mem::take(&mut self.blanks));
            append(&mut self.text, piece);
        }
    }

    /// A resolved reference is text like any other: a blank at either end is trimmed.
    pub(super) fn push_character(&mut self, character: char) {
        self.push_text(Cow::Owned(character.to_string()));
    }

    pub(super) fn finish(self) -> Cow<'a, str> {
        self.text
    }

    /// `piece` without the blanks that are trimmed whatever follows, and the blanks at its end.
    fn split<'p>(&self, piece: &'p str) -> (&'p str, &'p str) {
        let piece = if self.text.is_empty() { piece.trim_start_matches(BLANKS) } else { piece };
        piece.split_at(piece.trim_end_matches(BLANKS).len())
    }
}

fn append<'a>(text: &mut Cow<'a, str>, piece: Cow<'a, str>) {
    if text.is_empty() {
        *text = piece;
    } else if !piece.is_empty() {
        text.to_mut().push_str(&piece);
    }
}
