//! The grammar that quick-xml leaves to its caller: names, attributes, the declaration, references.

use super::{repair::is_character, text::BLANKS};

const DEFAULT_ENCODING: &str = "UTF-8";

/// XML 1.0 §2.3, production 5.
pub(super) fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(starts_name) && characters.all(continues_name)
}

fn starts_name(character: char) -> bool {
    matches!(character,
        'a'..='z' | 'A'..='Z' | '_' | ':'
        | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}' | '\u{370}'..='\u{37D}'
        | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}'
        | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

fn continues_name(character: char) -> bool {
    starts_name(character)
        || matches!(character,
            '0'..='9' | '-' | '.' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// What stands between `&` and `;`: one of XML's five names, or the number of a character that XML allows.
pub(super) fn resolve(reference: &str) -> Option<char> {
    match reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => char::from_u32(number(reference)?).filter(|character| is_character(*character)),
    }
}

/// The number of a numeric reference, whether or not it is a character's; one that is too large is the largest.
pub(super) fn number(reference: &str) -> Option<u32> {
    let number = reference.strip_prefix('#')?;
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
    // from_str_radix would take a sign.
    let digits =
        digits.chars().all(|digit| digit.is_digit(radix)).then_some(digits).filter(|digits| !digits.is_empty())?;
    Some(u32::from_str_radix(digits, radix).unwrap_or(u32::MAX))
}

/// Whether the rest of a tag, behind its name, is attributes. Whether one stands twice is not looked at.
pub(super) fn attributes_read(raw: &str) -> bool {
    raw.is_empty() || Attributes(raw).all(|attribute| attribute.is_some_and(|(_, value)| references_read(value)))
}

/// The encoding that `raw`, what stands behind `<?xml`, declares; `None` when it is no declaration.
pub(super) fn declared_encoding(raw: &str) -> Option<&str> {
    let declared: Vec<(&str, &str)> = Attributes(raw).collect::<Option<_>>()?;
    let (encoding, standalone) = match declared.as_slice() {
        [("version", version), rest @ ..] if is_version(version) => match rest {
            [] => (DEFAULT_ENCODING, "no"),
            [("encoding", encoding)] => (*encoding, "no"),
            [("standalone", standalone)] => (DEFAULT_ENCODING, *standalone),
            [("encoding", encoding), ("standalone", standalone)] => (*encoding, *standalone),
            _ => return None,
        },
        _ => return None,
    };
    matches!(standalone, "yes" | "no").then_some(encoding)
}

/// Whether an encoding's name is UTF-8's: IANA's, or the one without its hyphen that many programs write.
pub(super) fn is_utf_8(encoding: &str) -> bool {
    ["UTF-8", "UTF8"].iter().any(|name| encoding.eq_ignore_ascii_case(name))
}

fn is_version(version: &str) -> bool {
    version
        .strip_prefix("1.")
        .is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|digit| digit.is_ascii_digit()))
}

fn references_read(mut value: &str) -> bool {
    while let Some((_, tail)) = value.split_once('&') {
        match tail.split_once(';') {
            Some((reference, rest)) if resolve(reference).is_some() => value = rest,
            _ => return false,
        }
    }
    true
}

/// Name and raw value of each attribute; `None` for what is none, and then nothing more.
struct Attributes<'a>(&'a str);

impl<'a> Iterator for Attributes<'a> {
    type Item = Option<(&'a str, &'a str)>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.0.trim_start_matches(BLANKS);
        if text.is_empty() {
            return None;
        }
        let separated = text.len() < self.0.len();
        let attribute = if separated { split_attribute(text) } else { None };
        self.0 = attribute.map_or("", |(_, _, rest)| rest);
        Some(attribute.map(|(name, value, _)| (name, value)))
    }
}

fn split_attribute(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let (name, rest) = (name.trim_end_matches(BLANKS), rest.trim_start_matches(BLANKS));
    let quote = rest.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let (value, rest) = rest.get(quote.len_utf8()..)?.split_once(quote)?;
    (is_name(name) && !value.contains('<')).then_some((name, value, rest))
}
