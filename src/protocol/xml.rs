//! WeChat's flat XML, read with bounds: 64 KiB, depth 8, 256 elements, no DOCTYPE; direct children of the root only.

use std::borrow::Cow;

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

/// What a child holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// Character data by the rules of contract §1.2: references resolved, blanks around it trimmed, CDATA kept as it is.
    Text(Cow<'a, str>),
    /// A child that has elements of its own: its inner XML, trimmed at both ends, otherwise as received.
    Elements(Cow<'a, str>),
}

/// Why bytes are no document. Carries no body bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Over 64 KiB.
    #[error("larger than 64 KiB")]
    TooLarge,
    /// To be completed.
    #[error("not well-formed XML")]
    NotWellFormed,
}

impl<'a> Document<'a> {
    /// Reads a document.
    ///
    /// # Errors
    /// What is not well-formed, beyond a bound, or holds a DOCTYPE, a processing instruction or an unknown reference.
    pub fn parse(xml: &'a [u8]) -> Result<Self, XmlError> {
        let _ = xml;
        unimplemented!()
    }
}
