//! What must not be said, what was said, and the search of the one in the other.

use std::fmt::Write as _;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, Engine as _};

/// Secrets and personal data, each with a name for the report.
#[derive(Default)]
pub struct Hoard(Vec<(String, Vec<u8>)>);

impl Hoard {
    /// Takes a value in. One that is too short would be found by chance.
    pub fn add(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        assert!(value.len() >= 8, "{name} is too short to be looked for");
        if !self.0.iter().any(|(_, known)| known == value) {
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Takes a secret in: half of it would be too much as well.
    pub fn add_secret(&mut self, name: &str, secret: &str) {
        let (left, right) = secret.split_at(secret.len() / 2);
        for part in [secret, left, right] {
            self.add(name, part);
        }
    }

    /// The names of those that stand in `said`, each with the form in which it does.
    pub fn found_in(&self, said: &[u8]) -> Vec<String> {
        let said = String::from_utf8_lossy(said).to_lowercase();
        let forms = self.0.iter().flat_map(|(name, value)| forms(value).into_iter().map(move |form| (name, form)));
        forms.filter(|(_, (_, text))| said.contains(text)).map(|(name, (form, _))| format!("{name} {form}")).collect()
    }
}

/// Everything that was said, and by whom.
#[derive(Default)]
pub struct Said(Vec<(String, Vec<u8>)>);

impl Said {
    pub fn hear(&mut self, by: impl Into<String>, words: impl AsRef<[u8]>) {
        self.0.push((by.into(), words.as_ref().to_owned()));
    }

    /// What of the hoard was said, and by whom.
    pub fn betrayed(&self, hoard: &Hoard) -> Vec<String> {
        let betrayed = |(by, words): &(String, Vec<u8>)| {
            let found = hoard.found_in(words);
            found.into_iter().map(|what| format!("{by}: {what}")).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(betrayed).collect()
    }
}

/// How a value may look in a text, in lower case: as it is, and as what prints, signs or carries it may write it.
fn forms(value: &[u8]) -> Vec<(&'static str, String)> {
    let clear = std::str::from_utf8(value).ok().map(|text| ("in clear", text.to_owned()));
    let mut forms = vec![
        ("percent-encoded", percent_encoded(value, |_| true)),
        ("percent-encoded in part", percent_encoded(value, |byte| !byte.is_ascii_alphanumeric())),
        ("in hex", value.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))),
        ("as a list of bytes", value.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    ];
    for offset in 0..3 {
        forms.push(("in base64", base64_inside(&BASE64_STANDARD, value, offset)));
        forms.push(("in base64", base64_inside(&BASE64_URL_SAFE, value, offset)));
    }
    // What needs no escapes is in clear.
    forms.retain(|(_, text)| text.as_bytes() != value);
    forms.extend(clear);
    forms.into_iter().map(|(form, text)| (form, text.to_lowercase())).collect()
}

fn percent_encoded(value: &[u8], escaped: impl Fn(u8) -> bool) -> String {
    value.iter().fold(String::new(), |mut text, &byte| {
        if escaped(byte) {
            write!(text, "%{byte:02x}").unwrap();
        } else {
            text.push(char::from(byte));
        }
        text
    })
}

/// The characters that depend on nothing but the value when it stands in a longer text that is encoded as a whole, so
/// many bytes behind a border of three.
fn base64_inside(engine: &impl base64::Engine, value: &[u8], offset: usize) -> String {
    let encoded = engine.encode([&vec![0; offset], value].concat());
    let (first, end) = ((offset * 8).div_ceil(6), (offset + value.len()) * 8 / 6);
    encoded[first..end].to_owned()
}

#[test]
fn a_value_is_found_in_every_form_and_another_one_is_not() {
    let mut hoard = Hoard::default();
    hoard.add("the key", "x1AL2R+6RnCXh/E7TD");
    for said in [
        "key=x1AL2R+6RnCXh/E7TD.",
        "KEY=X1AL2R+6RNCXH/E7TD",
        "?key=x1AL2R%2B6RnCXh%2FE7TD&",
        "%78%31%41%4C%32%52%2b%36%52%6e%43%58%68%2f%45%37%54%44",
        "7831414c32522b36526e4358682f45375444",
        "[120, 49, 65, 76, 50, 82, 43, 54, 82, 110, 67, 88, 104, 47, 69, 55, 84, 68]",
    ] {
        assert_eq!(hoard.found_in(said.as_bytes()).len(), 1, "{said}");
    }
    for before in ["", "a", "ab", "abc"] {
        let text = BASE64_STANDARD.encode(format!("{before}x1AL2R+6RnCXh/E7TD and more"));
        assert!(!hoard.found_in(text.as_bytes()).is_empty(), "{text}");
    }
    assert_eq!(hoard.found_in(b"x1AL2R+6RnCXh/E7T and no D"), Vec::<String>::new());
    let mut said = Said::default();
    said.hear("the clerk", "nothing");
    said.hear("the parrot", "x1AL2R+6RnCXh/E7TD");
    assert_eq!(said.betrayed(&hoard), ["the parrot: the key in clear"]);
    hoard.add_secret("a token", "Ws6GGD3XcrGrVLbuvNZEwogC");
    assert_eq!(hoard.found_in(b"Ws6GGD3XcrGr..."), ["a token in clear"]);
}
