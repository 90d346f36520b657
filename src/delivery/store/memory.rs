//! What a spool remembers, asked from beside its service: which ids, and which signatures are bound to an event.
//!
//! Reads what is committed: an id that was accepted in the last 100 ms may not be there yet.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};

use super::{
    Reader, SpoolError,
    database::LAYOUT_BEFORE,
    known::{bound_to, remembered},
    upgrade,
};
use crate::event::EventId;

/// See the module.
#[derive(Debug)]
pub struct Memory {
    connection: Connection,
    layout: i64,
}

impl Memory {
    /// Opens the memory of the spool in a folder, beside a running service too.
    ///
    /// # Errors
    /// When there is none, it is of another layout, or does not read.
    pub fn open(folder: &Path) -> Result<Self, SpoolError> {
        let Reader { connection, layout, .. } = Reader::open(folder)?;
        Ok(Self { connection, layout })
    }

    /// Whether an event is remembered: it was accepted, and is published or waits in the spool. Of a quarantined push the
    /// event time is 0.
    ///
    /// # Errors
    /// When the database does not read.
    pub fn knows(&self, account: &str, event_time: i64, id: EventId) -> Result<bool, SpoolError> {
        let Some(account) = self.number(account)? else { return Ok(false) };
        if self.layout == LAYOUT_BEFORE {
            return upgrade::knew(&self.connection, account, event_time, id);
        }
        Ok(remembered(&self.connection, account, event_time, id)?.is_some())
    }

    /// Whether a signature of timestamp and nonce is bound to another event than this one.
    ///
    /// # Errors
    /// When the database does not read.
    pub fn is_bound_to_another(&self, account: &str, signature: &[u8; 20], id: EventId) -> Result<bool, SpoolError> {
        let Some(account) = self.number(account)? else { return Ok(false) };
        Ok(bound_to(&self.connection, account, signature, id)? == Some(false))
    }

    fn number(&self, account: &str) -> Result<Option<i64>, SpoolError> {
        let mut ask = self.connection.prepare_cached("SELECT id FROM account WHERE name = ?")?;
        Ok(ask.query_row([account], |row| row.get(0)).optional()?)
    }
}
