//! What the console remembers: bounded, in memory, made of what the listener tells and of what is looked at once a second.

use std::collections::VecDeque;

use hashlink::LinkedHashMap;
use memchr::memmem::Finder;

use super::{
    account::{Facts, OfAccount},
    answers::QuarantineRow,
    counts::Counts,
    event::Kept,
    funnel::{Channels, Stage},
    hints::{Hint, Hints},
    observer::{Push, Refused, Seen, What},
    series::{Latencies, Rings},
    snapshot::Snapshot,
};
use crate::{delivery::Published, event::EventId, metrics::CallbackResult};

/// Pushes kept to be looked at.
pub(super) const EVENTS: usize = 500;
/// Acknowledgements kept: what Kafka acknowledges while as many pushes as are kept come in, and more.
const POSITIONS: usize = 4096;
/// Refusals kept an account, and quarantined pushes in all.
pub(super) const ROWS: usize = 100;
/// Minutes over which the pushes' answers are judged.
const JUDGED_MINUTES: usize = 5;

/// See the module.
#[derive(Debug)]
pub(super) struct State {
    pub(super) accounts: Vec<OfAccount>,
    pub(super) rings: Rings,
    pub(super) events: VecDeque<Kept>,
    /// Where the records of the latest acknowledgements stand.
    pub(super) positions: LinkedHashMap<EventId, Published>,
    pub(super) quarantine: VecDeque<QuarantineRow>,
    pub(super) channels: Channels,
    pub(super) snapshot: Snapshot,
    pub(super) hints: Hints,
    /// By minute, newest last.
    answers: VecDeque<(i64, Latencies)>,
    /// Pushes answered by kafka, disk, none.
    pub(super) answered_by: Counts<3>,
    number: u64,
    /// Names of fields in an event's JSON.
    outer_str: Finder<'static>,
    code: Finder<'static>,
}

impl State {
    pub(super) fn new(accounts: Vec<Facts>, snapshot: Snapshot, now_ms: i64) -> Self {
        Self {
            accounts: accounts.into_iter().map(|facts| OfAccount::new(facts, now_ms)).collect(),
            rings: Rings::default(),
            events: VecDeque::new(),
            positions: LinkedHashMap::new(),
            quarantine: VecDeque::new(),
            channels: Channels::default(),
            snapshot,
            hints: Hints::default(),
            answers: VecDeque::new(),
            answered_by: Counts::default(),
            number: 0,
            outer_str: Finder::new("\"outer_str\":"),
            code: Finder::new("\"code\":"),
        }
    }

    pub(super) fn name(&self, account: usize) -> &str {
        self.accounts.get(account).map_or("", |account| account.facts.name.as_str())
    }

    /// An account's index by its name.
    pub(super) fn account(&self, name: &str) -> Option<usize> {
        self.accounts.iter().position(|account| account.facts.name == name)
    }

    /// Takes in what the listener told. Says whether it is a push that the lists show.
    pub(super) fn take(&mut self, Seen { account, at_ms, what }: Seen) -> bool {
        match what {
            What::Push(push) => return self.push(account, at_ms, push),
            What::Handshake(source) => {
                self.rings.count(CallbackResult::Handshake, None);
                if let Some(account) = self.accounts.get_mut(account) {
                    account.shook_hands(at_ms, source);
                }
            }
            What::Refused(refused) => self.refused(account, at_ms, &refused),
        }
        false
    }

    /// Takes in what the delivery told.
    pub(super) fn published(&mut self, published: Published) {
        self.positions.insert(published.event_id, published);
        if self.positions.len() > POSITIONS {
            self.positions.pop_front();
        }
    }

    fn push(&mut self, place: usize, at_ms: i64, push: Push) -> bool {
        self.rings.count(push.result, Some(push.took));
        self.judge(push.took, at_ms);
        self.answered_by.count(push.by as usize, at_ms);
        if let Some(account) = self.accounts.get_mut(place) {
            account.pushed(at_ms, &push);
        }
        if let Some(sight) = &push.record {
            if push.result == CallbackResult::Accepted
                && let Some(stage) = sight.event_type.and_then(Stage::of)
            {
                // The types of the other stages have no channel of their own.
                let has_channel = matches!(stage, Stage::Received | Stage::Consumed);
                let outer_str = has_channel.then(|| sight.text(&self.outer_str)).flatten();
                let code = sight.text(&self.code);
                self.channels.add(place, stage, outer_str.as_deref(), code.as_deref(), at_ms);
            }
            if push.result == CallbackResult::Quarantined
                && let Some((reason, detail)) = &sight.quarantined
            {
                self.quarantined(place, at_ms, reason, detail, sight.bytes);
            }
        }
        let Some(kept) = Kept::new(self.number + 1, place, at_ms, push) else { return false };
        self.number += 1;
        keep(&mut self.events, kept, EVENTS);
        true
    }

    fn quarantined(&mut self, place: usize, at_ms: i64, reason: &'static str, detail: &str, bytes: usize) {
        let name = self.name(place).to_owned();
        if let Some(account) = self.accounts.get_mut(place) {
            account.quarantined(at_ms, reason, detail);
        }
        let detail = detail.chars().take(256).collect();
        keep(&mut self.quarantine, QuarantineRow { at: at_ms, account: name, reason, detail, bytes }, ROWS);
    }

    fn refused(&mut self, place: usize, at_ms: i64, refused: &Refused) {
        self.rings.count(refused.result, None);
        if let Some(account) = self.accounts.get_mut(place) {
            account.refused(at_ms, refused);
        }
    }

    fn judge(&mut self, took: std::time::Duration, at_ms: i64) {
        let minute = at_ms.div_euclid(60_000);
        if self.answers.back().is_none_or(|(last, _)| *last < minute) {
            keep(&mut self.answers, (minute, Latencies::default()), JUDGED_MINUTES);
        }
        if let Some((_, latencies)) = self.answers.back_mut() {
            latencies.add(took);
        }
    }

    /// The 99th percentile of the pushes' answers in the last 5 minutes, milliseconds.
    pub(super) fn p99(&self, now_ms: i64) -> Option<f32> {
        let minute = now_ms.div_euclid(60_000);
        let mut all = Latencies::default();
        let recent = self.answers.iter().filter(|(number, _)| *number + 5 > minute);
        recent.for_each(|(_, latencies)| all.merge(latencies));
        all.percentile(99)
    }

    /// A second is over. Says whether the hints have changed.
    pub(super) fn tick(&mut self, snapshot: Snapshot, now_ms: i64) -> bool {
        self.rings.tick(now_ms.div_euclid(1000), snapshot.spool.records);
        self.snapshot = snapshot;
        let found = Hint::all(self, now_ms);
        self.hints.replace(found, now_ms)
    }
}

/// Puts one behind, and throws the oldest away when there are too many.
pub(super) fn keep<T>(ring: &mut VecDeque<T>, new: T, limit: usize) {
    if ring.len() == limit {
        ring.pop_front();
    }
    ring.push_back(new);
}
