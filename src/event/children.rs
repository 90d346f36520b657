//! Handing out a document's children: each goes to one field, and what none took is `extra`.
//!
//! It knows the rules of contract §1.2 about tags and repeats, and does not depend on which event has which field.

use std::collections::{BTreeMap, btree_map::Entry};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{FieldValue, Text, part, trim};
use crate::protocol::{Child, Document, Value};

/// The tags a field is read from: the first group of which the push has one. The tags in a group are one tag spelt differently.
pub(super) type Tags = &'static [&'static [&'static str]];

/// What no field took, under WeChat's tags.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Extra<'d>(BTreeMap<Text<'d>, ExtraValue<'d>>);

/// One entry of `extra`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ExtraValue<'d> {
    /// The text, or the inner XML of a child that has elements; an empty element is an empty string.
    One(Text<'d>),
    /// The values of a repeated tag, less the one that a field took.
    Many(Vec<Text<'d>>),
}

impl<'d> Extra<'d> {
    /// The entry of one tag, as received.
    #[must_use]
    pub fn get(&self, tag: &str) -> Option<&ExtraValue<'d>> {
        self.0.get(tag)
    }

    fn add(&mut self, tag: Text<'d>, value: Text<'d>, repeated: bool) {
        match self.0.entry(tag) {
            Entry::Occupied(mut entry) => match entry.get_mut() {
                ExtraValue::Many(values) => values.push(value),
                ExtraValue::One(first) => *entry.get_mut() = ExtraValue::Many(vec![std::mem::take(first), value]),
            },
            Entry::Vacant(entry) => {
                entry.insert(if repeated { ExtraValue::Many(vec![value]) } else { ExtraValue::One(value) });
            }
        }
    }
}

/// Prints tags only: what a newer push carries may be personal.
impl std::fmt::Debug for Extra<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Where a child stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Free,
    Taken,
    /// A later occurrence of a tag whose first one a field looked at.
    Repeat,
}

/// A document's children while fields take them.
pub(super) struct Children<'c, 'd> {
    children: &'c [Child<'d>],
    standings: Vec<Standing>,
}

impl<'c, 'd> Children<'c, 'd> {
    pub(super) fn new(document: &'c Document<'d>) -> Self {
        Self { children: &document.children, standings: vec![Standing::Free; document.children.len()] }
    }

    /// Whether there is such an element at all, an empty one included.
    pub(super) fn has(&self, tag: &str) -> bool {
        self.children.iter().any(|child| child.tag.eq_ignore_ascii_case(tag))
    }

    /// Takes a field's value; one that does not parse stays for `extra`.
    pub(super) fn take<T: FieldValue<'d>>(&mut self, tags: Tags) -> Option<T> {
        let (text, place) = tags.iter().find_map(|spellings| self.first(spellings))?;
        let value = T::read(text.clone()).ok()?;
        self.taken(place);
        value
    }

    /// Takes a text of the envelope, trimmed; `None` when absent or empty.
    pub(super) fn take_trimmed(&mut self, tag: &'static str) -> Option<Text<'d>> {
        let (text, place) = self.first(&[tag])?;
        self.taken(place);
        Some(part(text.clone(), trim)).filter(|text| !text.is_empty())
    }

    /// Drops every child of this tag.
    pub(super) fn drop_all(&mut self, tag: &str) {
        for (child, standing) in self.children.iter().zip(&mut self.standings) {
            if child.tag.eq_ignore_ascii_case(tag) {
                *standing = Standing::Taken;
            }
        }
    }

    /// Everything that is left.
    pub(super) fn into_extra(self) -> Extra<'d> {
        let mut extra = Extra::default();
        for (child, standing) in self.children.iter().zip(self.standings) {
            if standing != Standing::Taken {
                let (Value::Text(value) | Value::Elements(value)) = &child.value;
                extra.add(child.tag.clone(), value.clone(), standing == Standing::Repeat);
            }
        }
        extra
    }

    fn taken(&mut self, place: usize) {
        if let Some(standing) = self.standings.get_mut(place) {
            *standing = Standing::Taken;
        }
    }

    /// The first text of one tag that is not taken yet, and its place; later ones become repeats.
    fn first(&mut self, spellings: &[&str]) -> Option<(&'c Text<'d>, usize)> {
        let mut first = None;
        for (place, (child, standing)) in self.children.iter().zip(&mut self.standings).enumerate() {
            if *standing == Standing::Taken || !spellings.iter().any(|tag| child.tag.eq_ignore_ascii_case(tag)) {
                continue;
            }
            let Value::Text(text) = &child.value else { continue };
            if first.is_none() {
                first = Some((text, place));
            } else {
                *standing = Standing::Repeat;
            }
        }
        first
    }
}
