//! Received, consumed, deleted and given away by `outer_str`, in bounded memory (Space-Saving): the largest channels are right,
//! each with its error bound, however many there are.

mod cards;

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use cards::{ByHash, Cards};

/// Channels counted since the start.
const CHANNELS: usize = 1000;
/// Channels counted in one slice of a window.
const SLICE_CHANNELS: usize = 250;
/// Rows shown.
const TOP: usize = 50;
/// Letters kept of an `outer_str`: WeChat's own bound is 128 bytes.
const LONGEST: usize = 128;
/// Milliseconds and number of a window's slices.
const SLICES: [(i64, usize); 2] = [(300_000, 12), (3_600_000, 24)];

/// Over which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Over {
    /// The last hour.
    #[serde(rename = "1h")]
    Hour,
    /// The last 24 hours.
    #[serde(rename = "24h")]
    Day,
    /// Since the start.
    #[default]
    #[serde(rename = "start")]
    Start,
}

/// What a customer does with a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Received,
    Consumed,
    Deleted,
    Gifted,
}

impl Stage {
    /// The stage that an event type is.
    pub(super) fn of(event_type: &str) -> Option<Self> {
        Some(match event_type {
            "card.received" => Self::Received,
            "card.consumed" => Self::Consumed,
            "card.deleted" => Self::Deleted,
            "card.gifted" => Self::Gifted,
            _ => return None,
        })
    }
}

/// How many reached each stage.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Stages {
    /// Received a card.
    pub received: u64,
    /// Redeemed it.
    pub consumed: u64,
    /// Deleted it.
    pub deleted: u64,
    /// Gave it away.
    pub gifted: u64,
}

impl Stages {
    fn add(&mut self, stage: Stage) {
        *match stage {
            Stage::Received => &mut self.received,
            Stage::Consumed => &mut self.consumed,
            Stage::Deleted => &mut self.deleted,
            Stage::Gifted => &mut self.gifted,
        } += 1;
    }

    fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            consumed: self.consumed + other.consumed,
            deleted: self.deleted + other.deleted,
            gifted: self.gifted + other.gifted,
        }
    }

    fn less(self, other: Self) -> Self {
        Self {
            received: self.received.saturating_sub(other.received),
            consumed: self.consumed.saturating_sub(other.consumed),
            deleted: self.deleted.saturating_sub(other.deleted),
            gifted: self.gifted.saturating_sub(other.gifted),
        }
    }

    fn all(self) -> u64 {
        self.received + self.consumed + self.deleted + self.gifted
    }
}

/// One channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Channel {
    /// As the merchant wrote it when the card was put out; null for cards without one.
    pub outer_str: Option<String>,
    /// How many reached each stage, at least.
    #[serde(flatten)]
    pub stages: Stages,
    /// How many more it can have been, all stages together.
    pub error: u64,
}

/// The largest channels, and the others together.
#[derive(Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Funnel {
    /// At most 50, the largest first.
    pub channels: Vec<Channel>,
    /// All others.
    pub rest: Stages,
}

/// Account and channel, with their hash: 64 random bits, so that two channels hardly ever meet.
#[derive(Debug, Clone)]
struct Key {
    hash: u64,
    account: usize,
    channel: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
struct Counter {
    key: Key,
    stages: Stages,
    error: u64,
}

/// Space-Saving: when a new channel finds no counter, it takes the smallest one over, and with it that one's error.
#[derive(Debug, Default)]
struct Top {
    places: ByHash<usize>,
    counters: Vec<Counter>,
    /// By account, over all channels.
    totals: Vec<Stages>,
}

fn cut(text: &str) -> &str {
    let end = text.char_indices().nth(LONGEST).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or(text)
}

impl Top {
    fn counted(&self, hash: u64) -> Option<&Key> {
        Some(&self.counters.get(*self.places.get(&hash)?)?.key)
    }

    fn add(&mut self, key: &Key, stage: Stage, limit: usize) {
        if self.totals.len() <= key.account {
            self.totals.resize(key.account + 1, Stages::default());
        }
        if let Some(total) = self.totals.get_mut(key.account) {
            total.add(stage);
        }
        let place = self.places.get(&key.hash).copied().or_else(|| self.place_for(key, limit));
        if let Some(counter) = place.and_then(|place| self.counters.get_mut(place)) {
            counter.stages.add(stage);
        }
    }

    fn place_for(&mut self, key: &Key, limit: usize) -> Option<usize> {
        let mut new = Counter { key: key.clone(), stages: Stages::default(), error: 0 };
        if self.counters.len() < limit {
            self.places.insert(key.hash, self.counters.len());
            self.counters.push(new);
            return Some(self.counters.len() - 1);
        }
        let (place, smallest) =
            self.counters.iter_mut().enumerate().min_by_key(|(_, counter)| counter.stages.all() + counter.error)?;
        new.error = smallest.stages.all() + smallest.error;
        self.places.remove(&smallest.key.hash);
        self.places.insert(key.hash, place);
        *smallest = new;
        Some(place)
    }
}

/// A window of slices: the oldest is thrown away as a whole.
#[derive(Debug, Default)]
struct Sliced(VecDeque<(i64, Top)>);

/// The funnel of all accounts.
#[derive(Debug, Default)]
pub(super) struct Channels {
    start: Top,
    windows: [Sliced; 2],
    cards: Cards,
    hasher: RandomState,
}

impl Channels {
    /// Takes an event's own words: its channel, and the code of the card that it is about.
    pub(super) fn add(
        &mut self,
        account: usize,
        stage: Stage,
        outer_str: Option<&str>,
        code: Option<&str>,
        now_ms: i64,
    ) {
        let named = self.key(account, outer_str.map(cut));
        let key = match (stage, code) {
            (Stage::Received, Some(code)) => {
                self.cards.remember(account, code, named.channel.clone());
                named
            }
            (_, Some(code)) if outer_str.is_none() => self.key(account, self.cards.channel(account, code)),
            (_, Some(_) | None) => named,
        };
        self.start.add(&key, stage, CHANNELS);
        for (window, (slice_ms, slices)) in self.windows.iter_mut().zip(SLICES) {
            let number = now_ms.div_euclid(slice_ms);
            if window.0.back().is_none_or(|(last, _)| *last < number) {
                if window.0.len() == slices {
                    window.0.pop_front();
                }
                window.0.push_back((number, Top::default()));
            }
            if let Some((_, slice)) = window.0.back_mut() {
                slice.add(&key, stage, SLICE_CHANNELS);
            }
        }
    }

    /// Shares the text of a channel that is counted already: nearly every event's is.
    fn key(&self, account: usize, channel: Option<&str>) -> Key {
        let hash = self.hasher.hash_one((account, channel));
        let counted = self.start.counted(hash).filter(|key| key.channel.as_deref() == channel);
        counted.cloned().unwrap_or_else(|| Key { hash, account, channel: channel.map(Arc::from) })
    }

    /// The largest channels of an account, or of all.
    pub(super) fn top(&self, over: Over, account: Option<usize>, now_ms: i64) -> Funnel {
        let slices: Vec<&Top> = match over {
            Over::Start => vec![&self.start],
            Over::Hour | Over::Day => {
                let place = over as usize;
                let (slice_ms, slices) = SLICES.get(place).copied().unwrap_or((1, 1));
                let after = now_ms.div_euclid(slice_ms) - i64::try_from(slices).unwrap_or(0);
                let window = self.windows.get(place).map(|window| &window.0);
                window.into_iter().flatten().filter(|(number, _)| *number > after).map(|(_, top)| top).collect()
            }
        };
        let wanted = |of: usize| account.is_none_or(|account| account == of);
        let mut sums: HashMap<Option<&str>, (Stages, u64)> = HashMap::new();
        let mut total = Stages::default();
        for top in slices {
            for counter in top.counters.iter().filter(|counter| wanted(counter.key.account)) {
                let (stages, error) = sums.entry(counter.key.channel.as_deref()).or_default();
                *stages = stages.plus(counter.stages);
                *error += counter.error;
            }
            let totals = top.totals.iter().enumerate().filter(|(of, _)| wanted(*of));
            total = totals.fold(total, |total, (_, stages)| total.plus(*stages));
        }
        let mut channels: Vec<Channel> = sums
            .into_iter()
            .map(|(outer_str, (stages, error))| Channel { outer_str: outer_str.map(str::to_owned), stages, error })
            .collect();
        channels.sort_by(|a, b| b.stages.all().cmp(&a.stages.all()).then_with(|| a.outer_str.cmp(&b.outer_str)));
        channels.truncate(TOP);
        let shown = channels.iter().fold(Stages::default(), |sum, channel| sum.plus(channel.stages));
        Funnel { channels, rest: total.less(shown) }
    }
}

#[cfg(test)]
mod tests;
