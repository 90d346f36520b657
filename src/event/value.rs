//! The types a field of contract §1.2 can have, and how each reads its element's text.
//!
//! Does not depend on which event has which field: that is [`super::table`].

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::time::UtcSeconds;

/// A text as it stands in the push. Borrowed from it, unless the XML had something in it to resolve or to repair.
pub(super) type Text<'d> = Cow<'d, str>;

/// The element's text is none of the field's type: the field is null, and the raw text stands in `extra`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

/// A field's type.
pub(super) trait FieldValue<'d>: Sized {
    /// Reads an element's text; `None` is null.
    fn read(text: Text<'d>) -> Result<Option<Self>, Unreadable>;

    /// The value of a field that is text.
    fn as_text(&self) -> Option<&str> {
        None
    }
}

/// Trims XML's white space, and no other: `str::trim` would take a no-break space that is data.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

/// The part of a text that `cut` leaves.
pub(super) fn part(text: Text<'_>, cut: impl FnOnce(&str) -> &str) -> Text<'_> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(cut(text)),
        Cow::Owned(text) => Cow::Owned(cut(&text).to_owned()),
    }
}

macro_rules! personal {
    ($($(#[$doc:meta])+ $Name:ident;)+) => {$(
        $(#[$doc])+
        ///
        /// Personal: Debug hides it; it serialises as it is.
        #[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $Name<'d>(Text<'d>);

        impl<'d> $Name<'d> {
            /// Takes it as WeChat sent it.
            #[must_use]
            pub fn new(text: impl Into<Cow<'d, str>>) -> Self {
                Self(text.into())
            }

            /// The whole value, not for logs.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Debug for $Name<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($Name), "(…)"))
            }
        }

        impl<'d> FieldValue<'d> for $Name<'d> {
            fn read(text: Text<'d>) -> Result<Option<Self>, Unreadable> {
                Ok(Text::read(text)?.map(Self))
            }

            fn as_text(&self) -> Option<&str> {
                Some(&self.0)
            }
        }
    )+};
}

personal! {
    /// A user of one Official Account.
    OpenId;
    /// A user across the accounts of one Open Platform.
    UnionId;
    /// A card as the merchant made it; every user's copy has the same one.
    CardId;
    /// One user's copy of a card: up to 20 characters, leading zeros kept.
    CardCode;
}

impl<'d> FieldValue<'d> for Text<'d> {
    fn read(text: Text<'d>) -> Result<Option<Self>, Unreadable> {
        Ok((!text.is_empty()).then_some(text))
    }

    fn as_text(&self) -> Option<&str> {
        Some(self)
    }
}

impl<'d> FieldValue<'d> for i64 {
    fn read(text: Text<'d>) -> Result<Option<Self>, Unreadable> {
        match trim(&text) {
            "" => Ok(None),
            number => number.parse().map(Some).map_err(|_| Unreadable),
        }
    }
}

impl<'d> FieldValue<'d> for bool {
    fn read(text: Text<'d>) -> Result<Option<Self>, Unreadable> {
        match trim(&text) {
            "" => Ok(None),
            "1" | "true" => Ok(Some(true)),
            "0" | "false" => Ok(Some(false)),
            _ => Err(Unreadable),
        }
    }
}

impl<'d> FieldValue<'d> for UtcSeconds {
    fn read(text: Text<'d>) -> Result<Option<Self>, Unreadable> {
        i64::read(text)?.map(|seconds| Self::new(seconds).ok_or(Unreadable)).transpose()
    }
}

/// A time of an order; WeChat writes 0 for "not yet".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct OrderTime(pub UtcSeconds);

impl<'d> FieldValue<'d> for OrderTime {
    fn read(text: Text<'d>) -> Result<Option<Self>, Unreadable> {
        Ok(UtcSeconds::read(text)?.filter(|time| time.seconds() != 0).map(Self))
    }
}

/// How a card was redeemed: an open set (`FROM_API`, `FROM_MP`, …), without the parentheses that old pushes have around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ConsumeSource<'d>(Text<'d>);

impl<'d> FieldValue<'d> for ConsumeSource<'d> {
    fn read(text: Text<'d>) -> Result<Option<Self>, Unreadable> {
        let bare = part(text, |text| text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text));
        Ok(Text::read(bare)?.map(Self))
    }

    fn as_text(&self) -> Option<&str> {
        Some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_a_personal_value() {
        assert_eq!(format!("{:?}", CardCode::new("072975907291")), "CardCode(…)");
    }

    #[test]
    fn integers_are_ascii_decimal_with_an_optional_sign_in_64_bits() {
        for (text, number) in
            [("0", 0), ("007", 7), ("-3", -3), ("+3", 3), (" 5\n", 5), ("9223372036854775807", i64::MAX)]
        {
            assert_eq!(i64::read(text.into()), Ok(Some(number)), "{text}");
        }
        for text in ["abc", "1.0", "1 0", "0x1", "１", "9223372036854775808", "+", "- 1", "\u{a0}1"] {
            assert_eq!(i64::read(text.into()), Err(Unreadable), "{text}");
        }
        assert_eq!(i64::read(" \r\n\t".into()), Ok(None));
    }

    #[test]
    fn booleans_are_digits_or_words() {
        for (text, truth) in [("0", false), ("1", true), ("false", false), ("true", true), (" true ", true)] {
            assert_eq!(bool::read(text.into()), Ok(Some(truth)));
        }
        assert_eq!(bool::read("".into()), Ok(None));
        assert_eq!(bool::read("2".into()), Err(Unreadable));
        assert_eq!(bool::read("yes".into()), Err(Unreadable));
    }

    #[test]
    fn an_order_time_of_zero_is_null_and_one_beyond_9999_is_unreadable() {
        assert_eq!(OrderTime::read("0".into()), Ok(None));
        assert_eq!(OrderTime::read("1453295737".into()), Ok(UtcSeconds::new(1_453_295_737).map(OrderTime)));
        assert_eq!(OrderTime::read("253402300800".into()), Err(Unreadable));
        assert_eq!(OrderTime::read("-1".into()), Err(Unreadable));
    }

    #[test]
    fn a_consume_source_loses_one_pair_of_parentheses() {
        let read = |text: &'static str| ConsumeSource::read(text.into()).unwrap().map(|source| source.0);
        assert_eq!(read("(FROM_API)").as_deref(), Some("FROM_API"));
        assert_eq!(read("FROM_API").as_deref(), Some("FROM_API"));
        assert_eq!(read("(FROM_API").as_deref(), Some("(FROM_API"));
        assert_eq!(read("()"), None);
    }
}
