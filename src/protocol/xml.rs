//! WeChat's flat XML, read with bounds: 64 KiB, depth 8, 256 elements, no DOCTYPE; direct children of the root only.
//!
//! What it accepts is well-formed XML 1.0 in UTF-8, and beyond that blanks before the declaration and a repeated attribute.
//! It refuses to know what a tag means. Attributes, comments and character data directly under the root are read past.

mod markup;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::fmt;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::evidence::begins_as_json;
use markup::{attributes_read, declared_encoding, is_name, resolve};
use text::{CharacterData, is_blank, normalised};

pub(super) use text::BLANKS;

const MAX_BYTES: usize = 64 * 1024;
/// The root is the first level.
const MAX_DEPTH: usize = 8;
/// The root is counted.
const MAX_ELEMENTS: usize = 256;
/// The level of the root's direct children.
const CHILD: usize = 2;
/// More than WeChat's longest card event has, so that the list is allocated once.
const USUAL_CHILDREN: usize = 20;

/// The direct children of a document's root, in document order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document<'a> {
    /// In document order, repeated tags included.
    pub children: Vec<Child<'a>>,
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

/// Why bytes are no document. Carries no body bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Over 64 KiB.
    #[error("{found} bytes, at most {limit} are read")]
    TooLarge {
        /// The document's bytes.
        found: usize,
        /// How many are read.
        limit: usize,
    },
    /// Elements within elements, too many levels of them.
    #[error("elements nested deeper than {limit}")]
    TooDeep {
        /// How many levels are read.
        limit: usize,
    },
    /// Too many elements on all levels together.
    #[error("more than {limit} elements")]
    TooManyElements {
        /// How many are read.
        limit: usize,
    },
    /// The bytes are not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// The declaration names another encoding.
    #[error("declares another encoding than UTF-8")]
    Encoding,
    /// A control character, U+FFFE or U+FFFF.
    #[error("has a character that XML forbids")]
    Character,
    /// A DOCTYPE, whatever is in it.
    #[error("has a DOCTYPE")]
    Doctype,
    /// A processing instruction that is not the XML declaration.
    #[error("has a processing instruction")]
    ProcessingInstruction,
    /// A reference that is neither one of XML's five nor the number of a character that XML allows.
    #[error("has an unknown reference")]
    Reference,
    /// It begins as a JSON object or array.
    #[error(
        "JSON and not XML: choose XML as the data format (数据格式) of the server configuration in WeChat's console"
    )]
    Json,
    /// Any other breach of XML's grammar.
    #[error("not well-formed XML at byte {at}")]
    NotWellFormed {
        /// Where the piece of markup or text begins, counted without a BOM.
        at: usize,
    },
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
    /// Reads a document.
    ///
    /// # Errors
    /// What is not well-formed, beyond a bound, or holds a DOCTYPE, a processing instruction or an unknown reference.
    pub fn parse(xml: &'a [u8]) -> Result<Self, XmlError> {
        if xml.len() > MAX_BYTES {
            return Err(XmlError::TooLarge { found: xml.len(), limit: MAX_BYTES });
        }
        if begins_as_json(xml) {
            return Err(XmlError::Json);
        }
        let source = std::str::from_utf8(xml).map_err(|_| XmlError::NotUtf8)?;
        let source = source.strip_prefix('\u{FEFF}').unwrap_or(source);
        if source.starts_with('\u{FEFF}') {
            // quick-xml would skip it without counting it.
            return Err(XmlError::NotWellFormed { at: 0 });
        }
        // No early end, so that many bytes are looked at together.
        let control = |byte: u8| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
        let controls = source.bytes().fold(false, |found, byte| found | control(byte));
        if controls || !source.is_ascii() && source.contains(['\u{FFFE}', '\u{FFFF}']) {
            return Err(XmlError::Character);
        }
        Parser::new(source).document()
    }

    /// The first child of this tag, compared without regard to ASCII case.
    #[must_use]
    pub fn first(&self, tag: &str) -> Option<&Child<'a>> {
        self.children.iter().find(|child| child.tag.eq_ignore_ascii_case(tag))
    }
}

struct Parser<'a> {
    source: &'a str,
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
}

impl<'a> Parser<'a> {
    fn new(source: &'a str) -> Self {
        let mut reader = Reader::from_str(source);
        reader.config_mut().enable_all_checks(true);
        let children = Vec::with_capacity(USUAL_CHILDREN);
        Self { source, reader, at: 0, depth: 0, elements: 0, markup_seen: false, children, open: None }
    }

    fn document(mut self) -> Result<Document<'a>, XmlError> {
        loop {
            self.at = self.position();
            let event = self.reader.read_event().map_err(|_| self.not_well_formed())?;
            let text = matches!(event, Event::Text(_));
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
                Event::GeneralRef(reference) => {
                    let character = resolve(&reference).ok_or(XmlError::Reference)?;
                    self.character_data(|text| text.push_character(character))?;
                }
                Event::Comment(_) => {}
                Event::Decl(_) => self.declaration()?,
                Event::PI(_) => return Err(XmlError::ProcessingInstruction),
                Event::DocType(_) => return Err(XmlError::Doctype),
                Event::Eof if self.root_closed() => return Ok(Document { children: self.children }),
                Event::Eof => return Err(self.not_well_formed()),
            }
            self.markup_seen |= !text;
        }
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
            self.open = Some(OpenChild { tag, content_at, text, has_elements: false });
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
            let value = if child.has_elements {
                let inner = self.source.get(child.content_at..content_end).unwrap_or_default();
                Value::Elements(Cow::Borrowed(inner.trim_matches(BLANKS)))
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
