//! From quick-xml's events to a document's children: what is well-formed, where the bounds are, what belongs to which child.
//!
//! Does not depend on how odd bytes are repaired: its caller says where that was done.

use std::borrow::Cow;

use memchr::memchr;
use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use super::{
    BLANKS, Child, Document, USUAL_CHILDREN, Value, XmlError,
    markup::{attributes_read, declared_encoding, is_name, is_utf_8, number, resolve},
    repair::{Replacements, replaced},
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
    pub(super) fn new(source: &'a str, odd: &'a [usize]) -> Self {
        let mut reader = Reader::from_str(source);
        reader.config_mut().enable_all_checks(true);
        let children = Vec::with_capacity(USUAL_CHILDREN);
        let (repaired, returns) = (!odd.is_empty(), memchr(b'\r', source.as_bytes()).is_some());
        Self {
            source,
            odd,
            repaired,
            returns,
            reader,
            at: 0,
            depth: 0,
            elements: 0,
            markup_seen: false,
            children,
            open: None,
        }
    }

    pub(super) fn document(mut self) -> Result<Document<'a>, XmlError> {
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
                    let mut section = section.into_inner();
                    if self.returns {
                        section = normalised(section);
                    }
                    self.character_data(|text| text.push_section(section))?;
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
        if is_utf_8(encoding) { Ok(()) } else { Err(XmlError::Encoding) }
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

    fn text(&mut self, mut text: Cow<'a, str>) -> Result<(), XmlError> {
        if self.depth == 0 && text.chars().all(is_blank) {
            return Ok(());
        }
        // The end of a CDATA section is forbidden in text; the search for one byte is the quick one.
        if text.contains(']') && text.contains("]]>") {
            return Err(self.not_well_formed());
        }
        if self.returns {
            text = normalised(text);
        }
        self.character_data(|data| data.push_text(text))
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
