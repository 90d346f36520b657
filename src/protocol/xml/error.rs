//! Why bytes are no document: what it is, where, and no byte of it.
//!
//! Does not depend on the parser.

/// Why bytes are no document. Carries no body bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Over 1 MiB.
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
    /// The declaration names another encoding, or the bytes are UTF-16.
    #[error("is in another encoding than UTF-8")]
    Encoding,
    /// In markup, where it is not repaired: bytes that are not UTF-8, a control character, U+FFFE or U+FFFF.
    #[error("has bytes in a tag at byte {at} that are not UTF-8, or a character that XML forbids")]
    Character {
        /// Where the tag begins, counted without a BOM, each odd character as three bytes.
        at: usize,
    },
    /// A DOCTYPE, whatever is in it.
    #[error("has a DOCTYPE")]
    Doctype,
    /// A processing instruction that is not the XML declaration.
    #[error("has a processing instruction")]
    ProcessingInstruction,
    /// Any other breach of XML's grammar.
    #[error("not well-formed XML at byte {at}")]
    NotWellFormed {
        /// Where the piece of markup or text begins, counted without a BOM.
        at: usize,
    },
}
