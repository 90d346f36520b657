//! From the last released layout to this one: in one transaction, when a service opens the database.
//!
//! Layout 4 kept its youngest ids in a table `recent`, a row for each commit; a pending record did not say which event it is.

use rusqlite::{Connection, params};

use super::{SpoolError, database::LAYOUT};

/// Event time, id, account, seq; numbers are little-endian.
const ID_BYTES: usize = 8 + 16 + 8 + 8;

/// Where an id stood among the remembered ones, and the seq that came with it.
type Recent = (i64, [u8; 16], i64, i64);

pub(super) fn upgrade(connection: &mut Connection) -> Result<(), SpoolError> {
    // Nothing is appended to a log that another process wrote (`log`).
    let whole: bool =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok(row.get::<_, i64>(0)? == 0))?;
    if !whole {
        return Err(SpoolError::LogInUse);
    }
    let recent = recent_ids(connection)?;
    let transaction = connection.transaction()?;
    let mut insert = transaction.prepare("INSERT OR IGNORE INTO remembered VALUES (?, ?, ?, ?)")?;
    for (event_time, event_id, account, seq) in recent {
        insert.execute(params![event_time, event_id, account, seq])?;
    }
    drop(insert);
    transaction.execute_batch(
        "DROP TABLE recent;
         ALTER TABLE pending ADD COLUMN event_time INTEGER;
         ALTER TABLE pending ADD COLUMN event_id BLOB;
         ALTER TABLE counters ADD COLUMN quarantined INTEGER NOT NULL DEFAULT 0;
         CREATE TABLE quarantined (
           bucket INTEGER NOT NULL, event_id BLOB NOT NULL, account INTEGER NOT NULL, seq INTEGER NOT NULL,
           PRIMARY KEY (bucket, event_id, account)) WITHOUT ROWID;",
    )?;
    transaction.pragma_update(None, "user_version", LAYOUT)?;
    transaction.commit()?;
    Ok(())
}

fn recent_ids(connection: &Connection) -> Result<Vec<Recent>, SpoolError> {
    let unreadable = || SpoolError::Incomplete { what: "an id does not read" };
    let mut commits = connection.prepare("SELECT ids FROM recent")?;
    let mut commits = commits.query([])?;
    let mut ids = Vec::new();
    while let Some(commit) = commits.next()? {
        for id in commit.get_ref(0)?.as_blob().map_err(|_| unreadable())?.chunks(ID_BYTES) {
            ids.push(decode(id).ok_or_else(unreadable)?);
        }
    }
    Ok(ids)
}

fn decode(bytes: &[u8]) -> Option<Recent> {
    let (event_time, rest) = bytes.split_first_chunk()?;
    let (id, rest) = rest.split_first_chunk()?;
    let (account, seq) = rest.split_first_chunk()?;
    let seq = i64::from_le_bytes(seq.try_into().ok()?);
    Some((i64::from_le_bytes(*event_time), *id, i64::from_le_bytes(*account), seq))
}
