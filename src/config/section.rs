//! One section of what was written, read key by key: each key names its type once, by the function that reads it.
//!
//! What nobody asked for is an unknown key. Does not depend on what the keys mean.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    mem::discriminant,
};

use strsim::levenshtein;

use super::{
    ConfigError,
    raw::{Origin, Value},
};

const BOM_FIRST: &str = "begins with a byte order mark";
const WITHOUT_SLIP: &str = "write it without, such as by printf '%s' SECRET > FILE";

/// No secret is longer: what is no secret's file (a device, a log) is not read to its end.
const LONGEST_SECRET: u64 = 64 * 1024;

struct Entry {
    value: Value,
    origin: Origin,
}

/// The keys of `[server]`, of one `[[account]]`, …
pub(super) struct Section {
    /// As errors name it: `server`, `account.shop`.
    key: String,
    entries: BTreeMap<String, Entry>,
    known: Vec<String>,
    errors: Vec<ConfigError>,
    /// The variable that alone names this account.
    made_by: Option<String>,
}

impl Section {
    pub(super) fn new(key: impl Into<String>) -> Self {
        Self { key: key.into(), entries: BTreeMap::new(), known: Vec::new(), errors: Vec::new(), made_by: None }
    }

    /// Says in every error that this account stands in no file: it may be a variable's name written wrongly.
    pub(super) fn made_by(&mut self, variable: &str) {
        self.made_by = Some(variable.to_owned());
    }

    /// As errors name it.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Puts a value in place of what a lower source said. `token` and `token_file` are one thing said in two ways:
    /// either replaces both of a lower source.
    pub(super) fn set(&mut self, name: &str, value: Value, origin: Origin) {
        let pair = name.strip_suffix("_file").map_or_else(|| format!("{name}_file"), str::to_owned);
        if let Some(other) = self.entries.get(&pair)
            && discriminant(&other.origin) != discriminant(&origin)
        {
            self.entries.remove(&pair);
        }
        self.entries.insert(name.to_owned(), Entry { value, origin });
    }

    /// Whether the key was written at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// An error at a key of this section.
    pub(super) fn fail(&mut self, name: &str, problem: impl Into<String>, cure: impl Into<String>) {
        self.errors.push(ConfigError::new(format!("{}.{name}", self.key), problem, cure));
    }

    /// Whether a key, or the file that stands for it, was found wrong.
    pub(super) fn failed(&self, name: &str) -> bool {
        let key = format!("{}.{name}", self.key);
        self.errors.iter().any(|error| error.key.strip_suffix("_file").unwrap_or(&error.key) == key)
    }

    /// A key by its type. `read` answers with what is wrong, to stand behind the value in the error.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, String>,
        cure: &str,
    ) -> Option<T> {
        let Entry { value, origin } = self.take(name)?;
        match read(&value) {
            Ok(read) => Some(read),
            Err(problem) => {
                self.fail(name, format!("{} {problem} ({origin})", value.describe()), cure);
                None
            }
        }
    }

    /// A key that has a default.
    pub(super) fn get<T>(
        &mut self,
        name: &str,
        default: T,
        read: impl FnOnce(&Value) -> Result<T, String>,
        cure: &str,
    ) -> T {
        self.optional(name, read, cure).unwrap_or(default)
    }

    /// The file that a secret is read from, where one is named.
    pub(super) fn file_of(&self, name: &str) -> Option<String> {
        match &self.entries.get(&format!("{name}_file"))?.value {
            Value::Text(path) | Value::Untyped(path) => Some(path.clone()),
            _ => None,
        }
    }

    /// A secret: `name`, or the content of the file that `name_file` names, less one trailing newline. No error shows it.
    pub(super) fn secret<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
        cure: &str,
    ) -> Option<T> {
        let file_name = format!("{name}_file");
        let (direct, file) = (self.take(name), self.take(&file_name));
        let (secret, origin) = match (direct, file) {
            (None, None) => return None,
            (Some(_), Some(file)) => {
                let problem = format!("stands beside {file_name} ({})", file.origin);
                self.fail(name, problem, format!("keep either {name} or {file_name}"));
                return None;
            }
            (Some(Entry { value: Value::Text(secret) | Value::Untyped(secret), origin }), None) => (secret, origin),
            (Some(Entry { origin, .. }), None) => {
                self.fail(name, format!("is no text (not shown, {origin})"), "write it in quotes");
                return None;
            }
            (None, Some(file)) => (self.read_secret_file(&file_name, &file)?, file.origin),
        };
        let slip = slip(&secret);
        // A byte order mark is part of no secret; a blank may be part of a password.
        let read = if slip == Some(BOM_FIRST) { Err(String::new()) } else { read(&secret) };
        match read {
            Ok(read) => Some(read),
            Err(problem) => {
                let (problem, cure) = slip.map_or((problem.as_str(), cure), |slip| (slip, WITHOUT_SLIP));
                self.fail(name, format!("{problem} (not shown, {origin})"), cure);
                None
            }
        }
    }

    fn read_secret_file(&mut self, name: &str, file: &Entry) -> Option<String> {
        let (Value::Text(path) | Value::Untyped(path)) = &file.value else {
            let problem = format!("{} is no path ({})", file.value.describe(), file.origin);
            self.fail(name, problem, "write the file's path in quotes");
            return None;
        };
        match read_bounded(path) {
            Ok(mut secret) => {
                if secret.ends_with('\n') {
                    secret.pop();
                    if secret.ends_with('\r') {
                        secret.pop();
                    }
                }
                Some(secret)
            }
            Err(error) => {
                let problem = format!("{path:?} cannot be read: {error} ({})", file.origin);
                self.fail(name, problem, "make it a file in UTF-8 that the service's user may read");
                None
            }
        }
    }

    /// Takes out all entries, for the section whose names are open: name, value, origin.
    pub(super) fn drain(&mut self) -> Vec<(String, Value, Origin)> {
        std::mem::take(&mut self.entries).into_iter().map(|(name, entry)| (name, entry.value, entry.origin)).collect()
    }

    /// Every error of the section; the keys that nobody asked for are errors too.
    pub(super) fn finish(mut self) -> Vec<ConfigError> {
        for (name, Entry { origin, .. }) in std::mem::take(&mut self.entries) {
            let cure = suggestion(&name, self.known.iter().map(String::as_str));
            self.fail(&name, format!("is no known key ({origin})"), cure);
        }
        if let Some(variable) = &self.made_by {
            for error in &mut self.errors {
                error.problem = format!("{} (no file has this account: {variable} makes it)", error.problem);
            }
        }
        self.errors
    }

    fn take(&mut self, name: &str) -> Option<Entry> {
        self.known.push(name.to_owned());
        self.entries.remove(name)
    }
}

/// What an editor or `echo` puts around a secret, and nobody sees.
fn slip(secret: &str) -> Option<&'static str> {
    if secret.starts_with('\u{FEFF}') {
        Some(BOM_FIRST)
    } else if secret.ends_with(char::is_whitespace) {
        Some("has a blank or line break at the end")
    } else if secret.starts_with(char::is_whitespace) {
        Some("has a blank or line break at the beginning")
    } else {
        None
    }
}

/// The cure for an unknown name: the nearest known one, or all of them.
pub(super) fn suggestion<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let plain = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    let nearest = known
        .iter()
        .map(|name| (levenshtein(&plain(unknown), &plain(name)), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= 2 && *distance < name.len());
    match nearest {
        Some((_, name)) => format!("did you mean {name}?"),
        None => format!("remove it; known here: {}", known.join(", ")),
    }
}

fn read_bounded(path: &str) -> io::Result<String> {
    let mut secret = String::new();
    let bytes = File::open(path)?.take(LONGEST_SECRET + 1).read_to_string(&mut secret)?;
    if bytes as u64 > LONGEST_SECRET {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is over 64 KiB"));
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_far_from_all_gets_the_whole_list() {
        assert_eq!(suggestion("colour", ["listen", "token"].into_iter()), "remove it; known here: listen, token");
        assert_eq!(suggestion("Max-Age", ["listen", "max_age"].into_iter()), "did you mean max_age?");
    }
}
