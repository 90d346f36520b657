//! XML cut into its pieces: tags, character data, references, comments, the declaration (XML 1.0 §2 to §4.1).
//!
//! Finds where a piece ends, and nothing else: names, attributes and references are looked at by `markup`, and which tag ends
//! which element by who reads the pieces. Does not allocate.
//!
//! Our own, since it is on the way of every push: with quick-xml 0.42, which looks at the encoding of each piece again and keeps
//! the names of open elements on the heap, a push in secure mode took 15 % more CPU up to its record, and four allocations
//! more. `fuzz/fuzz_targets/differential.rs` compares what is read with another parser.

use memchr::{memchr, memchr_iter, memchr2, memchr3};

use super::text::is_blank;

/// One piece. What stands in it is borrowed from the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::protocol) enum Piece<'a> {
    /// `<name attributes>`, or `<name attributes/>`: then it is `empty`.
    Start { name: &'a str, attributes: &'a str, empty: bool },
    /// `</name>`
    End { name: &'a str },
    /// Character data up to the next tag or reference.
    Text(&'a str),
    /// What stands in a CDATA section.
    Section(&'a str),
    /// What stands between `&` and `;`.
    Reference(&'a str),
    /// A `&` that begins no reference.
    Ampersand,
    /// What stands between `<!--` and `-->`.
    Comment(&'a str),
    /// What stands between `<?xml` and `?>`.
    Declaration(&'a str),
    /// Any other processing instruction.
    Instruction,
    /// The beginning of a document type declaration: nothing reads one to its end.
    Doctype,
}

/// Why there is no next piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::protocol) enum Broken {
    /// The source ends within a piece.
    Cut,
    /// It is no XML, whatever follows.
    NotXml,
}

/// Reads a source from its beginning to its end.
#[derive(Debug)]
pub(in crate::protocol) struct Scanner<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(in crate::protocol) fn new(source: &'a str) -> Self {
        Self { source, at: 0 }
    }

    /// Where the next piece begins.
    pub(in crate::protocol) fn position(&self) -> usize {
        self.at
    }

    /// The next piece; `None` at the end. After an error there is nothing more to read.
    pub(in crate::protocol) fn next(&mut self) -> Result<Option<Piece<'a>>, Broken> {
        let rest = self.source.get(self.at..).unwrap_or_default();
        let (piece, length) = match rest.as_bytes() {
            [] => return Ok(None),
            [b'<', b'/', ..] => end(rest)?,
            [b'<', b'!', ..] => bang(rest)?,
            [b'<', b'?', ..] => question(rest)?,
            [b'<', ..] => start(rest)?,
            [b'&', ..] => reference(rest),
            bytes => {
                let length = memchr2(b'<', b'&', bytes).unwrap_or(bytes.len());
                (Piece::Text(rest.get(..length).unwrap_or_default()), length)
            }
        };
        self.at += length;
        Ok(Some(piece))
    }
}

type Found<'a> = Result<(Piece<'a>, usize), Broken>;

/// What stands in `rest` from `from` to `ending`, which ends with `>`, and the length of it all.
fn up_to<'a>(rest: &'a str, from: usize, ending: &str) -> Result<(&'a str, usize), Broken> {
    let inner = rest.get(from..).unwrap_or_default();
    // Most often the first `>` is the one: the search for one byte is the quick one.
    let mut candidates = memchr_iter(b'>', inner.as_bytes()).filter_map(|at| inner.get(..=at));
    let found = candidates.find_map(|candidate| candidate.strip_suffix(ending)).ok_or(Broken::Cut)?;
    Ok((found, from + found.len() + ending.len()))
}

fn start(rest: &str) -> Found<'_> {
    let end = end_of_tag(rest.as_bytes()).ok_or(Broken::Cut)?;
    let inner = rest.get(1..end).unwrap_or_default();
    let (inner, empty) = inner.strip_suffix('/').map_or((inner, false), |inner| (inner, true));
    let name_ends = inner.bytes().position(|byte| is_blank(byte.into())).unwrap_or(inner.len());
    let (name, attributes) = inner.split_at(name_ends);
    Ok((Piece::Start { name, attributes, empty }, end + 1))
}

/// Where the `>` of a start tag stands: not within the quotes of an attribute.
fn end_of_tag(tag: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr3(b'>', b'"', b'\'', tag.get(at..)?)?;
        let quote = *tag.get(at)?;
        if quote == b'>' {
            return Some(at);
        }
        at += 1;
        at += memchr(quote, tag.get(at..)?)? + 1;
    }
}

fn end(rest: &str) -> Found<'_> {
    let (name, length) = up_to(rest, "</".len(), ">")?;
    Ok((Piece::End { name: name.trim_end_matches(is_blank) }, length))
}

fn bang(rest: &str) -> Found<'_> {
    const DOCTYPE: &str = "<!DOCTYPE";
    const SECTION: &str = "<![CDATA[";
    const COMMENT: &str = "<!--";
    if rest.starts_with(SECTION) {
        let (section, length) = up_to(rest, SECTION.len(), "]]>")?;
        return Ok((Piece::Section(section), length));
    }
    if rest.starts_with(COMMENT) {
        let (comment, length) = up_to(rest, COMMENT.len(), "-->")?;
        return Ok((Piece::Comment(comment), length));
    }
    if rest.get(..DOCTYPE.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(DOCTYPE)) {
        return Ok((Piece::Doctype, DOCTYPE.len()));
    }
    let begins = [SECTION, COMMENT, DOCTYPE].iter().any(|markup| markup.starts_with(rest));
    Err(if begins { Broken::Cut } else { Broken::NotXml })
}

fn question(rest: &str) -> Found<'_> {
    let (inner, length) = up_to(rest, "<?".len(), "?>")?;
    let declared = inner.strip_prefix("xml").filter(|declared| declared.is_empty() || declared.starts_with(is_blank));
    Ok((declared.map_or(Piece::Instruction, Piece::Declaration), length))
}

fn reference(rest: &str) -> (Piece<'_>, usize) {
    let inner = rest.get(1..).unwrap_or_default();
    let ends = memchr3(b';', b'&', b'<', inner.as_bytes()).and_then(|length| inner.split_at_checked(length));
    match ends {
        Some((reference, behind)) if behind.starts_with(';') => (Piece::Reference(reference), reference.len() + 2),
        Some(_) | None => (Piece::Ampersand, 1),
    }
}
