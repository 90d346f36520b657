//! A damaged database: how it is recognised at a start, and what is taken over from it after it was set aside.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use super::{Append, Batch, LAYOUT, Reader, Spool, SpoolError, database::all_there, each_page, read_counters, row_id};
use crate::delivery::Lane;

/// How long a start looks for damage among the pending records: a whole check of a large database takes minutes.
const LOOK: Duration = Duration::from_secs(1);

/// Looks for damage where a start and the first events would meet it: in the schema, the counters, the pending records'
/// places (for a bounded time) and both ends of what is remembered.
pub(super) fn look_for_damage(connection: &Connection) -> Result<(), SpoolError> {
    all_there(connection, &["account", "pending", "remembered", "quarantined", "bound", "counters"])?;
    read_counters(connection, LAYOUT)?;
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
        taken.damaged += each_page(&reader, lane, |page| {
            let mut batch = spool.batch()?;
            for stored in page {
                let name = reader.account_name(stored.account).ok();
                let account = accounts.iter().position(|known| Some(known) == name.as_ref());
                adopt(&mut batch, &stored.clone().append(lane, account))?;
            }
            batch.commit()?;
            taken.records += page.len() as u64;
            spool.move_log_when_due()
        })?;
    }
    Ok(taken)
}

/// Stores a record of another database in the place that it had there, unless a start before this one has done so. Its
/// id, where that is known, is remembered with it.
fn adopt(batch: &mut Batch<'_>, append: &Append) -> Result<(), SpoolError> {
    let place = row_id(append.lane, append.seq.0);
    if batch.transaction.prepare_cached("SELECT 1 FROM pending WHERE id = ?")?.exists([place])? {
        return Ok(());
    }
    batch.append(append)?;
    batch.counters.last_seq = batch.counters.last_seq.max(append.seq.0);
    Ok(())
}

#[cfg(test)]
mod tests;
