//! What the console remembers of one account: its facts, what is counted, when its secrets were used.

use std::{collections::VecDeque, net::IpAddr};

use super::{
    answers::{AccountStatus, Handshake, RefusedRow},
    counts::Counts,
    observer::{Push, Refused},
    rotation::{SecretFacts, Uses},
    state::{ROWS, keep},
};
use crate::metrics::{CallbackResult, Cause, QUARANTINED};

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
    pub(super) refusals: VecDeque<RefusedRow>,
    /// The last push of an account in plaintext mode that was encrypted.
    pub(super) encrypted_at: Option<i64>,
    pub(super) token: Uses,
    pub(super) aes_key: Option<Uses>,
}

impl OfAccount {
    pub(super) fn new(facts: Facts, now_ms: i64) -> Self {
        Self {
            token: Uses::new(facts.token.clone(), now_ms),
            aes_key: facts.aes_key.clone().map(|key| Uses::new(key, now_ms)),
            facts,
            counts: Counts::default(),
            handshake: None,
            last_push: None,
            refusals: VecDeque::new(),
            encrypted_at: None,
        }
    }

    /// A handshake was accepted.
    pub(super) fn shook_hands(&mut self, at_ms: i64, source: Option<IpAddr>) {
        self.counts.count(CallbackResult::Handshake as usize, at_ms);
        self.handshake = Some(Handshake::accepted(at_ms, source));
    }

    /// A push was verified and answered.
    pub(super) fn pushed(&mut self, at_ms: i64, push: &Push) {
        self.counts.count(push.result as usize, at_ms);
        self.token.note(push.made_with.previous_token, at_ms);
        if let Some(aes_key) = &mut self.aes_key {
            aes_key.note(push.made_with.previous_key, at_ms);
        }
        if push.result != CallbackResult::Overloaded {
            self.last_push = Some(at_ms);
        }
        if let Some(sight) = &push.record {
            let off = sight.event_time != 0 && (sight.event_time.saturating_mul(1000) - at_ms).abs() > CLOCK_MS;
            if off && push.result == CallbackResult::Accepted {
                self.counts.count(OFF_CLOCK, at_ms);
            }
        }
    }

    /// A push was quarantined.
    pub(super) fn quarantined(&mut self, at_ms: i64, reason: &str, detail: &str) {
        if let Some(which) = QUARANTINED.iter().position(|known| *known == reason) {
            self.counts.count(RESULTS + CAUSES + which, at_ms);
        }
        if detail.starts_with("encrypted_push") {
            self.encrypted_at = Some(at_ms);
        }
    }

    /// A request was refused.
    pub(super) fn refused(&mut self, at_ms: i64, refused: &Refused) {
        self.counts.count(refused.result as usize, at_ms);
        self.counts.count(RESULTS + refused.cause as usize, at_ms);
        if refused.result == CallbackResult::BadSignature && refused.published_source == Some(false) {
            self.counts.count(STRANGERS, at_ms);
        }
        if refused.is_handshake {
            self.handshake = Some(Handshake::refused(at_ms, refused));
        }
        keep(&mut self.refusals, RefusedRow::new(at_ms, self.facts.name.clone(), refused), ROWS);
    }

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
