//! From the last released layout to this one: in one transaction, when a service opens the database.
//!
//! Layout 4 had a row for each remembered id, and the youngest ones in a table `recent`, a row for each commit; a pending record
//! did not say which event it is.

use rusqlite::{Connection, params};

use super::{
    SpoolError,
    database::{LAYOUT, QUARANTINED, all_there},
    ids::{self, Entry},
};
use crate::event::EventId;

/// Event time, id, account, seq; numbers are little-endian.
const ID_BYTES: usize = 8 + 16 + 8 + 8;

/// Ids copied at once, and those of the same second with them.
const IDS_AT_ONCE: usize = 10_000;

pub(super) fn upgrade(connection: &mut Connection) -> Result<(), SpoolError> {
    // Nothing is appended to a log that another process wrote (`log`).
    let whole: bool =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok(row.get::<_, i64>(0)? == 0))?;
    if !whole {
        return Err(SpoolError::LogInUse);
    }
    all_there(connection, &["account", "pending", "remembered", "recent", "bound", "counters"])?;
    let mut recent = recent_ids(connection)?;
    let transaction = connection.transaction()?;
    transaction.execute_batch("ALTER TABLE remembered RENAME TO remembered_before")?;
    transaction.execute_batch(ids::TABLE)?;
    copy_ids(&transaction)?;
    ids::write(&transaction, &mut recent)?;
    transaction.execute_batch(
        "DROP TABLE remembered_before;
         DROP TABLE recent;
         ALTER TABLE pending ADD COLUMN event_time INTEGER;
         ALTER TABLE pending ADD COLUMN event_id BLOB;
         ALTER TABLE counters ADD COLUMN quarantined INTEGER NOT NULL DEFAULT 0;",
    )?;
    transaction.execute_batch(QUARANTINED)?;
    transaction.pragma_update(None, "user_version", LAYOUT)?;
    transaction.commit()?;
    Ok(())
}

/// In the order of the seconds, so that each second is written once.
fn copy_ids(connection: &Connection) -> Result<(), SpoolError> {
    let mut rows =
        connection.prepare("SELECT event_time, event_id, account, seq FROM remembered_before ORDER BY event_time")?;
    let mut rows = rows.query([])?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        let (second, id) = (row.get(0)?, EventId::from_bytes(row.get(1)?));
        if ids.len() >= IDS_AT_ONCE && ids.last().is_some_and(|(last, _)| *last != second) {
            ids::write(connection, &mut ids)?;
            ids.clear();
        }
        ids.push((second, Entry { id, account: row.get(2)?, seq: row.get::<_, i64>(3)?.cast_unsigned() }));
    }
    ids::write(connection, &mut ids)
}

/// Whether an event is remembered in that layout.
pub(super) fn knew(connection: &Connection, account: i64, event_time: i64, id: EventId) -> Result<bool, SpoolError> {
    let (time, number) = (event_time.to_le_bytes(), account.to_le_bytes());
    // As it stands among the youngest ones, but for its seq.
    let youngest = [time.as_slice(), id.as_bytes(), number.as_slice()].concat();
    let ask = "SELECT EXISTS (SELECT 1 FROM remembered WHERE event_time = ? AND event_id = ? AND account = ?)
               OR EXISTS (SELECT 1 FROM recent WHERE instr(ids, ?))";
    let mut ask = connection.prepare_cached(ask)?;
    Ok(ask.query_row(params![event_time, id.as_bytes(), account, youngest], |row| row.get(0))?)
}

/// The youngest ones, each with its event second.
fn recent_ids(connection: &Connection) -> Result<Vec<(i64, Entry)>, SpoolError> {
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

fn decode(bytes: &[u8]) -> Option<(i64, Entry)> {
    let (second, rest) = bytes.split_first_chunk()?;
    let (id, rest) = rest.split_first_chunk()?;
    let (account, seq) = rest.split_first_chunk()?;
    let seq = u64::from_le_bytes(seq.try_into().ok()?);
    let entry = Entry { id: EventId::from_bytes(*id), account: i64::from_le_bytes(*account), seq };
    Some((i64::from_le_bytes(*second), entry))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::{
        delivery::{Lane, Memory, Reader, Verified, store::Spool},
        event::EventId,
    };

    /// A spool as the release before left it: six events wait in it.
    fn old_spool(folder: &Path) -> PathBuf {
        let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/spool-layout-4/spool.db");
        let database = folder.join("spool.db");
        std::fs::copy(old, &database).unwrap();
        database
    }

    fn knows_all(folder: &Path, ids: &[(i64, Entry)]) -> bool {
        let account: String = Connection::open(folder.join("spool.db"))
            .unwrap()
            .query_row("SELECT name FROM account WHERE id = ?", [ids[0].1.account], |row| row.get(0))
            .unwrap();
        let memory = Memory::open(folder).unwrap();
        ids.iter().all(|(event_time, entry)| memory.knows(&account, *event_time, entry.id).unwrap())
    }

    fn pending(folder: &Path) -> Vec<std::sync::Arc<[u8]>> {
        let page = Reader::open(folder).unwrap().pending(Lane::Events, 0, u64::MAX).unwrap();
        page.records.into_iter().map(|stored| stored.record.value).collect()
    }

    #[test]
    fn an_old_spool_is_read_before_its_upgrade_and_holds_the_same_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = old_spool(folder.path());
        let before = (pending(folder.path()), Reader::open(folder.path()).unwrap().counters().unwrap());
        assert_eq!(before.0.len(), 6);
        let ids = recent_ids(&Connection::open(&database).unwrap()).unwrap();
        assert!(!ids.is_empty(), "the fixture has ids in that table");
        assert!(knows_all(folder.path(), &ids));
        drop(Spool::open(folder.path(), &[]).unwrap());
        let after = (pending(folder.path()), Reader::open(folder.path()).unwrap().counters().unwrap());
        assert_eq!(after, before);
        assert!(knows_all(folder.path(), &ids));
        assert!(Verified::of(&Reader::open(folder.path()).unwrap()).unwrap().is_whole());
    }

    #[test]
    fn an_old_spool_is_asked_for_quarantined_pushes_too() {
        let folder = tempfile::tempdir().unwrap();
        let database = Connection::open(old_spool(folder.path())).unwrap();
        let quarantined = EventId::of_quarantined("shop", b"not xml");
        let insert = "INSERT INTO remembered (event_time, event_id, account, seq) VALUES (0, ?, (SELECT min(id) FROM account), 1)";
        database.execute(insert, [quarantined.as_bytes()]).unwrap();
        let account: String = database.query_row("SELECT name FROM account ORDER BY id", [], |row| row.get(0)).unwrap();
        let memory = Memory::open(folder.path()).unwrap();
        assert!(memory.knows(&account, 0, quarantined).unwrap());
        assert!(!memory.knows(&account, 0, EventId::of_quarantined("shop", b"another")).unwrap());
    }

    #[test]
    fn an_old_spool_that_misses_a_table_is_damaged_and_its_records_are_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let database = old_spool(folder.path());
        Connection::open(&database).unwrap().execute_batch("DROP TABLE recent").unwrap();
        let before = pending(folder.path());
        drop(Spool::open(folder.path(), &[]).unwrap());
        assert_eq!(pending(folder.path()), before);
        assert_eq!(before.len(), 6);
    }
}
