//! What is shown of one push: the fields by name, personal ones masked, free text of customers and staff not at all.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::observer::{Push, Sight};
use crate::{
    delivery::Published,
    mask::mask,
    metrics::{AnsweredBy, CallbackResult},
};

/// Letters shown of a text.
const LONGEST: usize = 256;

/// Fields that say who a user is, or that redeem a card.
const MASKED: [&str; 9] =
    ["openid", "friend_openid", "staff_openid", "union_id", "code", "old_code", "trans_id", "out_trade_no", "order_id"];

/// Fields that are shown as they are. What stands in neither list is not shown: a field that is added later is not shown
/// before somebody has thought about it.
const SHOWN: [&str; 40] = [
    "event_id",
    "event_type",
    "wechat_event",
    "event_time",
    "received_at",
    "account",
    "account_id",
    "body_authenticated",
    "text_repaired",
    "card_id",
    "refuse_reason",
    "outer_str",
    "outer_id",
    "is_give_by_friend",
    "is_restore_member_card",
    "is_recommend_by_friend",
    "source_scene",
    "is_return_back",
    "is_chat_room",
    "consume_source",
    "location_id",
    "fee",
    "original_fee",
    "modify_bonus",
    "modify_balance",
    "detail",
    "status",
    "create_order_time",
    "pay_finish_time",
    "desc",
    "free_coin_count",
    "pay_coin_count",
    "refund_free_coin_count",
    "refund_pay_coin_count",
    "order_type",
    "merchant_id",
    "is_pass",
    "reason",
    "page_id",
    "event_time_ms",
];

/// A push that is kept to be looked at.
#[derive(Debug)]
pub(super) struct Kept {
    /// Counts up from 1.
    pub(super) number: u64,
    pub(super) account: usize,
    pub(super) at_ms: i64,
    pub(super) result: CallbackResult,
    by: AnsweredBy,
    took_ms: f64,
    pub(super) sight: Sight,
}

/// One push, as the list shows it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EventRow {
    /// Counts up; what `before` takes.
    pub number: u64,
    /// Receipt, Unix milliseconds.
    pub at: i64,
    /// The account's name.
    pub account: String,
    /// The type; null for a quarantined push.
    pub event_type: Option<&'static str>,
    /// Its identity.
    pub event_id: String,
    /// `accepted`, `duplicate`, `quarantined`, `other`, `overloaded`.
    pub result: &'static str,
    /// `kafka`, `disk`, `none`.
    pub answered_by: &'static str,
    /// From head to answer, milliseconds.
    pub took_ms: f64,
    /// The channel.
    pub outer_str: Option<String>,
    /// The card.
    pub card_id: Option<String>,
    /// The user, masked.
    pub openid: Option<String>,
    /// The card's code, masked.
    pub code: Option<String>,
}

/// One push with everything that is shown of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventDetail {
    /// As in the list.
    #[serde(flatten)]
    pub row: EventRow,
    /// `CreateTime`, Unix milliseconds; null when there is none.
    pub event_time: Option<i64>,
    /// Bytes of the record.
    pub bytes: usize,
    /// Why it was quarantined.
    pub reason: Option<&'static str>,
    /// What was found; no bytes of the body.
    pub detail: Option<String>,
    /// Its fields, masked; `extra` by its keys only. Null where the event is too large or none.
    pub fields: Option<Map<String, Value>>,
    /// What happened to it, in order.
    pub timeline: Vec<Step>,
    /// Reads the record itself, with all its fields.
    pub command: String,
}

/// A step of a push's way.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Step {
    /// `happened`, `received`, `answered`, `published` (in Kafka by now), `waiting` (in the spool).
    pub what: &'static str,
    /// Unix milliseconds; null where only the order is known.
    pub at: Option<i64>,
    /// Where the record stands, of `published`; null where the acknowledgement is not known any more.
    pub position: Option<Position>,
}

/// Where a record stands in Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Position {
    /// Its topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset there.
    pub offset: i64,
}

/// What the list needs of the fields.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    outer_str: Option<Cow<'a, str>>,
    #[serde(borrow)]
    card_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    openid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
}

impl Kept {
    /// `None` for what is only counted.
    pub(super) fn new(number: u64, account: usize, at_ms: i64, push: Push) -> Option<Self> {
        let Push { result, by, took, record, made_with: _ } = push;
        let sight = record.filter(|sight| sight.quarantined.is_some() || sight.event_type.is_some_and(is_card))?;
        let took_ms = (took.as_secs_f64() * 100_000.0).round() / 100.0;
        Some(Self { number, account, at_ms, result, by, took_ms, sight })
    }

    pub(super) fn row(&self, account: &str) -> EventRow {
        let named: Option<Named<'_>> = self.sight.json().and_then(|json| serde_json::from_slice(json).ok());
        let masked = |text: &Option<Cow<'_, str>>| text.as_deref().map(mask);
        let shown = |text: &Option<Cow<'_, str>>| text.as_deref().map(short);
        EventRow {
            number: self.number,
            at: self.at_ms,
            account: account.to_owned(),
            event_type: self.sight.event_type,
            event_id: self.sight.event_id.to_string(),
            result: self.result.label(),
            answered_by: self.by.label(),
            took_ms: self.took_ms,
            outer_str: named.as_ref().and_then(|named| shown(&named.outer_str)),
            card_id: named.as_ref().and_then(|named| shown(&named.card_id)),
            openid: named.as_ref().and_then(|named| masked(&named.openid)),
            code: named.as_ref().and_then(|named| masked(&named.code)),
        }
    }

    /// `oldest_waiting` is the receipt of the oldest record in the spool, Unix milliseconds.
    /// `published` is its record's acknowledgement, if it is remembered.
    pub(super) fn detail(
        &self,
        account: &str,
        published: Option<&Published>,
        oldest_waiting: Option<i64>,
        has_kafka: bool,
    ) -> EventDetail {
        let sight = &self.sight;
        let event_time = (sight.event_time != 0).then(|| sight.event_time.saturating_mul(1000));
        let row = self.row(account);
        EventDetail {
            event_time,
            bytes: sight.bytes,
            reason: sight.quarantined.as_ref().map(|(reason, _)| *reason),
            detail: sight.quarantined.as_ref().map(|(_, detail)| short(detail)),
            fields: sight.json().and_then(shown_fields),
            timeline: self.timeline(event_time, published, oldest_waiting, has_kafka),
            command: format!("cardhook tail --config FILE --from-beginning --json | grep {}", row.event_id),
            row,
        }
    }

    fn timeline(
        &self,
        event_time: Option<i64>,
        acked: Option<&Published>,
        oldest_waiting: Option<i64>,
        has_kafka: bool,
    ) -> Vec<Step> {
        #[expect(clippy::cast_possible_truncation, reason = "an answer takes seconds")]
        let answered_at = self.at_ms + self.took_ms as i64;
        let step = |what, at| Step { what, at, position: None };
        let is_safe = self.result != CallbackResult::Overloaded;
        let waits = oldest_waiting.is_some_and(|oldest| oldest <= self.at_ms);
        let by_kafka = self.by == AnsweredBy::Kafka;
        let published = match acked {
            Some(acked) => {
                let at = if by_kafka { acked.at_ms.min(answered_at) } else { acked.at_ms };
                let position =
                    Position { topic: acked.topic.to_string(), partition: acked.partition, offset: acked.offset };
                Some(Step { what: "published", at: Some(at), position: Some(position) })
            }
            None if !is_safe || !has_kafka => None,
            None if by_kafka => Some(step("published", Some(answered_at))),
            None if waits => Some(step("waiting", None)),
            None => Some(step("published", None)),
        };
        // A known push was published before it came again.
        let mut steps = vec![step("received", Some(self.at_ms))];
        steps.extend(published);
        steps.push(step("answered", Some(answered_at)));
        steps.sort_by_key(|step| step.at.unwrap_or(i64::MAX));
        event_time.map(|at| step("happened", Some(at))).into_iter().chain(steps).collect()
    }
}

fn is_card(event_type: &str) -> bool {
    event_type != "other"
}

/// The fields that are shown, in their order.
fn shown_fields(json: &[u8]) -> Option<Map<String, Value>> {
    let Value::Object(fields) = serde_json::from_slice(json).ok()? else { return None };
    let mut shown = Map::new();
    for (name, value) in fields {
        let value = match value {
            Value::Null => Value::Null,
            Value::String(text) if MASKED.contains(&name.as_str()) => Value::String(mask(&text)),
            Value::String(text) if SHOWN.contains(&name.as_str()) => Value::String(short(&text)),
            Value::Object(extra) if name == "extra" => extra.keys().map(|key| Value::String(short(key))).collect(),
            Value::Bool(_) | Value::Number(_) if SHOWN.contains(&name.as_str()) => value,
            _ => Value::String("***".to_owned()),
        };
        shown.insert(name, value);
    }
    Some(shown)
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::observer::MadeWith, *};

    const AT: i64 = 1_700_000_000_000;

    fn steps(by: AnsweredBy, acked_at: Option<i64>, oldest_waiting: Option<i64>) -> Vec<(&'static str, Option<i64>)> {
        let event_id = crate::event::EventId::of_quarantined("shop", b"x");
        let record = Some(Sight::new(Some("card.viewed"), event_id, AT / 1000, &b"{}"[..].into()));
        let (result, took) = (CallbackResult::Accepted, std::time::Duration::from_millis(5));
        let push = Push { result, by, took, made_with: MadeWith::default(), record };
        let kept = Kept::new(1, 0, AT, push).unwrap();
        let acked = acked_at.map(|at_ms| Published { event_id, at_ms, topic: "t".into(), partition: 2, offset: 7 });
        let timeline = kept.detail("shop", acked.as_ref(), oldest_waiting, true).timeline;
        for step in timeline.iter().filter(|step| step.what == "published") {
            let position = Position { topic: "t".to_owned(), partition: 2, offset: 7 };
            assert_eq!(step.position, acked.as_ref().map(|_| position));
        }
        timeline.into_iter().skip(1).map(|step| (step.what, step.at)).collect()
    }

    #[test]
    fn the_way_of_an_event_is_in_the_order_in_which_it_happened() {
        let (received, answered) = (("received", Some(AT)), ("answered", Some(AT + 5)));
        let published = |at| ("published", at);
        let (kafka, disk) = (AnsweredBy::Kafka, AnsweredBy::Disk);
        assert_eq!(steps(kafka, Some(AT + 4), None), [received, published(Some(AT + 4)), answered]);
        assert_eq!(steps(kafka, Some(AT + 6), None), [received, published(Some(AT + 5)), answered], "a rounded clock");
        assert_eq!(steps(disk, Some(AT + 900), None), [received, answered, published(Some(AT + 900))]);
        assert_eq!(steps(kafka, Some(AT - 900), None), [published(Some(AT - 900)), received, answered], "known");
        assert_eq!(steps(kafka, None, None), [received, published(Some(AT + 5)), answered], "no longer remembered");
        assert_eq!(steps(disk, None, Some(AT)), [received, answered, ("waiting", None)]);
        assert_eq!(steps(disk, None, None), [received, answered, published(None)]);
    }

    #[test]
    fn personal_fields_are_masked_and_unknown_ones_hidden() {
        let json = serde_json::json!({
            "event_type": "card.consumed", "openid": "oInventedOpenid00000000000001", "code": "072000000001",
            "remark_amount": "12.50", "location_name": "Somewhere", "verify_code": "888", "later": "secret", "fee": 12,
            "outer_str": "x".repeat(1000), "union_id": null, "is_pass": true, "extra": {"Tag": "value"},
        });
        let shown = shown_fields(json.to_string().as_bytes()).unwrap();
        assert_eq!(shown["openid"], "oIn***01");
        assert_eq!(shown["code"], "072***01");
        for hidden in ["remark_amount", "location_name", "verify_code", "later"] {
            assert_eq!(shown[hidden], "***", "{hidden}");
        }
        assert_eq!((&shown["fee"], &shown["union_id"], &shown["is_pass"]), (&12.into(), &Value::Null, &true.into()));
        assert_eq!(shown["extra"], serde_json::json!(["Tag"]));
        assert_eq!(shown["outer_str"].as_str().unwrap().len(), LONGEST);
    }
}
