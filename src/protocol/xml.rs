//! WeChat's flat XML, read with bounds: 1 MiB, depth 8, 256 elements, no DOCTYPE; direct children of the root only.
//!
//! What it accepts is well-formed XML 1.0 in UTF-8, and beyond that blanks before the declaration and a repeated attribute.
//! Odd characters in character data are repaired (`repair`), in a tag they are an error.
//! Does not depend on what a tag means. Attributes, comments and character data directly under the root are read past.

mod error;
mod markup;
mod parser;
mod repair;
mod scan;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::fmt;

use super::evidence::begins_as_json;
use parser::Parser;
use repair::{is_clean, is_utf_16, repair};

pub use error::XmlError;
pub(super) use scan::{Broken, Piece, Scanner};
pub(super) use text::BLANKS;

/// Bytes of the largest document that is read, and of the largest body that can be configured (`server.max_body_bytes`).
pub const MAX_BYTES: usize = 1024 * 1024;
const BOM: &[u8] = "\u{FEFF}".as_bytes();
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
