//! From received to consumed, by `outer_str`: which channel's cards are redeemed.
//!
//! A redemption counts for the channel through which its card was received, whatever `outer_str` the till sent.
//! Keeps every card in memory; a card is counted once, so a record that arrives twice changes nothing.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Write as _},
    rc::Rc,
};

use super::line::{Event, printable};
use crate::event::CardCode;

/// A card in a user's hands: `card_id` and code.
type Card = (String, CardCode);

#[derive(Debug)]
struct Holding {
    channel: Option<Rc<str>>,
    consumed: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    received: u64,
    consumed: u64,
}

impl Counts {
    #[expect(clippy::cast_precision_loss, reason = "a rate shown with three digits")]
    fn rate(self) -> f64 {
        if self.received == 0 { 0.0 } else { self.consumed as f64 / self.received as f64 }
    }
}

/// What has been received and consumed so far.
#[derive(Debug, Default)]
pub(super) struct Funnel {
    holdings: HashMap<Card, Holding>,
    /// `None`: received without an `outer_str`.
    channels: BTreeMap<Option<Rc<str>>, Counts>,
    /// Redeemed, but received before what was read.
    unattributed: u64,
}

impl Funnel {
    /// Takes one event into account.
    pub(super) fn count(&mut self, event: &Event) {
        match event.event_type.as_str() {
            "card.received" => self.received(event),
            "card.consumed" => self.consumed(event),
            _ => (),
        }
    }

    fn received(&mut self, event: &Event) {
        let Some(card) = card(event, event.code.as_ref()) else { return };
        if self.holdings.contains_key(&card) {
            return;
        }
        // A gift gives the card a new code: it stays one card of the channel that put it out.
        let given = card_before(event).and_then(|old| self.holdings.remove(&old));
        let holding = given.unwrap_or_else(|| {
            let channel: Option<Rc<str>> = event.outer_str.as_deref().map(Rc::from);
            self.channels.entry(channel.clone()).or_default().received += 1;
            Holding { channel, consumed: false }
        });
        self.holdings.insert(card, holding);
    }

    fn consumed(&mut self, event: &Event) {
        let holding = card(event, event.code.as_ref()).and_then(|card| self.holdings.get_mut(&card));
        match holding {
            Some(holding) if !holding.consumed => {
                holding.consumed = true;
                self.channels.entry(holding.channel.clone()).or_default().consumed += 1;
            }
            Some(_) => (),
            None => self.unattributed += 1,
        }
    }

    /// Prints the table, or one JSON object a channel.
    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if json {
            for (channel, counts) in &self.channels {
                let (received, consumed) = (counts.received, counts.consumed);
                let row = serde_json::json!({
                    "outer_str": channel.as_deref(), "received": received, "consumed": consumed, "rate": counts.rate(),
                });
                writeln!(out, "{row}")?;
            }
        } else {
            writeln!(out, "{:>10} {:>10} {:>7}  outer_str", "received", "consumed", "rate")?;
            for (channel, counts) in &self.channels {
                let name = channel.as_deref().map_or_else(|| "-".to_owned(), printable);
                let rate = counts.rate() * 100.0;
                writeln!(out, "{:>10} {:>10} {rate:>6.1}%  {name}", counts.received, counts.consumed)?;
            }
        }
        if self.unattributed > 0 {
            crate::cli::note(format_args!("{} redemptions of cards that were received before", self.unattributed));
        }
        Ok(())
    }
}

fn card(event: &Event, code: Option<&CardCode>) -> Option<Card> {
    Some((event.card_id.as_deref()?.to_owned(), code?.clone()))
}

fn card_before(event: &Event) -> Option<Card> {
    card(event, event.old_code.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(funnel: &mut Funnel, event_type: &str, fields: serde_json::Value) {
        let mut value = fields;
        value["event_time"] = "2026-08-30T10:24:02Z".into();
        value["event_type"] = event_type.into();
        value["card_id"] = "pTEST".into();
        funnel.count(&serde_json::from_str(&value.to_string()).unwrap());
    }

    fn of(funnel: &Funnel, channel: Option<&str>) -> (u64, u64) {
        let counts = funnel.channels.get(&channel.map(Rc::from)).copied().unwrap_or_default();
        (counts.received, counts.consumed)
    }

    #[test]
    fn a_redemption_counts_for_the_channel_that_the_card_came_through() {
        let mut funnel = Funnel::default();
        feed(&mut funnel, "card.received", serde_json::json!({"code": "01", "outer_str": "poster"}));
        feed(&mut funnel, "card.received", serde_json::json!({"code": "02", "outer_str": "poster"}));
        feed(&mut funnel, "card.received", serde_json::json!({"code": "03", "outer_str": null}));
        feed(&mut funnel, "card.consumed", serde_json::json!({"code": "01", "outer_str": "till-4"}));
        assert_eq!(of(&funnel, Some("poster")), (2, 1));
        assert_eq!(of(&funnel, None), (1, 0));
        assert_eq!(of(&funnel, Some("till-4")), (0, 0));
    }

    #[test]
    fn a_record_that_arrives_twice_counts_once() {
        let mut funnel = Funnel::default();
        for _ in 0..2 {
            feed(&mut funnel, "card.received", serde_json::json!({"code": "01", "outer_str": "poster"}));
            feed(&mut funnel, "card.consumed", serde_json::json!({"code": "01"}));
        }
        assert_eq!(of(&funnel, Some("poster")), (1, 1));
    }

    #[test]
    fn a_gifted_card_stays_one_card_of_its_channel() {
        let mut funnel = Funnel::default();
        feed(&mut funnel, "card.received", serde_json::json!({"code": "01", "outer_str": "poster"}));
        feed(&mut funnel, "card.received", serde_json::json!({"code": "02", "old_code": "01", "outer_str": null}));
        feed(&mut funnel, "card.consumed", serde_json::json!({"code": "02"}));
        assert_eq!(of(&funnel, Some("poster")), (1, 1));
        assert_eq!(of(&funnel, None), (0, 0));
    }

    #[test]
    fn a_card_received_before_is_not_attributed() {
        let mut funnel = Funnel::default();
        feed(&mut funnel, "card.consumed", serde_json::json!({"code": "09", "outer_str": "poster"}));
        assert_eq!((funnel.unattributed, of(&funnel, Some("poster"))), (1, (0, 0)));
    }
}
