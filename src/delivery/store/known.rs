//! Which events the spool knows, and where their records are.

use rusqlite::{Connection, OptionalExtension, types::Value};

use super::{
    SpoolError,
    buckets::Table,
    ids,
    reader::{COLUMNS, stored},
    row_id,
};
use crate::{
    delivery::{Lane, pending::Seq},
    event::EventId,
};

/// The event time of what has none: a quarantined push.
pub(in crate::delivery) const NO_EVENT_TIME: i64 = 0;

/// Names an event.
#[expect(clippy::struct_field_names, reason = "an id has many parts, and this one is called the event's id")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::delivery) struct Id {
    /// Index into `Settings::accounts`.
    pub(in crate::delivery) account: usize,
    /// Unix seconds; 0 for a quarantined push.
    pub(in crate::delivery) event_time: i64,
    pub(in crate::delivery) event_id: EventId,
}

/// Where a remembered event's record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) struct Known {
    /// The lane in which it is pending; `None`: it is in Kafka.
    pub(in crate::delivery) lane: Option<Lane>,
    pub(in crate::delivery) seq: Seq,
}

/// The seq under which an event is remembered.
pub(super) fn remembered(
    connection: &Connection,
    account: i64,
    event_time: i64,
    id: EventId,
) -> Result<Option<u64>, SpoolError> {
    if event_time == NO_EVENT_TIME
        && let Some(seq) = Table::Quarantined.find::<i64>(connection, id.as_bytes(), account)?
    {
        return Ok(Some(seq.cast_unsigned()));
    }
    ids::find(connection, account, event_time, id)
}

/// Whether a signature is bound to this event; `None` when it is bound to none.
pub(super) fn bound_to(
    connection: &Connection,
    account: i64,
    signature: &[u8; 20],
    id: EventId,
) -> Result<Option<bool>, SpoolError> {
    let first: Option<Value> = Table::Bound.find(connection, signature, account)?;
    Ok(first.map(|first| first == Value::Blob(id.as_bytes().to_vec())))
}

/// What the spool knows of the event that is remembered under a seq. One whose pending record does not read is not known: its
/// re-delivery is the only copy that there is.
pub(super) fn at(connection: &Connection, seq: u64) -> Result<Option<Known>, SpoolError> {
    Ok(lane_of(connection, seq)?.map(|lane| Known { lane, seq: Seq(seq) }))
}

/// The lane in which a seq is pending, if any; `None` when its record is there and does not read.
#[expect(clippy::option_option, reason = "whether it reads, and where it is")]
pub(super) fn lane_of(connection: &Connection, seq: u64) -> Result<Option<Option<Lane>>, SpoolError> {
    let mut row = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM pending WHERE id = ?"))?;
    for lane in Lane::ALL {
        let found = row.query_row([row_id(lane, seq)], |row| Ok(stored(row).is_ok())).optional()?;
        if let Some(reads) = found {
            return Ok(reads.then_some(Some(lane)));
        }
    }
    Ok(Some(None))
}
