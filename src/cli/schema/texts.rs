//! What the event catalogue says and the types do not: when WeChat sends an event, why a field is null, and all in Chinese.
//!
//! Each pair is English, then Chinese. A test holds the tables to the types.

mod fields;
mod page;
mod types;

pub(super) use self::{
    fields::FIELDS,
    page::{COMMON, FIELDS_HEAD, FILES, HEAD, TYPES_HEAD},
    types::TYPES,
};

/// A type's texts.
pub(super) struct TypeTexts {
    pub(super) name: &'static str,
    /// What it is, in Chinese; English is the type's own documentation.
    pub(super) chinese: &'static str,
    /// When WeChat sends it, and what to know about it.
    pub(super) when: [&'static str; 2],
}

/// A field's texts, the same in every type.
pub(super) struct FieldTexts {
    pub(super) name: &'static str,
    /// What it is, in Chinese; English is the field's own documentation.
    pub(super) chinese: &'static str,
    /// Why it is null, where more is known than [`ABSENT`].
    pub(super) null: Option<[&'static str; 2]>,
}

pub(super) fn of_type(name: &str) -> Option<&'static TypeTexts> {
    TYPES.iter().find(|texts| texts.name == name)
}

pub(super) fn of_field(name: &str) -> Option<&'static FieldTexts> {
    FIELDS.iter().find(|texts| texts.name == name)
}

pub(super) const ABSENT: [&str; 2] = ["absent or empty in the push", "推送中没有该元素或元素为空"];
pub(super) const NEVER: [&str; 2] = ["never", "从不"];
pub(super) const EXAMPLE: [&str; 2] = ["A whole example", "完整示例"];
