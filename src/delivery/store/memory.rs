//! What a spool remembers, asked from beside its service: which ids, and which signatures are bound to an event.
//!
//! Reads what is committed: an id that was accepted in the last 100 ms may not be there yet.

use std::{collections::HashSet, path::Path};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Reader, SpoolError,
    buckets::{Table, bound_to, buckets, quarantined_seq},
    database::LAYOUT_BEFORE,
    ids,
    known::NO_EVENT_TIME,
    upgrade::recent_ids,
};
use crate::event::EventId;

/// See the module.
#[derive(Debug)]
pub struct Memory {
    connection: Connection,
    layout: i64,
    nonces: Vec<i64>,
    quarantined: Vec<i64>,
    /// Of the layout before: its youngest ids, event time, id and account each.
    recent: HashSet<(i64, [u8; 16], i64)>,
}

impl Memory {
    /// Opens the memory of the spool in a folder, beside a running service too.
    ///
    /// # Errors
    /// When there is none, it is of another layout, or does not read.
    pub fn open(folder: &Path) -> Result<Self, SpoolError> {
        let Reader { connection, layout, .. } = Reader::open(folder)?;
        let (nonces, quarantined, recent) = Default::default();
        let mut memory = Self { connection, layout, nonces, quarantined, recent };
        memory.refresh()?;
        Ok(memory)
    }

    /// Takes in what was accepted since.
    ///
    /// # Errors
    /// When the database does not read.
    pub fn refresh(&mut self) -> Result<(), SpoolError> {
        self.nonces = buckets(&self.connection, Table::Bound)?;
        if self.layout == LAYOUT_BEFORE {
            let recent = recent_ids(&self.connection)?.into_iter();
            self.recent = recent.map(|(event_time, id, account, _)| (event_time, id, account)).collect();
        } else {
            self.quarantined = buckets(&self.connection, Table::Quarantined)?;
        }
        Ok(())
    }

    /// Whether an event is remembered: it was accepted, and is published or waits in the spool. Of a quarantined push the
    /// event time is 0.
    ///
    /// # Errors
    /// When the database does not read.
    pub fn knows(&self, account: &str, event_time: i64, id: EventId) -> Result<bool, SpoolError> {
        let Some(account) = self.number(account)? else { return Ok(false) };
        if self.recent.contains(&(event_time, *id.as_bytes(), account)) {
            return Ok(true);
        }
        if event_time == NO_EVENT_TIME && quarantined_seq(&self.connection, &self.quarantined, account, id)?.is_some() {
            return Ok(true);
        }
        if self.layout == LAYOUT_BEFORE {
            let ask = "SELECT 1 FROM remembered WHERE event_time = ? AND event_id = ? AND account = ?";
            let mut ask = self.connection.prepare_cached(ask)?;
            return Ok(ask.exists(params![event_time, id.as_bytes(), account])?);
        }
        Ok(ids::find(&self.connection, account, event_time, id)?.is_some())
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
