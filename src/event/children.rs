//! Handing out a document's children: each goes to one field, and what none took is `extra`.
//!
//! It knows the rules of contract §1.2 about tags and repeats, and does not depend on which event has which field.

use std::collections::{BTreeMap, btree_map::Entry};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::value::{FieldValue, Text, part, trim};
use crate::protocol::{Child, Document, USUAL_CHILDREN, Value};

/// The tags a field is read from: the first group of which the push has one. The tags in a group are one tag spelt differently.
pub(super) type Tags = &'static [Spellings];
/// One tag in its spellings.
pub(super) type Spellings = &'static [&'static str];

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

/// A document's children while fields take them.
pub(super) struct Children<'c, 'd>(SmallVec<[Place<'c, 'd>; USUAL_CHILDREN]>);

struct Place<'c, 'd> {
    child: &'c Child<'d>,
    taken: bool,
    /// What a field looked for when it found this child: a later one of that tag is a repeat.
    found_as: Spellings,
}

impl<'c, 'd> Children<'c, 'd> {
    pub(super) fn new(document: &'c Document<'d>) -> Self {
        Self(document.children.iter().map(|child| Place { child, taken: false, found_as: &[] }).collect())
    }

    /// Whether there is such an element at all, an empty one included.
    pub(super) fn has(&self, tag: &str) -> bool {
        self.0.iter().any(|place| place.has(&[tag]))
    }

    /// Takes a field's value; one that does not parse stays for `extra`.
    pub(super) fn take<T: FieldValue<'d>>(&mut self, tags: Tags) -> Option<T> {
        let (index, text) = tags.iter().find_map(|tag| self.find(tag))?;
        let value = T::read(text.clone()).ok()?;
        self.taken(index);
        value
    }

    /// Takes a text of the envelope, trimmed; `None` when absent or empty.
    pub(super) fn take_trimmed(&mut self, tag: Spellings) -> Option<Text<'d>> {
        let (index, text) = self.find(tag)?;
        self.taken(index);
        Some(part(text.clone(), trim)).filter(|text| !text.is_empty())
    }

    /// Drops every child of this tag.
    pub(super) fn drop_all(&mut self, tag: &str) {
        for place in self.0.iter_mut().filter(|place| place.has(&[tag])) {
            place.taken = true;
        }
    }

    /// Everything that is left.
    pub(super) fn into_extra(self) -> Extra<'d> {
        let mut extra = Extra::default();
        for (index, place) in self.0.iter().enumerate().filter(|(_, place)| !place.taken) {
            let mut before = self.0.iter().take(index);
            let (value, repeated) = match &place.child.value {
                Value::Text(value) => (value, before.any(|earlier| place.has(earlier.found_as))),
                Value::Elements(value) => (value, false),
            };
            extra.add(place.child.tag.clone(), value.clone(), repeated);
        }
        extra
    }

    /// The first text of one tag that is not taken yet, and its index.
    fn find(&mut self, tag: Spellings) -> Option<(usize, &'c Text<'d>)> {
        self.0.iter_mut().enumerate().filter(|(_, place)| !place.taken && place.has(tag)).find_map(|(index, place)| {
            let Value::Text(text) = &place.child.value else { return None };
            place.found_as = tag;
            Some((index, text))
        })
    }

    fn taken(&mut self, index: usize) {
        if let Some(place) = self.0.get_mut(index) {
            place.taken = true;
        }
    }
}

impl Place<'_, '_> {
    fn has(&self, tag: &[&str]) -> bool {
        tag.iter().any(|spelling| self.child.tag.eq_ignore_ascii_case(spelling))
    }
}
