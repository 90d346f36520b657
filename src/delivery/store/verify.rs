//! Whether a spool is whole: what SQLite says, and every pending record read.

use super::{Reader, SpoolError, export::each_page, lane_range};
use crate::delivery::Lane;

/// What a look at all of a spool found.
#[derive(Debug, Default)]
pub struct Verified {
    /// What is wrong with the database, a line each.
    pub wrong: Vec<String>,
    /// Pending records that read.
    pub records: u64,
    /// Places among them that do not.
    pub damaged: u64,
}

impl Verified {
    /// SQLite's own check of the database, the number of pending records, then every one of them read.
    ///
    /// # Errors
    /// When the database cannot be read at all.
    pub fn of(reader: &Reader) -> Result<Self, SpoolError> {
        let mut verified = Self::default();
        if let Err(error) = check(reader, &mut verified.wrong).and_then(|()| check_number(reader, &mut verified.wrong))
        {
            verified.wrong.push(error.to_string());
        }
        for lane in Lane::ALL {
            verified.damaged += each_page(reader, lane, |page| {
                verified.records += page.len() as u64;
                Ok::<_, SpoolError>(())
            })?;
        }
        Ok(verified)
    }

    /// Nothing was found.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.wrong.is_empty() && self.damaged == 0
    }
}

fn check(reader: &Reader, wrong: &mut Vec<String>) -> Result<(), SpoolError> {
    let mut check = reader.connection.prepare("PRAGMA integrity_check(100)")?;
    let mut lines = check.query([])?;
    while let Some(row) = lines.next()? {
        let line: String = row.get(0)?;
        wrong.extend((line != "ok").then_some(line));
    }
    Ok(())
}

/// A page of another table in the place of a page of records is a tree like any other to SQLite.
fn check_number(reader: &Reader, wrong: &mut Vec<String>) -> Result<(), SpoolError> {
    // One statement, so that a writer beside it comes before or after all of it. A place in no lane is no record's.
    let ranges = Lane::ALL.map(lane_range).map(|(low, high)| format!("id > {low} AND id <= {high}")).join(" OR ");
    let numbers = format!("SELECT records, (SELECT count(*) FROM pending WHERE {ranges}) FROM counters");
    let (counted, found): (i64, i64) =
        reader.connection.query_row(&numbers, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if counted != found {
        wrong.push(format!("{found} pending records are there, and {counted} were counted"));
    }
    Ok(())
}
