//! What a spool remembers, asked from beside its service: which ids, and which signatures are bound to an event.
//!
//! Reads what is committed: an id that was accepted in the last 100 ms may not be there yet.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Reader, SpoolError,
    batch::NO_EVENT_TIME,
    buckets::{Table, bound_to, buckets, quarantined_seq},
    database::LAYOUT_BEFORE,
};
use crate::event::EventId;

/// See the module.
#[derive(Debug)]
pub struct Memory {
    connection: Connection,
    nonces: Vec<i64>,
    quarantined: Vec<i64>,
}

impl Memory {
    /// Opens the memory of the spool in a folder, beside a running service too.
    ///
    /// # Errors
    /// When there is none, it is of another layout, or does not read.
    pub fn open(folder: &Path) -> Result<Self, SpoolError> {
        let Reader { connection, .. } = Reader::open(folder)?;
        // What the layout before held in another table too is found only once a service has opened it.
        if connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))? == LAYOUT_BEFORE {
            return Err(SpoolError::Layout { found: LAYOUT_BEFORE });
        }
        let mut memory = Self { connection, nonces: Vec::new(), quarantined: Vec::new() };
        memory.refresh()?;
        Ok(memory)
    }

    /// Takes in what was accepted since.
    ///
    /// # Errors
    /// When the database does not read.
    pub fn refresh(&mut self) -> Result<(), SpoolError> {
        self.nonces = buckets(&self.connection, Table::Bound)?;
        self.quarantined = buckets(&self.connection, Table::Quarantined)?;
        Ok(())
    }

    /// Whether an event is remembered: it was accepted, and is published or waits in the spool. Of a quarantined push the
    /// event time is 0.
    ///
    /// # Errors
    /// When the database does not read.
    pub fn knows(&self, account: &str, event_time: i64, id: EventId) -> Result<bool, SpoolError> {
        let Some(account) = self.number(account)? else { return Ok(false) };
        if event_time == NO_EVENT_TIME && quarantined_seq(&self.connection, &self.quarantined, account, id)?.is_some() {
            return Ok(true);
        }
        let ask = "SELECT 1 FROM remembered WHERE event_time = ? AND event_id = ? AND account = ?";
        let mut ask = self.connection.prepare_cached(ask)?;
        Ok(ask.exists(params![event_time, id.as_bytes(), account])?)
    }

    /// Whether a signature of timestamp and nonce is bound to another event than this one.
    ///
    /// # Errors
    /// When the database does not read.
    pub fn is_bound_to_another(&self, account: &str, signature: &[u8; 20], id: EventId) -> Result<bool, SpoolError> {
        let Some(account) = self.number(account)? else { return Ok(false) };
        Ok(bound_to(&self.connection, &self.nonces, account, signature, id)? == Some(false))
    }

    fn number(&self, account: &str) -> Result<Option<i64>, SpoolError> {
        let mut ask = self.connection.prepare_cached("SELECT id FROM account WHERE name = ?")?;
        Ok(ask.query_row([account], |row| row.get(0)).optional()?)
    }
}
