//! The last remembered ids: in memory, and on disk one row for each commit, which only a start reads. Some thousand at once
//! they move to their places among the others.
//!
//! Ids are in no order within their second. Were each put into its place at once, the appends of one commit would write
//! nearly every page of that second; so they write one row, and once there are many, a pass moves them in the order of their
//! places, a part with each commit: it writes few pages, and no append waits for the whole.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Bound,
};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{Spool, SpoolError};
use crate::event::EventId;

/// So many begin a pass.
const MANY: usize = 8192;
/// How many move for each append: more than one, so that a pass ends before the next is due.
pub(in crate::delivery) const IDS_MOVED: usize = 2;
/// So many stay in memory after they moved, the youngest: about five megabytes.
const KEPT: usize = 65_536;

/// Where an id stands among the remembered ones: event time, id, account.
pub(super) type Place = (i64, [u8; 16], i64);

/// The place of an id.
pub(super) fn place(event_time: i64, id: EventId, account: i64) -> Place {
    (event_time, *id.as_bytes(), account)
}

/// The places of the ids that have not moved yet.
pub(super) fn recent_places(connection: &Connection) -> Result<HashSet<Place>, SpoolError> {
    Ok(read_ids::<Vec<_>>(connection)?.into_iter().map(|(place, _)| place).collect())
}

fn read_ids<Ids: Default + Extend<(Place, Id)>>(connection: &Connection) -> Result<Ids, SpoolError> {
    let mut commits = connection.prepare("SELECT ids FROM recent")?;
    let mut commits = commits.query([])?;
    let mut ids = Ids::default();
    while let Some(commit) = commits.next()? {
        let unreadable = || SpoolError::Incomplete { what: "an id does not read" };
        for id in commit.get_ref(0)?.as_blob().map_err(|_| unreadable())?.chunks(ID_BYTES) {
            ids.extend([decode(id).ok_or_else(unreadable)?]);
        }
    }
    Ok(ids)
}

/// The ids of the table `recent`, and the youngest of those that moved.
#[derive(Debug)]
pub(super) struct Recent {
    ids: BTreeMap<Place, Id>,
    unmoved: usize,
    pass: Option<Pass>,
    /// Of this event time and later, every id is here.
    complete_from: i64,
}

/// Event time, id, account, seq; numbers are little-endian.
const ID_BYTES: usize = 8 + 16 + 8 + 8;

fn encode(ids: &mut Vec<u8>, (event_time, id, account): &Place, seq: u64) {
    ids.extend_from_slice(&event_time.to_le_bytes());
    ids.extend_from_slice(id);
    ids.extend_from_slice(&account.to_le_bytes());
    ids.extend_from_slice(&seq.to_le_bytes());
}

/// What `encode` wrote.
fn decode(bytes: &[u8]) -> Option<(Place, Id)> {
    let (event_time, rest) = bytes.split_first_chunk()?;
    let (id, rest) = rest.split_first_chunk()?;
    let (account, seq) = rest.split_first_chunk()?;
    let place = (i64::from_le_bytes(*event_time), *id, i64::from_le_bytes(*account));
    Some((place, Id { seq: u64::from_le_bytes(seq.try_into().ok()?), moved: false }))
}

/// The ids up to a seq are on the move: those up to a place have arrived.
#[derive(Debug, Clone, Copy)]
struct Pass {
    upto: u64,
    arrived: Bound<Place>,
}

#[derive(Debug, Clone, Copy)]
struct Id {
    seq: u64,
    moved: bool,
}

impl Recent {
    pub(super) fn read(connection: &Connection) -> Result<Self, SpoolError> {
        let newest = "SELECT max(event_time) FROM remembered";
        let newest: Option<i64> = connection.query_row(newest, [], |row| row.get(0))?;
        let ids: BTreeMap<Place, Id> = read_ids(connection)?;
        let complete_from = newest.map_or(i64::MIN, |newest| newest.saturating_add(1));
        Ok(Self { unmoved: ids.len(), ids, pass: None, complete_from })
    }

    /// The seq that came with an id; asks the database only for what can be there alone.
    pub(super) fn seq_of(&self, place: &Place, connection: &Connection) -> Result<Option<u64>, SpoolError> {
        if let Some(id) = self.ids.get(place) {
            return Ok(Some(id.seq));
        }
        let (event_time, id, account) = place;
        if *event_time >= self.complete_from {
            return Ok(None);
        }
        let seq = connection
            .prepare_cached("SELECT seq FROM remembered WHERE event_time = ? AND event_id = ? AND account = ?")?
            .query_row(params![event_time, id, account], |row| row.get(0).map(i64::cast_unsigned));
        Ok(seq.optional()?)
    }

    /// The next ones of a pass, in the order of their places.
    fn part(&self, pass: Pass, limit: usize) -> impl Iterator<Item = (&Place, &Id)> {
        self.ids
            .range((pass.arrived, Bound::Unbounded))
            .filter(move |(_, id)| !id.moved && id.seq <= pass.upto)
            .take(limit)
    }

    /// They have arrived, up to a place; without one, all of the pass.
    fn moved(&mut self, pass: Pass, last: Option<Place>) {
        let end = last.map_or(Bound::Unbounded, Bound::Included);
        for (_, id) in self.ids.range_mut((pass.arrived, end)).filter(|(_, id)| !id.moved && id.seq <= pass.upto) {
            id.moved = true;
            self.unmoved -= 1;
        }
        self.pass = last.map(|last| Pass { arrived: Bound::Excluded(last), ..pass });
        while self.ids.len() > KEPT
            && let Some(first) = self.ids.first_entry().filter(|first| first.get().moved)
        {
            let ((event_time, ..), _) = first.remove_entry();
            self.complete_from = self.complete_from.max(event_time.saturating_add(1));
        }
    }

    /// Ids up to an event time are being forgotten: from now on the database alone says which are left.
    fn forget(&mut self, event_time: i64) {
        self.complete_from = self.complete_from.max(event_time.saturating_add(1));
        if self.ids.first_key_value().is_some_and(|((first, ..), _)| *first <= event_time) {
            self.ids.retain(|place, id| !id.moved || place.0 > event_time);
        }
    }
}

/// What a transaction adds, taken back unless it is committed.
#[derive(Debug)]
pub(super) struct Additions<'a> {
    recent: &'a mut Recent,
    added: Vec<(Place, u64)>,
    /// The key of their row: above those of the rows before, whatever the seqs.
    row: u64,
    /// Of which pass ids move, and up to which place.
    moving: Option<(Pass, Option<Place>)>,
}

impl<'a> Additions<'a> {
    pub(super) fn to(recent: &'a mut Recent) -> Self {
        Self { recent, added: Vec::new(), row: 0, moving: None }
    }

    /// With those of this transaction.
    pub(super) fn so_far(&self) -> &Recent {
        self.recent
    }

    /// Also right when the transaction is not committed.
    pub(super) fn forget(&mut self, event_time: i64) {
        self.recent.forget(event_time);
    }

    /// An id with its seq, and a seq of this transaction.
    pub(super) fn add(&mut self, place: Place, seq: u64, of_this: u64) {
        if self.added.is_empty() {
            self.row = of_this;
        }
        self.recent.ids.insert(place, Id { seq, moved: false });
        self.recent.unmoved += 1;
        self.added.push((place, seq));
    }

    /// Writes the row of this commit.
    pub(super) fn write(&self, connection: &Connection) -> Result<(), SpoolError> {
        if self.added.is_empty() {
            return Ok(());
        }
        let mut ids = Vec::with_capacity(self.added.len() * ID_BYTES);
        for (place, seq) in &self.added {
            encode(&mut ids, place, *seq);
        }
        connection.prepare_cached("INSERT INTO recent VALUES (?, ?)")?.execute(params![self.row.cast_signed(), ids])?;
        Ok(())
    }

    /// Moves up to `limit` ids of the pass under way; with the last ones go the rows of their commits. Once they are many, one
    /// begins with those up to the seq `last`.
    pub(super) fn move_some(&mut self, connection: &Connection, limit: usize, last: u64) -> Result<(), SpoolError> {
        let begun = (self.recent.unmoved >= MANY).then_some(Pass { upto: last, arrived: Bound::Unbounded });
        match self.recent.pass.or(begun) {
            Some(pass) if limit > 0 => self.move_part(connection, pass, limit),
            Some(_) | None => Ok(()),
        }
    }

    fn move_part(&mut self, connection: &Connection, pass: Pass, limit: usize) -> Result<(), SpoolError> {
        // Where a damaged disk brought an old page of the table back, or a run ended within a pass, an id may be there already.
        let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO remembered VALUES (?, ?, ?, ?)")?;
        let (mut count, mut end) = (0, None);
        for (place, id) in self.recent.part(pass, limit) {
            let (event_time, event_id, account) = place;
            insert.execute(params![event_time, event_id, account, id.seq.cast_signed()])?;
            (count, end) = (count + 1, Some(*place));
        }
        if count < limit {
            let upto = pass.upto.cast_signed();
            connection.prepare_cached("DELETE FROM recent WHERE first_seq <= ?")?.execute([upto])?;
            end = None;
        }
        self.moving = Some((pass, end));
        Ok(())
    }

    /// The transaction is committed.
    pub(super) fn keep(&mut self) {
        self.added.clear();
        if let Some((pass, end)) = self.moving.take() {
            self.recent.moved(pass, end);
        }
    }
}

impl Drop for Additions<'_> {
    fn drop(&mut self) {
        for (place, _) in self.added.drain(..) {
            self.recent.ids.remove(&place);
            self.recent.unmoved -= 1;
        }
    }
}

impl Spool {
    /// Moves all recent ids to their places, in a transaction of its own: when that fails, no append fails with it.
    pub(in crate::delivery) fn move_ids(&mut self) -> Result<(), SpoolError> {
        if self.recent.unmoved == 0 {
            return Ok(());
        }
        self.begin_log_anew()?;
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let mut moves = Additions::to(&mut self.recent);
        let pass = Pass { upto: u64::MAX >> 1, arrived: Bound::Unbounded };
        moves.move_part(&transaction, pass, usize::MAX)?;
        transaction.commit()?;
        moves.keep();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
