//! What was written, before anything is understood: values with the place they came from, by section and key.
//!
//! Reads TOML permissively, so that one wrong key does not hide the next. Does not depend on which keys exist.

use std::{collections::BTreeMap, fmt, ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{ConfigError, section::Section};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// In the file, at this line.
    File(usize),
    /// In this environment variable.
    Environment(String),
    /// In a flag of the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(line) => write!(f, "line {line}"),
            Self::Environment(variable) => f.write_str(variable),
            Self::Flag => f.write_str("command line"),
        }
    }
}

/// A value as written. Without `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Value>),
    /// Text of the environment or a flag: read by the key's type, whatever it looks like.
    Untyped(String),
    /// A kind that no key takes, by its name.
    Other(&'static str),
}

impl Value {
    /// The value for an error message. Never called for a secret.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Text(text) | Self::Untyped(text) => format!("{text:?}"),
            Self::Integer(number) => number.to_string(),
            Self::Boolean(truth) => truth.to_string(),
            Self::List(_) => "a list".into(),
            Self::Other(kind) => (*kind).into(),
        }
    }

    fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Self::Other("a number beyond 64 bits"), Self::Integer),
            DeValue::Boolean(truth) => Self::Boolean(*truth),
            DeValue::Array(items) => Self::List(items.iter().map(|item| Self::from_toml(item.get_ref())).collect()),
            DeValue::Float(_) => Self::Other("a fraction"),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }
}

/// All that was written, from every source.
#[derive(Default)]
pub(super) struct Raw {
    /// `[server]`, …, and `[kafka.options]` as `kafka.options`.
    pub(super) sections: BTreeMap<String, Section>,
    /// `[[account]]` in the file's order, then those of the environment.
    pub(super) accounts: Vec<Section>,
}

impl Raw {
    /// The section to write into, made when it is new.
    pub(super) fn section(&mut self, name: &str) -> &mut Section {
        self.sections.entry(name.to_owned()).or_insert_with(|| Section::new(name))
    }

    /// Reads a TOML file. An error of syntax is the only error then: what stands behind it cannot be trusted.
    pub(super) fn read(file: &Path) -> Result<Self, Vec<ConfigError>> {
        let shown = file.display();
        let text = std::fs::read_to_string(file).map_err(|error| {
            vec![ConfigError::new(
                shown.to_string(),
                format!("cannot be read: {error}"),
                "give the path of a readable TOML file in UTF-8 with --config",
            )]
        })?;
        let document = DeTable::parse(&text).map_err(|error| {
            let (line, column) = position(&text, error.span().as_ref());
            vec![ConfigError::new(
                format!("{shown}:{line}:{column}"),
                format!("is not TOML: {}", error.message()),
                "correct the file at this place; texts stand in quotes",
            )]
        })?;
        let mut reader = Reader { text: &text, raw: Self::default(), errors: Vec::new() };
        for (name, value) in document.get_ref() {
            reader.top_level(name.get_ref(), value);
        }
        if reader.errors.is_empty() { Ok(reader.raw) } else { Err(reader.errors) }
    }
}

struct Reader<'a> {
    text: &'a str,
    raw: Raw,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn origin(&self, span: Range<usize>) -> Origin {
        Origin::File(position(self.text, Some(&span)).0)
    }

    fn top_level(&mut self, name: &str, value: &Spanned<DeValue<'_>>) {
        match (name, value.get_ref()) {
            ("account", DeValue::Array(accounts)) => accounts.iter().for_each(|account| self.account(account)),
            ("account", _) => self.wrong_shape(name, value, "write each account as its own [[account]] with a name"),
            ("kafka", DeValue::Table(table)) => {
                for (key, value) in table {
                    if key.get_ref() == "options" {
                        self.options(value);
                    } else {
                        self.entry(name, key.get_ref(), value);
                    }
                }
                self.raw.section(name);
            }
            (_, DeValue::Table(table)) => {
                for (key, value) in table {
                    self.entry(name, key.get_ref(), value);
                }
                self.raw.section(name);
            }
            _ => self.wrong_shape(name, value, "every key stands in a section, such as [server]"),
        }
    }

    fn entry(&mut self, section: &str, key: &str, value: &Spanned<DeValue<'_>>) {
        let origin = self.origin(value.span());
        self.raw.section(section).set(key, Value::from_toml(value.get_ref()), origin);
    }

    fn account(&mut self, account: &Spanned<DeValue<'_>>) {
        let DeValue::Table(table) = account.get_ref() else {
            return self.wrong_shape("account", account, "write each account as its own [[account]] with a name");
        };
        let key = match table.get("name").map(Spanned::get_ref) {
            Some(DeValue::String(name)) => format!("account.{name}"),
            _ => format!("account[{}]", self.raw.accounts.len() + 1),
        };
        let mut section = Section::new(key);
        for (key, value) in table {
            let origin = self.origin(value.span());
            section.set(key.get_ref(), Value::from_toml(value.get_ref()), origin);
        }
        self.raw.accounts.push(section);
    }

    fn options(&mut self, value: &Spanned<DeValue<'_>>) {
        if let DeValue::Table(table) = value.get_ref() {
            self.flatten("", table);
        } else {
            self.wrong_shape("kafka.options", value, "write a section [kafka.options]");
        }
    }

    /// Unquoted, `security.protocol = …` is a table in a table: the same property all the same.
    fn flatten(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            match value.get_ref() {
                DeValue::Table(inner) => self.flatten(&format!("{name}."), inner),
                _ => self.entry("kafka.options", &name, value),
            }
        }
    }

    fn wrong_shape(&mut self, key: &str, value: &Spanned<DeValue<'_>>, cure: &str) {
        let origin = self.origin(value.span());
        self.errors.push(ConfigError::new(key, format!("is no section of the configuration ({origin})"), cure));
    }
}

/// Line and column, both from 1, of a span's beginning.
fn position(text: &str, span: Option<&Range<usize>>) -> (usize, usize) {
    let before = text.get(..span.map_or(0, |span| span.start)).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).map_or(0, |line| line.chars().count()) + 1;
    (before.matches('\n').count() + 1, column)
}
