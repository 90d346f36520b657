//! What the console remembers: bounded, in memory, made of what the listener tells and of what is looked at once a second.

use std::collections::VecDeque;

use hashlink::LinkedHashMap;
use memchr::memmem::Finder;

use super::{
    answers::{AccountStatus, Handshake, QuarantineRow, RefusedRow},
    counts::Counts,
    event::Kept,
    funnel::{Channels, Stage},
    hints::{Hint, Hints},
    observer::{Push, Refused, Seen, What},
    rotation::{SecretFacts, Uses},
    series::{Latencies, Rings},
    snapshot::Snapshot,
};
use crate::{
    delivery::Published,
    event::EventId,
    metrics::{CallbackResult, Cause, QUARANTINED},
};

/// Pushes kept to be looked at.
pub(super) const EVENTS: usize = 500;
/// Acknowledgements kept: what Kafka acknowledges while as many pushes as are kept come in, and more.
const POSITIONS: usize = 4096;
/// Refusals kept an account, and quarantined pushes in all.
pub(super) const ROWS: usize = 100;
/// Minutes over which the pushes' answers are judged.
const JUDGED_MINUTES: usize = 5;
/// WeChat's clock and ours may differ by this much.
const CLOCK_MS: i64 = 300_000;

const RESULTS: usize = CallbackResult::ALL.len();
const CAUSES: usize = Cause::ALL.len();
/// Pushes whose `CreateTime` is far from their receipt.
const OFF_CLOCK: usize = RESULTS + CAUSES + QUARANTINED.len();
/// Wrong signatures from addresses that are not WeChat's.
const STRANGERS: usize = OFF_CLOCK + 1;
const COUNTED: usize = STRANGERS + 1;

/// What an account is, from the configuration; nothing secret.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// The path of its callbacks.
    pub path: String,
    /// `plaintext`, `compat`, `secure`.
    pub mode: &'static str,
    /// Its token.
    pub token: SecretFacts,
    /// Its EncodingAESKey; `None`: it has none.
    pub aes_key: Option<SecretFacts>,
}

/// Numbers of an account over some time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally([u64; COUNTED]);

impl Tally {
    pub(super) fn result(&self, result: CallbackResult) -> u64 {
        self.at(result as usize)
    }

    pub(super) fn cause(&self, cause: Cause) -> u64 {
        self.at(RESULTS + cause as usize)
    }

    pub(super) fn reason(&self, reason: &str) -> u64 {
        QUARANTINED.iter().position(|known| *known == reason).map_or(0, |place| self.at(RESULTS + CAUSES + place))
    }

    pub(super) fn off_clock(&self) -> u64 {
        self.at(OFF_CLOCK)
    }

    pub(super) fn strangers(&self) -> u64 {
        self.at(STRANGERS)
    }

    /// Pushes that verified.
    pub(super) fn good(&self) -> u64 {
        [CallbackResult::Accepted, CallbackResult::Duplicate, CallbackResult::Other, CallbackResult::Quarantined]
            .into_iter()
            .map(|result| self.result(result))
            .sum()
    }

    pub(super) fn refused(&self) -> u64 {
        Cause::ALL.into_iter().map(|cause| self.cause(cause)).sum()
    }

    fn at(&self, place: usize) -> u64 {
        self.0.get(place).copied().unwrap_or_default()
    }
}

/// What is remembered of one account.
#[derive(Debug)]
pub(super) struct OfAccount {
    pub(super) facts: Facts,
    counts: Counts<COUNTED>,
    pub(super) handshake: Option<Handshake>,
    pub(super) last_push: Option<i64>,
    pub(super) refused: VecDeque<RefusedRow>,
    /// The last push of an account in plaintext mode that was encrypted.
    pub(super) encrypted_at: Option<i64>,
    pub(super) token: Uses,
    pub(super) aes_key: Option<Uses>,
}

impl OfAccount {
    pub(super) fn minutes(&self, last: i64, now_ms: i64) -> Tally {
        Tally(self.counts.minutes(last, now_ms))
    }

    pub(super) fn day(&self, now_ms: i64) -> Tally {
        Tally(self.counts.day(now_ms))
    }

    pub(super) fn all(&self) -> Tally {
        Tally(self.counts.all())
    }

    /// In the same hour of yesterday.
    pub(super) fn yesterday(&self, now_ms: i64) -> Tally {
        Tally(self.counts.hour_before(24, now_ms))
    }

    pub(super) fn change_secrets(&mut self, token: SecretFacts, aes_key: Option<SecretFacts>, now_ms: i64) {
        self.token = Uses::new(token, now_ms);
        self.aes_key = aes_key.map(|key| Uses::new(key, now_ms));
    }

    pub(super) fn status(&self, now_ms: i64) -> AccountStatus {
        AccountStatus::new(self, now_ms)
    }
}

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
        let account = |facts: Facts| OfAccount {
            token: Uses::new(facts.token.clone(), now_ms),
            aes_key: facts.aes_key.clone().map(|key| Uses::new(key, now_ms)),
            facts,
            counts: Counts::default(),
            handshake: None,
            last_push: None,
            refused: VecDeque::new(),
            encrypted_at: None,
        };
        Self {
            accounts: accounts.into_iter().map(account).collect(),
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
                    account.counts.count(CallbackResult::Handshake as usize, at_ms);
                    account.handshake = Some(Handshake::accepted(at_ms, source));
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
            account.counts.count(push.result as usize, at_ms);
            account.token.note(push.made_with.previous_token, at_ms);
            if let Some(aes_key) = &mut account.aes_key {
                aes_key.note(push.made_with.previous_key, at_ms);
            }
            if push.result != CallbackResult::Overloaded {
                account.last_push = Some(at_ms);
            }
            if let Some(sight) = &push.record {
                let off = sight.event_time != 0 && (sight.event_time.saturating_mul(1000) - at_ms).abs() > CLOCK_MS;
                if off && push.result == CallbackResult::Accepted {
                    account.counts.count(OFF_CLOCK, at_ms);
                }
            }
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
            if let Some(which) = QUARANTINED.iter().position(|known| *known == reason) {
                account.counts.count(RESULTS + CAUSES + which, at_ms);
            }
            if detail.starts_with("encrypted_push") {
                account.encrypted_at = Some(at_ms);
            }
        }
        let detail = detail.chars().take(256).collect();
        keep(&mut self.quarantine, QuarantineRow { at: at_ms, account: name, reason, detail, bytes }, ROWS);
    }

    fn refused(&mut self, place: usize, at_ms: i64, refused: &Refused) {
        self.rings.count(refused.result, None);
        let name = self.name(place).to_owned();
        let Some(account) = self.accounts.get_mut(place) else { return };
        account.counts.count(refused.result as usize, at_ms);
        account.counts.count(RESULTS + refused.cause as usize, at_ms);
        if refused.result == CallbackResult::BadSignature && refused.published_source == Some(false) {
            account.counts.count(STRANGERS, at_ms);
        }
        if refused.is_handshake {
            account.handshake = Some(Handshake::refused(at_ms, refused));
        }
        keep(&mut account.refused, RefusedRow::new(at_ms, name, refused), ROWS);
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
fn keep<T>(ring: &mut VecDeque<T>, new: T, limit: usize) {
    if ring.len() == limit {
        ring.pop_front();
    }
    ring.push_back(new);
}
