//! Which events the spool knows, and where their records are.

use rusqlite::{Connection, OptionalExtension};

use super::{
    SpoolError,
    buckets::{Buckets, quarantined_seq},
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

/// What the spool knows of an id, if anything. One whose pending record does not read is not known: its re-delivery is the
/// only copy that there is.
pub(super) fn known(
    connection: &Connection,
    account: i64,
    id: &Id,
    quarantined: &mut Buckets,
) -> Result<Option<Known>, SpoolError> {
    let mut seq = None;
    if id.event_time == NO_EVENT_TIME {
        seq = quarantined_seq(connection, quarantined.live(connection)?, account, id.event_id)?;
    }
    if seq.is_none() {
        seq = ids::find(connection, account, id.event_time, id.event_id)?;
    }
    seq.map_or(Ok(None), |seq| at(connection, seq))
}

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
