//! From pieces to a document's children: what is well-formed, where the bounds are, what belongs to which child.
//!
//! Does not depend on how odd bytes are repaired: its caller says where that was done.

use std::borrow::Cow;

use memchr::memchr;

use super::{
    BLANKS, Child, Document, USUAL_CHILDREN, Value, XmlError,
    markup::{attributes_read, declared_encoding, is_name, is_utf_8, number, resolve},
    repair::{Replacements, replaced},
    scan::{Piece, Scanner},
    text::{CharacterData, is_blank, normalised},
};

/// The root is the first level.
const MAX_DEPTH: usize = 8;
/// The root is counted.
const MAX_ELEMENTS: usize = 256;
/// The level of the root's direct children.
const CHILD: usize = 2;

/// Reads one document.
pub(super) struct Parser<'a> {
    source: &'a str,
    /// Where U+FFFD was put into `source`, ascending.
    odd: &'a [usize],
    repaired: bool,
    /// Whether a CR stands anywhere, so that line ends are to be looked at.
    returns: bool,
    scanner: Scanner<'a>,
    /// Where the piece in hand begins.
    at: usize,
    /// The names of the elements that are open, and how many they are.
    names: [&'a str; MAX_DEPTH],
    depth: usize,
    elements: usize,
    markup_seen: bool,
    children: Vec<Child<'a>>,
    open: Option<OpenChild<'a>>,
}

struct OpenChild<'a> {
    tag: &'a str,
    content_at: usize,
    text: CharacterData<'a>,
    has_elements: bool,
    /// For its inner XML.
    replacements: Replacements,
}

impl<'a> Parser<'a> {
    pub(super) fn new(source: &'a str, odd: &'a [usize]) -> Self {
        let children = Vec::with_capacity(USUAL_CHILDREN);
        let (repaired, returns) = (!odd.is_empty(), memchr(b'\r', source.as_bytes()).is_some());
        Self {
            source,
            odd,
            repaired,
            returns,
            scanner: Scanner::new(source),
            at: 0,
            names: [""; MAX_DEPTH],
            depth: 0,
            elements: 0,
            markup_seen: false,
            children,
            open: None,
        }
    }

    pub(super) fn document(mut self) -> Result<Document<'a>, XmlError> {
        while let Some(piece) = self.next()? {
            self.refuse_odd_markup(piece)?;
            match piece {
                Piece::Start { name, attributes, empty } => {
                    self.open(name, attributes)?;
                    if empty {
                        self.close(name, self.position())?;
                    }
                }
                Piece::End { name } => self.close(name, self.at)?,
                Piece::Text(text) => self.text(text)?,
                Piece::Section(section) => {
                    let section = self.lines(section);
                    self.character_data(|text| text.push_section(section))?;
                }
                Piece::Reference(reference) => match resolve(reference) {
                    Some(character) => self.character_data(|text| text.push_character(character))?,
                    None => self.odd_reference(reference)?,
                },
                // XML 1.0 §2.5
                Piece::Comment(comment) if !comment.contains("--") && !comment.ends_with('-') => {}
                Piece::Comment(_) | Piece::Ampersand => return Err(self.not_well_formed()),
                Piece::Declaration(declared) => self.declaration(declared)?,
                Piece::Instruction => return Err(XmlError::ProcessingInstruction),
                Piece::Doctype => return Err(XmlError::Doctype),
            }
            self.markup_seen |= !matches!(piece, Piece::Text(_));
        }
        if !self.root_closed() {
            return Err(self.not_well_formed());
        }
        Ok(Document { children: self.children, text_repaired: self.repaired })
    }

    fn next(&mut self) -> Result<Option<Piece<'a>>, XmlError> {
        self.at = self.position();
        self.scanner.next().map_err(|_| self.not_well_formed())
    }

    /// Odd characters are repaired in character data, and read past in comments.
    fn refuse_odd_markup(&self, piece: Piece<'_>) -> Result<(), XmlError> {
        let markup = match piece {
            Piece::Start { .. } | Piece::End { .. } | Piece::Declaration(_) | Piece::Instruction | Piece::Doctype => {
                true
            }
            Piece::Text(_) | Piece::Section(_) | Piece::Comment(_) | Piece::Reference(_) | Piece::Ampersand => false,
        };
        if markup && !self.odd.is_empty() {
            let next = self.odd.get(self.odd.partition_point(|odd| *odd < self.at));
            if next.is_some_and(|odd| *odd < self.position()) {
                return Err(XmlError::Character { at: self.at });
            }
        }
        Ok(())
    }

    /// A reference that XML does not know is its own text; the number of a character that XML forbids is U+FFFD, unless it is
    /// the first half of a surrogate pair and the reference behind it the second.
    fn odd_reference(&mut self, reference: &str) -> Result<(), XmlError> {
        self.repaired = true;
        let start = self.at;
        let Some(unit) = number(reference) else {
            return self.text(self.source.get(start..self.position()).unwrap_or_default());
        };
        let character = match self.pair(unit) {
            Some(character) => {
                self.scanner.next().map_err(|_| self.not_well_formed())?;
                character
            }
            None => char::REPLACEMENT_CHARACTER,
        };
        let end = self.position();
        if let Some(child) = &mut self.open {
            child.replacements.push((start..end, character));
        }
        self.character_data(|text| text.push_character(character))
    }

    /// The character of a surrogate pair whose first half was read just now.
    fn pair(&self, high: u32) -> Option<char> {
        let (next, _) = self.source.get(self.position()..)?.strip_prefix('&')?.split_once(';')?;
        let units = [u16::try_from(high).ok()?, u16::try_from(number(next)?).ok()?];
        // Two halves only: the first alone is an error, the second alone cannot follow it.
        char::decode_utf16(units).next()?.ok().filter(|pair| pair.len_utf16() == units.len())
    }

    fn declaration(&self, declared: &str) -> Result<(), XmlError> {
        let encoding = Some(declared).filter(|_| !self.markup_seen).and_then(declared_encoding);
        let encoding = encoding.ok_or_else(|| self.not_well_formed())?;
        if is_utf_8(encoding) { Ok(()) } else { Err(XmlError::Encoding) }
    }

    fn open(&mut self, tag: &'a str, attributes: &str) -> Result<(), XmlError> {
        if !is_name(tag) || self.root_closed() || !attributes_read(attributes) {
            return Err(self.not_well_formed());
        }
        let Some(name) = self.names.get_mut(self.depth) else { return Err(XmlError::TooDeep { limit: MAX_DEPTH }) };
        *name = tag;
        self.depth += 1;
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(XmlError::TooManyElements { limit: MAX_ELEMENTS });
        }
        if self.depth == CHILD {
            let (content_at, text) = (self.position(), CharacterData::default());
            self.open = Some(OpenChild { tag, content_at, text, has_elements: false, replacements: Vec::new() });
        } else if let Some(child) = &mut self.open {
            child.has_elements = true;
        }
        Ok(())
    }

    /// Closes the innermost element, whose content ends at `content_end`.
    fn close(&mut self, name: &str, content_end: usize) -> Result<(), XmlError> {
        let innermost = self.depth.checked_sub(1).and_then(|open| self.names.get(open));
        if innermost.is_none_or(|innermost| *innermost != name) {
            return Err(self.not_well_formed());
        }
        if self.depth == CHILD
            && let Some(child) = self.open.take()
        {
            let content = child.content_at..content_end;
            let value = if child.has_elements && child.replacements.is_empty() {
                let inner = self.source.get(content).unwrap_or_default();
                Value::Elements(Cow::Borrowed(inner.trim_matches(BLANKS)))
            } else if child.has_elements {
                let inner = replaced(self.source, content, child.replacements);
                Value::Elements(Cow::Owned(inner.trim_matches(BLANKS).to_owned()))
            } else {
                Value::Text(child.text.finish())
            };
            self.children.push(Child { tag: Cow::Borrowed(child.tag), value });
        }
        self.depth -= 1;
        Ok(())
    }

    fn text(&mut self, text: &'a str) -> Result<(), XmlError> {
        if self.depth == 0 && text.chars().all(is_blank) {
            return Ok(());
        }
        // The end of a CDATA section is forbidden in text; the search for one byte is the quick one.
        if text.contains(']') && text.contains("]]>") {
            return Err(self.not_well_formed());
        }
        let text = self.lines(text);
        self.character_data(|data| data.push_text(text))
    }

    /// With line ends as XML has them.
    fn lines(&self, text: &'a str) -> Cow<'a, str> {
        if self.returns { normalised(Cow::Borrowed(text)) } else { Cow::Borrowed(text) }
    }

    fn character_data(&mut self, push: impl FnOnce(&mut CharacterData<'a>)) -> Result<(), XmlError> {
        match &mut self.open {
            Some(child) if self.depth == CHILD => push(&mut child.text),
            _ if self.depth == 0 => return Err(self.not_well_formed()),
            _ => {}
        }
        Ok(())
    }

    fn root_closed(&self) -> bool {
        self.depth == 0 && self.elements > 0
    }

    fn position(&self) -> usize {
        self.scanner.position()
    }

    fn not_well_formed(&self) -> XmlError {
        XmlError::NotWellFormed { at: self.at }
    }
}
