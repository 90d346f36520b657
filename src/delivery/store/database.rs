//! The database: its tables, and how it is opened.

use std::path::Path;

use rusqlite::{Connection, Error};

use super::{Counters, SEQ_BITS, SpoolError, damage::look_for_damage, ids, log::Log, upgrade::upgrade};

/// `PRAGMA user_version` of this layout.
pub(super) const LAYOUT: i64 = 5;

/// The layout of the last released version: opened, and made into this one.
pub(super) const LAYOUT_BEFORE: i64 = 4;

const SCHEMA: &str = "
CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE pending (
  id INTEGER PRIMARY KEY, account INTEGER NOT NULL, received_at INTEGER NOT NULL, timestamp INTEGER NOT NULL,
  key BLOB, headers BLOB NOT NULL, value BLOB NOT NULL, event_time INTEGER, event_id BLOB);
CREATE TABLE bound (
  bucket INTEGER NOT NULL, signature BLOB NOT NULL, account INTEGER NOT NULL, event_id BLOB NOT NULL,
  PRIMARY KEY (bucket, signature, account)) WITHOUT ROWID;
CREATE TABLE counters (
  id INTEGER PRIMARY KEY CHECK (id = 0), last_seq INTEGER NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL,
  parked INTEGER NOT NULL, remembered INTEGER NOT NULL, bound INTEGER NOT NULL,
  quarantined INTEGER NOT NULL DEFAULT 0);
INSERT INTO counters VALUES (0, 0, 0, 0, 0, 0, 0, 0);
";

/// A table that the layout before did not have.
pub(super) const QUARANTINED: &str = "
CREATE TABLE quarantined (
  bucket INTEGER NOT NULL, event_id BLOB NOT NULL, account INTEGER NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY (bucket, event_id, account)) WITHOUT ROWID;
";

/// Opens or creates the database, brings the last released layout up to this one, and looks for damage.
pub(super) fn connect(database: &Path) -> Result<(Connection, Log), SpoolError> {
    let mut connection = Connection::open(database)?;
    let log = Log::of(&connection, database)?;
    // A page of twice the usual size takes six usual records in place of three, and half as many writes: about a tenth less
    // CPU an event. It counts for a new database only.
    connection.execute_batch(
        "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864;
         PRAGMA temp_store = MEMORY; PRAGMA busy_timeout = 250; PRAGMA cache_size = -6144;",
    )?;
    connection.set_prepared_statement_cache_capacity(32);
    create_or_check(&mut connection)?;
    look_for_damage(&connection)?;
    Ok((connection, log))
}

fn create_or_check(connection: &mut Connection) -> Result<(), SpoolError> {
    let layout: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match layout {
        LAYOUT => Ok(()),
        LAYOUT_BEFORE => upgrade(connection),
        0 => {
            let transaction = connection.transaction()?;
            if transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))? != 0 {
                return Err(SpoolError::Incomplete { what: "its layout is not known" });
            }
            transaction.execute_batch(SCHEMA)?;
            transaction.execute_batch(QUARANTINED)?;
            transaction.execute_batch(ids::TABLE)?;
            transaction.pragma_update(None, "user_version", LAYOUT)?;
            transaction.commit()?;
            Ok(())
        }
        found => Err(SpoolError::Layout { found }),
    }
}

/// The counters of this layout or of the one before.
pub(super) fn read_counters(connection: &Connection, layout: i64) -> Result<Counters, SpoolError> {
    let quarantined = if layout == LAYOUT_BEFORE { "0" } else { "quarantined" };
    let row = &format!("SELECT last_seq, records, bytes, parked, remembered, bound, {quarantined} FROM counters");
    let mut numbers = [0; 7];
    let read = connection.query_row(row, [], |row| {
        for (index, number) in numbers.iter_mut().enumerate() {
            *number = row.get::<_, i64>(index)?.cast_unsigned();
        }
        Ok(())
    });
    if matches!(read, Err(Error::QueryReturnedNoRows | Error::InvalidColumnType(..))) {
        return Err(SpoolError::Counters);
    }
    read?;
    // A seq would reach into the lane's bits, and sums would overflow.
    if numbers.iter().any(|number| number >> SEQ_BITS != 0) {
        return Err(SpoolError::Counters);
    }
    let [last_seq, records, bytes, parked, remembered, bound, quarantined] = numbers;
    Ok(Counters { last_seq, records, bytes, parked, remembered, bound, quarantined })
}

/// A database that misses a table is damaged.
pub(super) fn all_there(connection: &Connection, tables: &[&str]) -> Result<(), SpoolError> {
    for table in tables {
        if !connection.table_exists(None, *table)? {
            return Err(SpoolError::Incomplete { what: "a table is missing" });
        }
    }
    Ok(())
}

/// The number of an account; a new one where it has none.
pub(super) fn account_number(connection: &Connection, name: &str) -> Result<i64, SpoolError> {
    connection.execute(
        "INSERT OR IGNORE INTO account (id, name) VALUES ((SELECT coalesce(max(id), -1) + 1 FROM account), ?)",
        [name],
    )?;
    Ok(connection.query_row("SELECT id FROM account WHERE name = ?", [name], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without them it works as well, and slower: nothing else would show that they got lost.
    #[test]
    fn sqlite_is_compiled_with_the_flags_of_cargo_config() {
        let connection = Connection::open_in_memory().unwrap();
        let used = |option: &str| -> bool {
            connection.query_row("SELECT sqlite_compileoption_used(?)", [option], |row| row.get(0)).unwrap()
        };
        assert!(used("DEFAULT_MEMSTATUS=0"), "LIBSQLITE3_FLAGS of .cargo/config.toml did not arrive");
        assert!(!used("ENABLE_MEMORY_MANAGEMENT"));
    }
}
