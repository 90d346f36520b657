//! A damaged database: how it is recognised at a start, and what is taken over from it after it was set aside.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use super::{Batch, Id, Reader, Row, Spool, SpoolError, Stored, read_counters, row_id};
use crate::delivery::Lane;

/// How long a start looks for damage among the pending records: a whole check of a large database takes minutes.
const LOOK: Duration = Duration::from_secs(1);
/// Records taken over in one transaction.
const AT_ONCE: usize = 512;
/// Bytes of their values.
const BYTES_AT_ONCE: usize = 2 * 1024 * 1024;

/// Looks for damage where a start and the first events would meet it: in the schema, the counters, the pending records'
/// places (for a bounded time) and both ends of what is remembered.
pub(super) fn look_for_damage(connection: &Connection) -> Result<(), SpoolError> {
    let tables = "SELECT count(*) FROM sqlite_schema
                  WHERE name IN ('account', 'pending', 'remembered', 'quarantined', 'bound', 'counters')";
    if connection.query_row(tables, [], |row| row.get::<_, i64>(0))? != 6 {
        return Err(SpoolError::Incomplete { what: "a table is missing" });
    }
    read_counters(connection)?;
    // One end at a time: both at once would be a walk over all rows.
    for end in
        ["min(key) FROM remembered", "max(key) FROM remembered", "min(bucket) FROM bound", "max(bucket) FROM bound"]
    {
        connection.query_row(&format!("SELECT {end}"), [], |_| Ok(()))?;
    }
    let began = Instant::now();
    let mut places = connection.prepare("SELECT id FROM pending")?;
    let mut places = places.query([])?;
    while places.next()?.is_some() && began.elapsed() < LOOK {}
    Ok(())
}

/// Says what was found, and what to do about it.
pub(super) fn report(damage: &SpoolError, aside: &Path) {
    let at = aside.display();
    tracing::error!(
        %damage,
        "the spool's database is damaged. It was set aside as {at}; a new one is begun. Its remembered ids are not known any \
         more: a re-delivery of an event from before is published again, under the same event_id. To look into it: \
         cardhook spool verify --file {at}; cardhook spool export --file {at}"
    );
}

/// Takes what reads of the pending records of a database that was set aside over, in their places.
pub(super) fn take_over(spool: &mut Spool, accounts: &[String]) {
    let Some(aside) = spool.folder.to_take_over() else { return };
    match copy(spool, accounts, &aside) {
        Ok(Taken { records, damaged: 0 }) => tracing::warn!(records, "its pending records were taken over"),
        Ok(Taken { records, damaged }) => {
            tracing::error!(records, damaged, "its pending records were taken over, but for those in damaged places");
        }
        Err(error) if error.is_damage() => tracing::error!(%error, "none of its pending records reads"),
        Err(error) => {
            return tracing::error!(%error, "its pending records were not all taken over; the next start goes on");
        }
    }
    spool.folder.took_over();
}

/// What became of the pending records.
struct Taken {
    records: u64,
    /// Places that do not read: a record each, or many.
    damaged: u64,
}

fn copy(spool: &mut Spool, accounts: &[String], aside: &Path) -> Result<Taken, SpoolError> {
    let reader = Reader::open_file(aside)?;
    let mut taken = Taken { records: 0, damaged: 0 };
    for lane in Lane::ALL {
        let mut after = 0;
        loop {
            let page = reader.pending(lane, after, u64::MAX, AT_ONCE, BYTES_AT_ONCE)?;
            let mut batch = spool.batch()?;
            for Stored { seq, account, received_at_ms, record, event } in &page.records {
                let name = reader.account_name(*account).ok();
                let account = accounts.iter().position(|known| Some(known) == name.as_ref());
                let id = account.zip(*event);
                let id = id.map(|(account, (event_time, event_id))| Id { account, event_time, event_id });
                adopt(&mut batch, &Row { lane, seq: *seq, account, received_at_ms: *received_at_ms, record, id })?;
            }
            batch.commit()?;
            spool.move_log_when_due()?;
            taken.records += page.records.len() as u64;
            taken.damaged += page.damaged;
            if page.complete {
                break;
            }
            after = page.last;
        }
    }
    Ok(taken)
}

/// Stores a record of another database in the place that it had there, unless a start before this one has done so. Its
/// id, where that is known, is remembered with it.
fn adopt(batch: &mut Batch<'_>, row: &Row<'_>) -> Result<(), SpoolError> {
    let place = row_id(row.lane, row.seq);
    if batch.transaction.prepare_cached("SELECT 1 FROM pending WHERE id = ?")?.exists([place])? {
        return Ok(());
    }
    batch.append(row)?;
    batch.counters.last_seq = batch.counters.last_seq.max(row.seq);
    Ok(())
}

#[cfg(test)]
mod tests;
