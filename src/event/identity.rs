//! Who an event is: the UUID v5 of contract §1.4.
//!
//! Takes every direct child as it is: it does not depend on which field a child becomes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha1::{Digest, Sha1};
use smallvec::SmallVec;
use uuid::{Builder, Uuid};

use super::value::trim;
use crate::protocol::{Child, Document, USUAL_CHILDREN, Value};

/// UUID v5 of the DNS namespace and `cardhook`.
const NAMESPACE: Uuid = Uuid::from_u128(0x4338_04dc_a6c6_57c0_9326_aad3_dd53_0afb);

/// More than the lines of any usual card event.
const USUAL_BYTES: usize = 1024;

/// An event's stable id: the same on every replica, in every mode, after every restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(Uuid);

impl EventId {
    /// The id of a push: UUID v5 of its lines `tag=value`, sorted, without `Encrypt`.
    pub(super) fn of(document: &Document<'_>) -> Self {
        let children = document.children.iter().filter(|child| !child.tag.eq_ignore_ascii_case("Encrypt"));
        // With the line's first bytes as a number, by which nearly every two lines differ.
        let mut sorted: SmallVec<[_; USUAL_CHILDREN]> = children.map(|child| (beginning(&child.tag), child)).collect();
        sorted.sort_unstable_by(|(a_begins, a), (b_begins, b)| {
            a_begins.cmp(b_begins).then_with(|| lines([*a]).cmp(&lines([*b])))
        });
        Self::of_parts([lines(sorted.iter().map(|(_, child)| *child)).as_bytes()])
    }

    /// The id of a quarantined push (contract §3.2): UUID v5 of account name, LF and body.
    #[must_use]
    pub fn of_quarantined(account: &str, body: &[u8]) -> Self {
        Self::of_parts([account.as_bytes(), b"\n", body])
    }

    /// An id from its 16 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// UUID v5 of the parts' concatenation. Not `Uuid::new_v5`, whose SHA-1 is slower and wants one slice.
    fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut sha1 = Sha1::new_with_prefix(NAMESPACE.as_bytes());
        for part in parts {
            sha1.update(part);
        }
        let digest: [u8; 20] = sha1.finalize().into();
        let [id @ .., _, _, _, _] = digest;
        Self(Builder::from_sha1_bytes(id).into_uuid())
    }
}

/// The first eight bytes of a line, ordered as they are. Where tag and `=` are shorter, zeros stand behind them.
fn beginning(tag: &str) -> u64 {
    let mut bytes = [0; 8];
    for (place, byte) in bytes.iter_mut().zip(tag.bytes().chain([b'='])) {
        *place = byte;
    }
    u64::from_be_bytes(bytes)
}

fn lines<'c, 'd: 'c>(children: impl IntoIterator<Item = &'c Child<'d>>) -> String {
    let mut lines = String::with_capacity(USUAL_BYTES);
    for child in children {
        lines.push_str(&child.tag);
        lines.push('=');
        let (Value::Text(value) | Value::Elements(value)) = &child.value;
        push_escaped(&mut lines, trim(value));
        lines.push('\n');
    }
    lines
}

/// Keeps one child one line: `\` and LF become `\\` and `\n`.
fn push_escaped(line: &mut String, value: &str) {
    if !value.bytes().any(|byte| matches!(byte, b'\\' | b'\n')) {
        return line.push_str(value);
    }
    for piece in value.split_inclusive(['\\', '\n']) {
        if let Some(clean) = piece.strip_suffix('\n') {
            line.push_str(clean);
            line.push_str("\\n");
        } else {
            line.push_str(piece);
            if piece.ends_with('\\') {
                line.push('\\');
            }
        }
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map(Self).map_err(de::Error::custom)
    }
}

impl JsonSchema for EventId {
    fn schema_name() -> Cow<'static, str> {
        "EventId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uuid" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::tests::{document, nested};

    const CLAIM: [(&str, &str); 6] = [
        ("ToUserName", "gh_invented"),
        ("FromUserName", "oUser1"),
        ("CreateTime", "1472552642"),
        ("MsgType", "event"),
        ("Event", "user_get_card"),
        ("UserCardCode", "001"),
    ];

    fn id(children: &[(&str, &str)]) -> String {
        EventId::of(&document(children)).to_string()
    }

    #[test]
    fn the_namespace_is_the_one_of_cardhook() {
        assert_eq!(NAMESPACE, Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"cardhook"));
    }

    /// Python: `uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_DNS, "cardhook"), name)`, the name put together by the contract's rule.
    #[test]
    fn the_id_is_the_one_that_python_computes() {
        assert_eq!(id(&CLAIM), "a385b194-227e-5120-a958-7cad6bcf5683");
    }

    /// Python, as above.
    #[test]
    fn backslashes_line_feeds_and_elements_are_written_as_the_contract_says() {
        let mut with_elements = document(&[("A", "  x\\y\nz ")]);
        with_elements.children.push(nested("B", "<i>1</i>"));
        assert_eq!(EventId::of(&with_elements).to_string(), "882e1265-7693-5668-9b63-5c2ed141fc34");
    }

    #[test]
    fn the_order_of_the_children_and_blanks_around_values_do_not_count() {
        let mut reversed = CLAIM;
        reversed.reverse();
        assert_eq!(id(&reversed), id(&CLAIM));
        let padded = CLAIM.map(|(tag, value)| (tag, format!(" {value}\n")));
        assert_eq!(
            EventId::of(&document(&padded.each_ref().map(|(tag, value)| (*tag, value.as_str())))).to_string(),
            id(&CLAIM)
        );
    }

    #[test]
    fn encrypt_does_not_count_however_it_is_written() {
        for tag in ["Encrypt", "encrypt"] {
            assert_eq!(id(&[&CLAIM[..], &[(tag, "abc")]].concat()), id(&CLAIM));
        }
    }

    #[test]
    fn two_claims_of_one_user_in_one_second_have_different_ids() {
        let mut second = CLAIM;
        second[5].1 = "002";
        assert_ne!(id(&second), id(&CLAIM));
    }

    #[test]
    fn a_line_feed_in_a_value_cannot_pass_for_another_child() {
        assert_ne!(id(&[("A", "1\nB=2")]), id(&[("A", "1"), ("B", "2")]));
        assert_ne!(id(&[("A", "1\\nB=2")]), id(&[("A", "1\nB=2")]));
    }

    #[test]
    fn a_quarantined_push_is_known_by_account_and_body() {
        let expected = Uuid::new_v5(&NAMESPACE, b"shop\n<xml/>").to_string();
        assert_eq!(EventId::of_quarantined("shop", b"<xml/>").to_string(), expected);
        assert_ne!(EventId::of_quarantined("cafe", b"<xml/>").to_string(), expected);
    }

    proptest! {
        /// As contract §1.4 has it, word by word.
        #[test]
        fn an_id_is_made_of_the_sorted_lines(children in prop::collection::vec(("[ab.]{1,10}", "[a1=\\\\\n]{0,3}"), 0..20)) {
            let escaped = |value: &str| trim(value).replace('\\', "\\\\").replace('\n', "\\n");
            let mut lines: Vec<_> = children.iter().map(|(tag, value)| format!("{tag}={}\n", escaped(value))).collect();
            lines.sort();
            let children: Vec<_> = children.iter().map(|(tag, value)| (tag.as_str(), value.as_str())).collect();
            prop_assert_eq!(id(&children), Uuid::new_v5(&NAMESPACE, lines.concat().as_bytes()).to_string());
        }
    }

    #[test]
    fn an_id_reads_back_from_json() {
        let written = EventId::of_quarantined("shop", b"");
        let json = serde_json::to_string(&written).unwrap();
        assert_eq!(json, format!("\"{written}\""));
        assert_eq!(serde_json::from_str::<EventId>(&json).unwrap(), written);
    }
}
