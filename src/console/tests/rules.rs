//! When each hint holds.

use std::time::Duration;

use super::super::{
    Facts, MadeWith, Push, Refused, SecretFacts, Seen, Sight, What,
    snapshot::{Checks, PublishError, Snapshot},
    state::State,
};
use crate::{
    event::EventId,
    metrics::{AnsweredBy, CallbackResult, Cause},
};

const NOW: i64 = 1_700_000_000_000;

/// A service that is all right, and has had one push.
struct House {
    state: State,
    snapshot: Snapshot,
    /// What the next pushes are made with.
    made_with: MadeWith,
}

impl House {
    fn new() -> Self {
        let facts =
            Facts { name: "shop".to_owned(), path: "/wechat/shop".to_owned(), mode: "secure", ..Facts::default() };
        let checks = Checks { durable: true, spool: true, kafka: Some(true), draining: false };
        let mut snapshot = Snapshot { checks, allow_list_known: true, ..Snapshot::default() };
        snapshot.kafka.up = Some(true);
        snapshot.spool.capacity = 1000;
        let mut house =
            Self { state: State::new(vec![facts], snapshot.clone(), NOW), snapshot, made_with: MadeWith::default() };
        house.push(CallbackResult::Accepted, 1, NOW);
        house
    }

    fn push(&mut self, result: CallbackResult, ms: u64, at_ms: i64) {
        let sight =
            Sight::new(Some("card.viewed"), EventId::of_quarantined("shop", b"x"), at_ms / 1000, &b"{}"[..].into());
        self.sighted(result, ms, at_ms, sight);
    }

    fn sighted(&mut self, result: CallbackResult, ms: u64, at_ms: i64, sight: Sight) {
        let took = Duration::from_millis(ms);
        let made_with = self.made_with;
        let push = Push { result, by: AnsweredBy::Kafka, took, made_with, record: Some(sight) };
        self.state.take(Seen { account: 0, at_ms, what: What::Push(push) });
    }

    fn refuse(&mut self, times: usize, result: CallbackResult, cause: Cause, published_source: Option<bool>) {
        for _ in 0..times {
            let refused = Refused { result, cause, found: None, is_handshake: false, source: None, published_source };
            self.state.take(Seen { account: 0, at_ms: NOW, what: What::Refused(refused) });
        }
    }

    fn quarantine(&mut self, reason: &'static str, detail: &str) {
        let mut sight = Sight::new(None, EventId::of_quarantined("shop", b"x"), 0, &b"<xml>"[..].into());
        sight.quarantined = Some((reason, detail.to_owned()));
        self.sighted(CallbackResult::Quarantined, 1, NOW, sight);
    }

    fn hints(&mut self, now_ms: i64) -> Vec<&'static str> {
        self.state.tick(self.snapshot.clone(), now_ms);
        self.state.hints.all().into_iter().map(|hint| hint.id).collect()
    }
}

/// The hints of a house to which something was done.
fn after(done: impl FnOnce(&mut House)) -> Vec<&'static str> {
    let mut house = House::new();
    done(&mut house);
    house.hints(NOW)
}

#[test]
fn all_is_right_until_something_happens() {
    assert!(after(|_| ()).is_empty());
}

#[test]
fn wrong_signatures_are_a_wrong_token_strangers_or_a_wrong_mode() {
    let wrong = CallbackResult::BadSignature;
    assert_eq!(after(|house| house.refuse(19, wrong, Cause::Token, None)), [""; 0]);
    assert_eq!(after(|house| house.refuse(20, wrong, Cause::Token, None)), ["signatures_fail"]);
    assert_eq!(after(|house| house.refuse(20, wrong, Cause::Token, Some(false))), ["strangers"]);
    assert_eq!(after(|house| house.refuse(20, wrong, Cause::ClearPush, None)), ["mode_mismatch"]);
    assert_eq!(after(|house| house.refuse(20, wrong, Cause::BodyChanged, None)), ["body_changed"]);
    let mixed = after(|house| {
        house.refuse(20, wrong, Cause::Token, None);
        (0..20).for_each(|_| house.push(CallbackResult::Accepted, 1, NOW));
    });
    assert!(mixed.is_empty(), "more verify than fail: {mixed:?}");
}

#[test]
fn quarantined_pushes_are_told_by_their_reason() {
    assert_eq!(after(|house| house.quarantine("decrypt", "bad padding")), ["quarantine_decrypt"]);
    assert_eq!(after(|house| house.quarantine("decrypt", "encrypted_push: …")), ["mode_mismatch"]);
    assert_eq!(after(|house| house.quarantine("app_id", "…")), ["quarantine_app_id"]);
    assert_eq!(after(|house| house.quarantine("malformed", "…")), ["quarantine_other"]);
}

#[test]
fn slow_repeated_and_misdated_pushes_are_told() {
    assert_eq!(after(|house| (0..5).for_each(|_| house.push(CallbackResult::Accepted, 3900, NOW))), ["slow"]);
    assert_eq!(after(|house| (0..20).for_each(|_| house.push(CallbackResult::Duplicate, 1, NOW))), ["retries"]);
    let misdated = after(|house| {
        for _ in 0..10 {
            let sight = Sight::new(
                Some("card.viewed"),
                EventId::of_quarantined("shop", b"x"),
                NOW / 1000 - 301,
                &b"{}"[..].into(),
            );
            house.sighted(CallbackResult::Accepted, 1, NOW, sight);
        }
    });
    assert_eq!(misdated, ["clock"]);
    let forbidden = CallbackResult::ForbiddenSource;
    assert_eq!(after(|house| house.refuse(21, forbidden, Cause::Source, None)), ["forbidden_sources"]);
}

#[test]
fn an_hour_of_silence_is_told_where_yesterday_had_pushes() {
    let day = 86_400_000;
    let mut house = House::new();
    (0..20).for_each(|_| house.push(CallbackResult::Accepted, 1, NOW));
    assert_eq!(house.hints(NOW + day), ["silence"]);
    assert!(!House::new().hints(NOW + day).contains(&"silence"), "one push is no habit");
}

#[test]
fn a_handshake_is_missed_until_one_or_a_push_came_and_its_refusal_is_told() {
    let facts = Facts { name: "shop".to_owned(), path: "/".to_owned(), mode: "secure", ..Facts::default() };
    let fresh = || House {
        state: State::new(vec![facts.clone()], Snapshot::default(), NOW),
        snapshot: House::new().snapshot,
        made_with: MadeWith::default(),
    };
    assert_eq!(fresh().hints(NOW), ["handshake_never"]);
    let mut refused = fresh();
    let handshake = Refused {
        result: CallbackResult::BadSignature,
        cause: Cause::Token,
        found: None,
        is_handshake: true,
        source: None,
        published_source: None,
    };
    refused.state.take(Seen { account: 0, at_ms: NOW, what: What::Refused(handshake) });
    assert_eq!(refused.hints(NOW), ["handshake_failed"]);
    refused.state.take(Seen { account: 0, at_ms: NOW, what: What::Handshake(None) });
    assert_eq!(refused.hints(NOW + 1000), ["recovered"]);
}

#[test]
fn the_delivery_is_told_from_its_snapshot() {
    let error = || PublishError { reason: "unknown_topic".to_owned(), count: 1, last: NOW };
    assert_eq!(after(|house| house.snapshot.kafka.up = Some(false)), ["kafka_away"]);
    assert_eq!(after(|house| house.snapshot.kafka.up = None), [""; 0]);
    assert_eq!(after(|house| house.snapshot.kafka.errors.push(error())), ["kafka_refuses"]);
    assert_eq!(after(|house| house.snapshot.checks.durable = false), ["nowhere_durable"]);
    assert_eq!(after(|house| house.snapshot.spool.bytes = 800), ["spool_fills"]);
    assert_eq!(after(|house| house.snapshot.checks.spool = false), ["disk_fails"]);
    assert_eq!(after(|house| house.snapshot.spool.failed_at = Some(NOW)), ["disk_fails"]);
    assert_eq!(after(|house| house.snapshot.spool.parked = 1), ["parked"]);
    assert_eq!(after(|house| house.snapshot.allow_list_known = false), ["open_to_anyone"]);
    let fills = after(|house| {
        house.snapshot.spool.bytes = 100;
        house.snapshot.spool.full_in = Some(3600);
    });
    assert_eq!(fills, ["spool_fills"]);
}

/// A minute.
const MINUTE: i64 = 60_000;

#[test]
fn a_previous_token_or_key_is_told_while_it_is_used_and_ten_minutes_after_its_last_push() {
    let secret = SecretFacts { file: None, has_previous: true };
    let facts = |aes_key| Facts { name: "shop".to_owned(), token: secret.clone(), aes_key, ..Facts::default() };
    let mut house = House::new();
    house.state = State::new(vec![facts(Some(secret.clone()))], house.snapshot.clone(), NOW);
    let push = |house: &mut House, token: bool, key: bool, at_ms: i64| {
        house.made_with = MadeWith { previous_token: Some(token), previous_key: Some(key) };
        house.push(CallbackResult::Accepted, 1, at_ms);
        house.hints(at_ms)
    };
    assert_eq!(push(&mut house, true, true, NOW + MINUTE), ["previous_secret_used"]);
    let told = house.state.hints.all();
    assert_eq!(told[0].values["secrets"], "previous_token, previous_aes_key");
    assert_eq!(told[0].values["last"], NOW + MINUTE);
    assert_eq!(push(&mut house, false, true, NOW + 2 * MINUTE), ["previous_secret_used"], "not all servers at once");
    assert_eq!(push(&mut house, false, true, NOW + 11 * MINUTE), ["previous_secret_used", "previous_secret_unused"]);
    let told = house.state.hints.all();
    assert_eq!(
        (&told[0].values["secrets"], &told[1].values["secrets"]),
        (&"previous_aes_key".into(), &"previous_token".into())
    );
    assert_eq!(push(&mut house, false, false, NOW + 21 * MINUTE), ["previous_secret_unused"]);
    assert_eq!(push(&mut house, true, false, NOW + 22 * MINUTE).len(), 2, "used again");
    house.state.accounts[0].change_secrets(SecretFacts::default(), Some(SecretFacts::default()), NOW + 23 * MINUTE);
    assert!(house.hints(NOW + 23 * MINUTE).is_empty(), "removed");
}

#[test]
fn a_previous_token_that_nothing_came_with_may_go_once_the_new_one_has_been_used_for_long_enough() {
    let facts = Facts { token: SecretFacts { file: None, has_previous: true }, ..Facts::default() };
    let mut house = House::new();
    house.state = State::new(vec![facts], house.snapshot.clone(), NOW);
    house.made_with = MadeWith { previous_token: Some(false), previous_key: None };
    house.push(CallbackResult::Accepted, 1, NOW + MINUTE);
    assert!(house.hints(NOW + 30 * MINUTE).is_empty(), "nothing has come since: nobody knows");
    house.push(CallbackResult::Accepted, 1, NOW + 31 * MINUTE);
    assert_eq!(house.hints(NOW + 31 * MINUTE), ["previous_secret_unused"]);
}
