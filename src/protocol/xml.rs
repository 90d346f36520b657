//! WeChat's flat XML, read with bounds: 1 MiB, depth 8, 256 elements, no DOCTYPE; direct children of the root only.
//!
//! What it accepts is well-formed XML 1.0 in UTF-8, and beyond that blanks before the declaration and a repeated attribute.
//! Odd characters in character data are repaired (`repair`), in a tag they are an error.
//! Does not depend on what a tag means. Attributes, comments and character data directly under the root are read past.

mod error;
mod markup;
mod repair;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::fmt;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::evidence::begins_as_json;
use markup::{attributes_read, declared_encoding, is_name, number, resolve};
use repair::{Replacements, is_clean, is_utf_16, repair, replaced};
use text::{CharacterData, is_blank, normalised};

pub use error::XmlError;
pub(super) use text::BLANKS;

/// Bytes of the largest document that is read, and of the largest body that can be configured (`server.max_body_bytes`).
pub const MAX_BYTES: usize = 1024 * 1024;
const BOM: &[u8] = "\u{FEFF}".as_bytes();
/// The root is the first level.
const MAX_DEPTH: usize = 8;
/// The root is counted.
const MAX_ELEMENTS: usize = 256;
/// The level of the root's direct children.
const CHILD: usize = 2;
/// More than WeChat's longest card event has: a list of them is allocated once, or not at all.
pub(crate) const USUAL_CHILDREN: usize = 20;

/// The direct children of a document's root, in document order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document<'a> {
    /// In document order, repeated tags included.
    pub children: Vec<Child<'a>>,
    /// Whether some text was not UTF-8 XML and was repaired (contract §1.2).
    pub text_repaired: bool,
}

/// One direct child of the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child<'a> {
    /// The tag as received.
    pub tag: Cow<'a, str>,
    /// Its content.
    pub value: Value<'a>,
}

/// What a child holds. Debug shows its size only: it is personal.
#[derive(Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// Character data by the rules of contract §1.2: references resolved, blanks around it trimmed, CDATA kept as it is.
    ///
    /// Text and CDATA sections beside each other are joined; blanks outside CDATA at either end of the whole are trimmed, those
    /// between two pieces stay. CRLF and CR are LF.
    Text(Cow<'a, str>),
    /// A child that has elements of its own: its inner XML, trimmed at both ends, otherwise as received.
    Elements(Cow<'a, str>),
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Elements(xml) => write!(f, "Elements({} bytes)", xml.len()),
        }
    }
}

impl<'a> Document<'a> {
    /// Reads a document. Odd text is repaired, as contract §1.2 says; then nothing is borrowed.
    ///
    /// # Errors
    /// What is not well-formed, beyond a bound, in another encoding, or holds a DOCTYPE or a processing instruction.
    pub fn parse(xml: &'a [u8]) -> Result<Self, XmlError> {
        if xml.len() > MAX_BYTES {
            return Err(XmlError::TooLarge { found: xml.len(), limit: MAX_BYTES });
        }
        if begins_as_json(xml) {
            return Err(XmlError::Json);
        }
        let xml = xml.strip_prefix(BOM).unwrap_or(xml);
        match std::str::from_utf8(xml) {
            Ok(source) if is_clean(source) => Parser::new(source, &[]).document(),
            _ if is_utf_16(xml) => Err(XmlError::Encoding),
            Ok(_) | Err(_) => {
                let repaired = repair(xml);
                Parser::new(&repaired.text, &repaired.odd).document().map(Document::into_owned)
            }
        }
    }

    fn into_owned(self) -> Document<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let children = self.children.into_iter().map(|child| Child {
            tag: owned(child.tag),
            value: match child.value {
                Value::Text(text) => Value::Text(owned(text)),
                Value::Elements(inner) => Value::Elements(owned(inner)),
            },
        });
        Document { children: children.collect(), text_repaired: self.text_repaired }
    }

    /// The first child of this tag, compared without regard to ASCII case.
    #[must_use]
    pub fn first(&self, tag: &str) -> Option<&Child<'a>> {
        self.children.iter().find(|child| child.tag.eq_ignore_ascii_case(tag))
    }
}

struct Parser<'a> {
    source: &'a str,
    /// Where U+FFFD was put into `source`, ascending.
    odd: &'a [usize],
    repaired: bool,
    reader: Reader<&'a [u8]>,
    /// Where the event in hand begins.
    at: usize,
    /// How many elements are open.
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
    fn new(source: &'a str, odd: &'a [usize]) -> Self {
        let mut reader = Reader::from_str(source);
        reader.config_mut().enable_all_checks(true);
        let children = Vec::with_capacity(USUAL_CHILDREN);
        let repaired = !odd.is_empty();
        Self { source, odd, repaired, reader, at: 0, depth: 0, elements: 0, markup_seen: false, children, open: None }
    }

    fn document(mut self) -> Result<Document<'a>, XmlError> {
        if self.source.starts_with('\u{FEFF}') {
            // quick-xml would skip it without counting it.
            return Err(self.not_well_formed());
        }
        loop {
            self.at = self.position();
            let event = self.reader.read_event().map_err(|_| self.not_well_formed())?;
            let text = matches!(event, Event::Text(_));
            self.refuse_odd_markup(&event)?;
            match event {
                Event::Start(start) => self.open(&start)?,
                Event::Empty(start) => {
                    self.open(&start)?;
                    self.close(self.position());
                }
                Event::End(_) => self.close(self.at),
                Event::Text(text) => self.text(text.into_inner())?,
                Event::CData(section) => {
                    self.character_data(|text| text.push_section(normalised(section.into_inner())))?;
                }
                Event::GeneralRef(reference) => match resolve(&reference) {
                    Some(character) => self.character_data(|text| text.push_character(character))?,
                    None => self.odd_reference(&reference)?,
                },
                Event::Comment(_) => {}
                Event::Decl(_) => self.declaration()?,
                Event::PI(_) => return Err(XmlError::ProcessingInstruction),
                Event::DocType(_) => return Err(XmlError::Doctype),
                Event::Eof if self.root_closed() => {
                    return Ok(Document { children: self.children, text_repaired: self.repaired });
                }
                Event::Eof => return Err(self.not_well_formed()),
            }
            self.markup_seen |= !text;
        }
    }

    /// Odd characters are repaired in character data, and read past in comments.
    fn refuse_odd_markup(&self, event: &Event<'_>) -> Result<(), XmlError> {
        let markup = match event {
            Event::Start(_) | Event::End(_) | Event::Empty(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {
                true
            }
            Event::Text(_) | Event::CData(_) | Event::Comment(_) | Event::GeneralRef(_) | Event::Eof => false,
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
            let own = self.source.get(start..self.position()).unwrap_or_default();
            return self.text(Cow::Borrowed(own));
        };
        let character = match self.pair(unit) {
            Some(character) => {
                self.reader.read_event().map_err(|_| self.not_well_formed())?;
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

    fn declaration(&self) -> Result<(), XmlError> {
        let inner = self.source.get(self.at..self.position()).and_then(|all| all.strip_prefix("<?xml"));
        let inner = inner.and_then(|inner| inner.strip_suffix("?>")).filter(|_| !self.markup_seen);
        let encoding = inner.and_then(declared_encoding).ok_or_else(|| self.not_well_formed())?;
        if encoding.eq_ignore_ascii_case("UTF-8") { Ok(()) } else { Err(XmlError::Encoding) }
    }

    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), XmlError> {
        let name_at = self.at + "<".len();
        let tag = self.source.get(name_at..name_at + start.name().as_ref().len());
        let tag = tag.filter(|tag| is_name(tag) && !self.root_closed()).ok_or_else(|| self.not_well_formed())?;
        if !attributes_read(start.attributes_raw()) {
            return Err(self.not_well_formed());
        }
        self.depth += 1;
        self.elements += 1;
        if self.depth > MAX_DEPTH {
            return Err(XmlError::TooDeep { limit: MAX_DEPTH });
        }
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

    /// Closes the innermost element, whose content ends at `content_end`. quick-xml has compared the names.
    fn close(&mut self, content_end: usize) {
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
        self.depth = self.depth.saturating_sub(1);
    }

    fn text(&mut self, text: Cow<'a, str>) -> Result<(), XmlError> {
        if self.depth == 0 && text.chars().all(is_blank) {
            return Ok(());
        }
        // The end of a CDATA section is forbidden in text; the search for one byte is the quick one.
        if text.contains(']') && text.contains("]]>") {
            return Err(self.not_well_formed());
        }
        self.character_data(|data| data.push_text(normalised(text)))
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
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    fn not_well_formed(&self) -> XmlError {
        XmlError::NotWellFormed { at: self.at }
    }
}
