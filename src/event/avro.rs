//! Events in Avro: one flat record of every type's fields, so that a topic is one table. What a type does not have is null.
//!
//! Writes and reads the datum; the framing is [`super::encoding`]'s. Does not depend on a schema registry.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::schema::schema;

/// The last released schema: its fields keep their places, so that a reader that knows fewer or more fields still reads.
const RELEASED: &str = include_str!("../../schemas/released/cardhook-events.v1.avsc");

/// How a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Long,
    Boolean,
    Extra,
}

#[derive(Debug)]
struct Field {
    name: String,
    description: String,
    kind: Kind,
    nullable: bool,
}

static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(fields);

/// The Avro schema of the events' values. Fields are only added, at the end and with a default.
#[must_use]
pub fn avro_schema() -> Value {
    let fields: Vec<Value> = FIELDS.iter().map(Field::avro).collect();
    json!({
        "type": "record",
        "name": "Event",
        "namespace": "cardhook.v1",
        "doc": "A card event of WeChat, or another message of the account. Fields that event_type does not have are null.",
        "fields": fields,
    })
}

impl Field {
    fn avro(&self) -> Value {
        let plain = match self.kind {
            Kind::Text => json!("string"),
            Kind::Long => json!("long"),
            Kind::Boolean => json!("boolean"),
            Kind::Extra => json!({ "type": "map", "values": ["string", { "type": "array", "items": "string" }] }),
        };
        let mut field = Map::new();
        field.insert("name".to_owned(), self.name.as_str().into());
        field.insert("type".to_owned(), if self.nullable { json!(["null", plain]) } else { plain });
        field.insert("doc".to_owned(), self.description.as_str().into());
        if self.nullable {
            field.insert("default".to_owned(), Value::Null);
        } else if self.kind == Kind::Boolean {
            field.insert("default".to_owned(), false.into());
        }
        Value::Object(field)
    }
}

/// Every field of every type, once: those of the released schema at their places, then the new ones.
fn fields() -> Vec<Field> {
    let schema = schema();
    let definitions: Vec<&Value> = schema["$defs"].as_object().into_iter().flat_map(Map::values).collect();
    let mut fields: Vec<Field> = Vec::new();
    for definition in &definitions {
        for (name, property) in definition["properties"].as_object().into_iter().flatten() {
            let (kind, nullable) = kind(property);
            if let Some(field) = fields.iter_mut().find(|field| field.name == *name) {
                field.nullable |= nullable;
            } else {
                let nullable = nullable || !definitions.iter().all(|other| other["properties"].get(name).is_some());
                let description = property["description"].as_str().unwrap_or_default().to_owned();
                fields.push(Field { name: name.clone(), description, kind, nullable });
            }
        }
    }
    let released: Value = serde_json::from_str(RELEASED).unwrap_or_default();
    let released: Vec<&str> =
        released["fields"].as_array().into_iter().flatten().filter_map(|field| field["name"].as_str()).collect();
    // Stable: new fields stay in their order behind the released ones.
    fields.sort_by_key(|field| released.iter().position(|name| *name == field.name).unwrap_or(usize::MAX));
    fields
}

fn kind(property: &Value) -> (Kind, bool) {
    let has = |name: &str| match &property["type"] {
        Value::String(only) => only == name,
        Value::Array(several) => several.iter().any(|one| one == name),
        _ => false,
    };
    let kind = match () {
        () if has("integer") => Kind::Long,
        () if has("boolean") => Kind::Boolean,
        () if has("object") => Kind::Extra,
        () => Kind::Text,
    };
    (kind, has("null"))
}

/// Why a datum was not written or read. Shows no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AvroError {
    /// A field of the JSON is missing or of another type.
    #[error("a field that Avro needs is missing, or of another type")]
    Field,
    /// The datum ends within a field.
    #[error("the Avro datum ends early")]
    Short,
    /// A length, a branch or a text that this schema cannot have.
    #[error("the datum was not written with cardhook's Avro schema")]
    Foreign,
}

/// Appends the datum of an event's JSON.
pub(super) fn write(event: &Map<String, Value>, datum: &mut Vec<u8>) -> Result<(), AvroError> {
    for field in FIELDS.iter() {
        let value = event.get(&field.name).unwrap_or(&Value::Null);
        if field.nullable {
            write_long(i64::from(!value.is_null()), datum);
            if value.is_null() {
                continue;
            }
        }
        match field.kind {
            Kind::Text => write_text(value.as_str().ok_or(AvroError::Field)?, datum),
            Kind::Long => write_long(value.as_i64().ok_or(AvroError::Field)?, datum),
            // Null: an event of a release that did not have the field.
            Kind::Boolean if value.is_null() => datum.push(0),
            Kind::Boolean => datum.push(u8::from(value.as_bool().ok_or(AvroError::Field)?)),
            Kind::Extra => write_extra(value.as_object().ok_or(AvroError::Field)?, datum)?,
        }
    }
    Ok(())
}

fn write_extra(extra: &Map<String, Value>, datum: &mut Vec<u8>) -> Result<(), AvroError> {
    write_count(extra.len(), datum);
    for (tag, value) in extra {
        write_text(tag, datum);
        if let Some(text) = value.as_str() {
            write_long(0, datum);
            write_text(text, datum);
            continue;
        }
        let values = value.as_array().ok_or(AvroError::Field)?;
        write_long(1, datum);
        write_count(values.len(), datum);
        for text in values {
            write_text(text.as_str().ok_or(AvroError::Field)?, datum);
        }
        if !values.is_empty() {
            write_long(0, datum);
        }
    }
    if !extra.is_empty() {
        write_long(0, datum);
    }
    Ok(())
}

/// A length or a block's count: no value is as long as 2^63.
fn write_count(count: usize, datum: &mut Vec<u8>) {
    write_long(i64::try_from(count).unwrap_or(i64::MAX), datum);
}

fn write_text(text: &str, datum: &mut Vec<u8>) {
    write_count(text.len(), datum);
    datum.extend_from_slice(text.as_bytes());
}

/// Zigzag, then seven bits a byte, the lowest first.
fn write_long(value: i64, datum: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest > 0x7f {
        datum.push(u8::try_from(rest & 0x7f).unwrap_or_default() | 0x80);
        rest >>= 7;
    }
    datum.push(u8::try_from(rest).unwrap_or_default());
}

/// Reads a datum back into the event's JSON. One of an older release ends before the newer fields, which are left out; what a
/// newer release added behind them is not read.
pub(super) fn read(datum: &[u8]) -> Result<Map<String, Value>, AvroError> {
    let mut rest = datum;
    let mut event = Map::new();
    for field in FIELDS.iter() {
        if rest.is_empty() && (field.nullable || field.kind == Kind::Boolean) {
            break;
        }
        let present = !field.nullable || read_branch(&mut rest)?;
        let value = match field.kind {
            _ if !present => Value::Null,
            Kind::Text => read_text(&mut rest)?.into(),
            Kind::Long => read_long(&mut rest)?.into(),
            Kind::Boolean => match read_byte(&mut rest)? {
                0 => false.into(),
                1 => true.into(),
                _ => return Err(AvroError::Foreign),
            },
            Kind::Extra => read_extra(&mut rest)?.into(),
        };
        event.insert(field.name.clone(), value);
    }
    Ok(event)
}

fn read_extra(rest: &mut &[u8]) -> Result<Map<String, Value>, AvroError> {
    let mut extra = Map::new();
    read_blocks(rest, |rest| {
        let tag = read_text(rest)?.to_owned();
        let value = if read_branch(rest)? {
            let mut values = Vec::new();
            read_blocks(rest, |rest| {
                values.push(Value::from(read_text(rest)?));
                Ok(())
            })?;
            values.into()
        } else {
            read_text(rest)?.into()
        };
        extra.insert(tag, value);
        Ok(())
    })?;
    Ok(extra)
}

/// An array's or a map's blocks; a negative count has the block's size in bytes behind it.
fn read_blocks<'d>(
    rest: &mut &'d [u8],
    mut item: impl FnMut(&mut &'d [u8]) -> Result<(), AvroError>,
) -> Result<(), AvroError> {
    loop {
        let count = read_long(rest)?;
        if count == 0 {
            return Ok(());
        }
        if count < 0 {
            read_long(rest)?;
        }
        for _ in 0..count.unsigned_abs() {
            item(rest)?;
        }
    }
}

/// Which branch of two.
fn read_branch(rest: &mut &[u8]) -> Result<bool, AvroError> {
    match read_long(rest)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(AvroError::Foreign),
    }
}

fn read_text<'d>(rest: &mut &'d [u8]) -> Result<&'d str, AvroError> {
    let length = usize::try_from(read_long(rest)?).map_err(|_| AvroError::Foreign)?;
    let (text, behind) = rest.split_at_checked(length).ok_or(AvroError::Short)?;
    *rest = behind;
    std::str::from_utf8(text).map_err(|_| AvroError::Foreign)
}

fn read_byte(rest: &mut &[u8]) -> Result<u8, AvroError> {
    let (byte, behind) = rest.split_first().ok_or(AvroError::Short)?;
    *rest = behind;
    Ok(*byte)
}

fn read_long(rest: &mut &[u8]) -> Result<i64, AvroError> {
    let mut zigzag = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = read_byte(rest)?;
        zigzag |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed());
        }
    }
    Err(AvroError::Foreign)
}
