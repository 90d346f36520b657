//! The XML reading against a second parser (`xml`, once `xml-rs`), by contract §1.2's rules about text.
//!
//! Odd text is repaired for it first, slowly. What both take must be the same children. What only one takes must have one of a few known reasons.

use cardhook::protocol::{Document, Value, XmlError};
use xml::reader::{Error, EventReader, ParserConfig, XmlEvent};

use super::document::BLANKS;

const LONGEST: usize = 4096;

/// A piece of an element's content, as the second parser sees it.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Open(String),
    Close,
    Text(String),
    Section(String),
}

/// A direct child of the root.
#[derive(Debug, PartialEq, Eq)]
struct Child {
    tag: String,
    pieces: Vec<Piece>,
}

/// `data` is a document.
pub fn check(data: &[u8]) {
    if data.len() > LONGEST {
        return;
    }
    let document = Document::parse(data);
    let repaired = document.as_ref().is_ok_and(|document| document.text_repaired);
    let theirs = if repaired { children(begun(repair(data).as_bytes())) } else { children(begun(data)) };
    match (document, theirs) {
        (Ok(document), Ok(children)) => {
            assert_eq!(document.children.len(), children.len(), "another number of children");
            for (ours, theirs) in document.children.iter().zip(&children) {
                assert_eq!(ours.tag, theirs.tag);
                compare(&ours.value, &theirs.pieces);
            }
        }
        (Ok(_), Err(reason)) => assert!(is_stricter(&reason), "only we take it: {reason}"),
        (Err(reason), Ok(_)) => {
            assert!(is_our_choice(reason) || has_bracket_in_tag(data), "only we refuse it: {reason}");
        }
        (Err(_), Err(_)) => {}
    }
}

/// From the first byte that is no blank on: contract §1.2 allows blanks before a declaration, XML does not.
fn begun(data: &[u8]) -> &[u8] {
    let data = data.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(data);
    let blanks = data.iter().take_while(|byte| BLANKS.contains(&char::from(**byte))).count();
    &data[blanks..]
}

/// Contract §1.2's repair of a document whose markup is well-formed, so that a parser that repairs nothing reads it.
fn repair(data: &[u8]) -> String {
    let forbidden = |odd: char| odd < ' ' && !"\t\n\r".contains(odd) || "\u{FFFE}\u{FFFF}".contains(odd);
    let source = String::from_utf8_lossy(data).replace(forbidden, "\u{FFFD}");
    let (mut repaired, mut rest) = (String::new(), source.as_str());
    while let Some(at) = rest.find(['<', '&']) {
        let (text, markup) = rest.split_at(at);
        repaired.push_str(text);
        let taken = if markup.starts_with('&') { reference(markup, &mut repaired) } else { length(markup) };
        if markup.starts_with('<') {
            repaired.push_str(&markup[..taken]);
        }
        rest = &markup[taken..];
    }
    repaired + rest
}

/// Bytes of the section, comment or tag at the beginning of `markup`.
fn length(markup: &str) -> usize {
    for (start, end) in [("<![CDATA[", "]]>"), ("<!--", "-->")] {
        if let Some(content) = markup.strip_prefix(start) {
            return content.find(end).map_or(markup.len(), |at| start.len() + at + end.len());
        }
    }
    let mut quote = None;
    for (at, character) in markup.char_indices() {
        match (quote, character) {
            (None, '>') => return at + 1,
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None | Some(_), _) => {}
        }
    }
    markup.len()
}

/// Writes what the reference at the beginning of `text` reads as, escaped; bytes that it took.
fn reference(text: &str, repaired: &mut String) -> usize {
    let number = |text: &str| {
        let (inner, _) = text.strip_prefix('&')?.split_once(';')?;
        let number = inner.strip_prefix('#')?;
        let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
        let legal = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        legal.then(|| (u32::from_str_radix(digits, radix).unwrap_or(u32::MAX), inner.len() + 2))
    };
    let Some((code, taken)) = number(text) else {
        let taken = text.find(';').map_or(text.len(), |end| end + 1);
        let known = ["&lt;", "&gt;", "&amp;", "&apos;", "&quot;"].contains(&&text[..taken]);
        repaired.push_str(if known { "&" } else { "&amp;" });
        repaired.push_str(&text[1..taken]);
        return taken;
    };
    match (code, number(&text[taken..])) {
        (0xD800..=0xDBFF, Some((low @ 0xDC00..=0xDFFF, more))) => {
            repaired.push(char::from_u32(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)).expect("a pair"));
            return taken + more;
        }
        (0x9 | 0xA | 0xD | 0x20..=0xD7FF | 0xE000..=0xFFFD | 0x10000..=0x0010_FFFF, _) => {
            repaired.push_str(&text[..taken]);
        }
        (_, _) => repaired.push('\u{FFFD}'),
    }
    taken
}

fn compare(ours: &Value<'_>, theirs: &[Piece]) {
    let has_elements = theirs.iter().any(|piece| matches!(piece, Piece::Open(_)));
    match ours {
        Value::Text(text) => {
            assert!(!has_elements, "it has elements");
            assert_eq!(*text, joined(theirs));
        }
        Value::Elements(inner) => {
            assert!(has_elements, "it has no elements");
            // A reference that XML does not know stands in it as received.
            let again = repair(format!("<xml><again>{inner}</again></xml>").as_bytes());
            let again = children(again.as_bytes()).expect("inner XML is XML");
            assert_eq!(again.len(), 1);
            assert_eq!(trimmed(&again[0].pieces), trimmed(theirs));
        }
    }
}

/// Contract §1.2: what is outside CDATA is trimmed at both ends of the whole.
fn joined(pieces: &[Piece]) -> String {
    // Each character with whether it may be trimmed.
    let mut characters: Vec<(char, bool)> = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => characters.extend(text.chars().map(|each| (each, BLANKS.contains(&each)))),
            Piece::Section(text) => characters.extend(text.chars().map(|each| (each, false))),
            Piece::Open(_) | Piece::Close => {}
        }
    }
    let start = characters.iter().position(|(_, blank)| !blank).unwrap_or(characters.len());
    let end = characters.iter().rposition(|(_, blank)| !blank).map_or(start, |last| last + 1);
    characters[start..end].iter().map(|(character, _)| character).collect()
}

/// Texts beside each other joined; blanks at both ends taken off, and what is empty then.
fn trimmed(pieces: &[Piece]) -> Vec<(&'static str, String)> {
    let mut joined: Vec<(&'static str, String)> = Vec::new();
    for piece in pieces {
        let next = match piece {
            Piece::Open(tag) => ("open", tag.clone()),
            Piece::Close => ("close", String::new()),
            Piece::Text(text) => ("text", text.clone()),
            Piece::Section(text) => ("section", text.clone()),
        };
        match joined.last_mut() {
            Some((kind @ "text", text)) if *kind == next.0 => text.push_str(&next.1),
            _ => joined.push(next),
        }
    }
    if let Some(("text", text)) = joined.first_mut() {
        *text = text.trim_start_matches(BLANKS).to_owned();
    }
    if let Some(("text", text)) = joined.last_mut() {
        *text = text.trim_end_matches(BLANKS).to_owned();
    }
    joined.retain(|(kind, text)| *kind != "text" || !text.is_empty());
    joined
}

fn children(data: &[u8]) -> Result<Vec<Child>, Error> {
    let mut children: Vec<Child> = Vec::new();
    let mut depth = 0;
    let config = ParserConfig::new().whitespace_to_characters(true).allow_multiple_root_elements(false);
    for event in EventReader::new_with_config(data, config) {
        let piece = match event? {
            XmlEvent::StartElement { name, .. } => {
                depth += 1;
                let tag = name.borrow().to_repr();
                if depth == 2 {
                    children.push(Child { tag, pieces: Vec::new() });
                    continue;
                }
                Piece::Open(tag)
            }
            XmlEvent::EndElement { .. } => {
                depth -= 1;
                Piece::Close
            }
            XmlEvent::CData(text) => Piece::Section(text),
            XmlEvent::Characters(text) | XmlEvent::Whitespace(text) => Piece::Text(text),
            XmlEvent::StartDocument { .. }
            | XmlEvent::EndDocument
            | XmlEvent::ProcessingInstruction { .. }
            | XmlEvent::Comment(_)
            | XmlEvent::Doctype { .. } => continue,
        };
        if depth >= 2
            && let Some(child) = children.last_mut()
        {
            child.pieces.push(piece);
        }
    }
    Ok(children)
}

/// Namespaces and doubled attributes, which the second parser looks at and we read past, and the characters that XML 1.1 wants
/// to be references: we read a document of any version 1.x as one of 1.0.
fn is_stricter(reason: &Error) -> bool {
    let reason = reason.to_string();
    ["prefix", "is redefined", "ualified name"].iter().any(|known| reason.contains(known))
        || (0x7F..=0x9F).any(|control| reason.ends_with(&format!("Invalid character U+{control:04X}")))
}

/// Whether a `<` stands within a tag, in an attribute's value. XML forbids it; the second parser misses that of a `</`.
fn has_bracket_in_tag(data: &[u8]) -> bool {
    let source = String::from_utf8_lossy(data);
    let mut rest = &*source;
    while let Some(at) = rest.find('<') {
        let (markup, behind) = rest[at..].split_at(length(&rest[at..]));
        if !markup.starts_with("<!") && markup[1..].contains('<') {
            return true;
        }
        rest = behind;
    }
    false
}

/// What we refuse in well-formed documents: our bounds, DOCTYPE, processing instructions, other encodings.
fn is_our_choice(reason: XmlError) -> bool {
    match reason {
        XmlError::TooLarge { .. }
        | XmlError::TooDeep { .. }
        | XmlError::TooManyElements { .. }
        | XmlError::Encoding
        | XmlError::Doctype
        | XmlError::ProcessingInstruction => true,
        XmlError::Character { .. } | XmlError::Json | XmlError::NotWellFormed { .. } => false,
    }
}
