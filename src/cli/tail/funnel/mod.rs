//! From received to deleted, by `outer_str`: which channel's cards are activated, viewed and redeemed.
//!
//! What happens to a card counts for the channel through which it was received, whatever `outer_str` later events carry.
//! Each event counts once by its `event_id`, and each card once in each column. Memory is bounded: the latest event ids,
//! the latest cards and a number of rows are kept, about 200 MB when all are full.

mod cards;
mod stages;

use std::{collections::HashMap, fmt::Write as _};

use self::{
    cards::{Card, Key, Latest},
    stages::{Counts, Stage},
};
use super::line::{Event, printable};
use crate::cli::json_line::json_line;

/// How many event ids and how many cards are remembered.
const REMEMBERED: usize = 1_000_000;
/// How many channels have a row; cards of further ones share a row.
const ROWS: usize = 10_000;
/// How often a card is followed from owner to owner.
const OWNERS: usize = 64;

/// A channel's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Channel {
    Named(String),
    /// Received without an `outer_str`.
    Unnamed,
    /// Those that came after [`ROWS`] others.
    Others,
}

/// What has happened so far.
#[derive(Debug)]
pub(super) struct Funnel {
    rows: Vec<(Channel, Counts)>,
    row_of: HashMap<Channel, usize>,
    cards: Latest<Card>,
    events: Latest<()>,
    /// Events that came twice.
    duplicates: u64,
}

impl Default for Funnel {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            row_of: HashMap::new(),
            cards: Latest::new(REMEMBERED),
            events: Latest::new(REMEMBERED),
            duplicates: 0,
        }
    }
}

impl Funnel {
    /// Takes one event into account.
    pub(super) fn count(&mut self, event: &Event) {
        let event_type = event.text("event_type").unwrap_or_default();
        let stage = Stage::of(event_type);
        if stage.is_none() && event_type != "card.received" {
            return;
        }
        if let Some(id) = event.text("event_id") {
            let id = self.events.key(id);
            if !self.events.entry(id).1 {
                self.duplicates += 1;
                return;
            }
        }
        let Some(card) = self.key(event, "code") else { return };
        match stage {
            Some(stage) => self.reach(card, stage, event.time_ms()),
            None => self.receive(card, event),
        }
    }

    fn key(&self, event: &Event, code: &str) -> Option<Key> {
        Some(self.cards.key((event.text("card_id")?, event.text(code)?)))
    }

    fn receive(&mut self, card: Key, event: &Event) {
        // A gift gives the card a new code: it stays one card of the channel that put it out.
        if let Some(old) = self.key(event, "old_code").filter(|old| *old != card) {
            return self.give(old, card);
        }
        // Its next owner may be in another partition, and read before.
        let owned = self.latest_of(card);
        if self.cards.get(owned).is_some_and(|known| known.row.is_some()) {
            return;
        }
        let row = self.row(event.text("outer_str"));
        let known = self.cards.entry(owned).0;
        known.row = Some(row);
        known.received_ms = event.time_ms();
        let known = *known;
        if let Some((_, counts)) = self.rows.get_mut(row) {
            counts.received += 1;
            Stage::ALL
                .into_iter()
                .filter(|stage| known.stages & stage.bit() != 0)
                .for_each(|stage| counts.reach(stage));
            count_wait(counts, &known);
        }
    }

    /// The card `old` has become `new`.
    fn give(&mut self, old: Key, new: Key) {
        let owned = self.latest_of(new);
        if owned == old {
            // It came back.
            return;
        }
        let before = self.cards.entry(old).0;
        if before.became.is_some() {
            return;
        }
        let (row, received_ms) = (before.row, before.received_ms);
        let (stages, consumed_ms) = (before.stages, before.consumed_ms);
        before.became = Some(new);
        let after = self.cards.entry(owned).0;
        let added = after.stages & !stages;
        after.row = after.row.or(row);
        after.received_ms = received_ms;
        after.stages |= stages;
        after.consumed_ms = after.consumed_ms.or(consumed_ms);
        let after = *after;
        if let Some((_, counts)) = row.and_then(|row| self.rows.get_mut(row)) {
            Stage::ALL.into_iter().filter(|stage| added & stage.bit() != 0).for_each(|stage| counts.reach(stage));
            if added & Stage::Consumed.bit() != 0 {
                count_wait(counts, &after);
            }
        }
    }

    fn reach(&mut self, card: Key, stage: Stage, time_ms: Option<i64>) {
        let card = self.latest_of(card);
        let known = self.cards.entry(card).0;
        if known.stages & stage.bit() != 0 {
            return;
        }
        known.stages |= stage.bit();
        if stage == Stage::Consumed {
            known.consumed_ms = time_ms;
        }
        let known = *known;
        if let Some((_, counts)) = known.row.and_then(|row| self.rows.get_mut(row)) {
            counts.reach(stage);
            if stage == Stage::Consumed {
                count_wait(counts, &known);
            }
        }
    }

    fn latest_of(&self, card: Key) -> Key {
        let next = |card: &Key| self.cards.get(*card).and_then(|known| known.became);
        std::iter::successors(Some(card), next).take(OWNERS).last().unwrap_or(card)
    }

    fn row(&mut self, outer_str: Option<&str>) -> usize {
        let channel = outer_str.map_or(Channel::Unnamed, |name| Channel::Named(name.to_owned()));
        let channel =
            if self.rows.len() < ROWS || self.row_of.contains_key(&channel) { channel } else { Channel::Others };
        *self.row_of.entry(channel.clone()).or_insert_with(|| {
            self.rows.push((channel, Counts::default()));
            self.rows.len() - 1
        })
    }

    /// Most received first.
    fn sorted(&self) -> Vec<&(Channel, Counts)> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by(|(name, counts), (other, more)| more.received.cmp(&counts.received).then_with(|| name.cmp(other)));
        rows
    }

    /// The table, for people.
    pub(super) fn table(&self) -> String {
        let mut table = format!("{:>10}", "received");
        for stage in Stage::ALL {
            let _ = write!(table, " {:>18}", stage.name());
        }
        table += "    median  outer_str\n";
        for (channel, counts) in self.sorted() {
            let _ = write!(table, "{:>10}", counts.received);
            for stage in Stage::ALL {
                let _ = write!(table, " {:>10} {:>6.1}%", counts.reached(stage), counts.rate(stage) * 100.0);
            }
            let name = match channel {
                Channel::Named(name) => printable(name),
                Channel::Unnamed => "-".to_owned(),
                Channel::Others => "(others)".to_owned(),
            };
            let median = counts.median_wait().map_or_else(|| "-".to_owned(), duration);
            let _ = writeln!(table, " {median:>9}  {name}");
        }
        table
    }

    /// One JSON object a channel, one a line.
    pub(super) fn json(&self) -> String {
        let mut lines = String::new();
        for (channel, counts) in self.sorted() {
            let name = match channel {
                Channel::Named(name) => Some(name.as_str()),
                Channel::Unnamed => None,
                Channel::Others => Some("(others)"),
            };
            let mut row = serde_json::Map::new();
            row.insert("outer_str".to_owned(), name.into());
            row.insert("received".to_owned(), counts.received.into());
            for stage in Stage::ALL {
                row.insert(stage.name().to_owned(), counts.reached(stage).into());
            }
            for stage in Stage::ALL {
                row.insert(format!("{}_rate", stage.name()), counts.rate(stage).into());
            }
            row.insert("rate".to_owned(), counts.rate(Stage::Consumed).into());
            row.insert("median_seconds_to_consumed".to_owned(), counts.median_wait().into());
            let row = serde_json::Value::Object(row).to_string();
            lines += &String::from_utf8_lossy(&json_line(row.as_bytes()));
            lines.push('\n');
        }
        lines
    }

    /// What the table does not say.
    pub(super) fn remarks(&self) -> Vec<String> {
        let unattributed =
            self.cards.values().filter(|card| card.row.is_none() && card.became.is_none() && card.stages != 0);
        [
            (unattributed.count() as u64, "cards were received before what was read, and are not counted"),
            (self.duplicates, "events came twice and were counted once"),
            (
                self.cards.forgotten,
                "cards were forgotten, the oldest first: what happened to them later is not counted",
            ),
        ]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect()
    }
}

fn count_wait(counts: &mut Counts, card: &Card) {
    if let (Some(received), Some(consumed)) = (card.received_ms, card.consumed_ms) {
        // A card that the clocks say was consumed first has waited for no time.
        counts.waited(u64::try_from((consumed - received) / 1000).unwrap_or(0));
    }
}

/// The two largest units of so many seconds.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests;
