//! What the simulated customers do: every event type comes by, the common ones first.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep_until};

use crate::{
    cli::{
        note,
        simulator::{Choices, Clear, Customer, Customers, Push, WeChat, sample},
    },
    clock,
    event::EventType::{
        self, Activated, Approved, CoinOrder, Consumed, Deleted, GiftAccepted, GiftPaid, GiftSent, Gifted,
        MerchantChecked, Paid, Received, Rejected, SessionEntered, StockLow, Unknown, Updated, Viewed,
    },
};

const PACE: Duration = Duration::from_millis(400);
pub(super) const CARD_ID: &str = "pSIM_ten_yuan_off_a_coffee_1";
const CHANNELS: [&str; 3] = ["poster-metro-3", "newsletter-42", "till-receipt"];

/// One customer each, from first to last event. The four that everybody looks for come within the first five steps.
const JOURNEYS: &[&[EventType]] = &[
    &[Approved],
    &[Received, Consumed],
    &[Received, Deleted],
    &[Received, Activated, Viewed, Updated],
    &[Received, Paid, Consumed],
    &[Received, SessionEntered, Gifted],
    &[GiftPaid, GiftSent, GiftAccepted],
    &[Rejected],
    &[StockLow],
    &[CoinOrder],
    &[MerchantChecked],
    &[Unknown],
];

/// A WeChat with customers.
pub(super) struct Traffic<'a> {
    wechat: &'a WeChat,
    customers: Customers,
    seed: u64,
    /// Whether an application answers: then there are messages too, and its answers are shown.
    answered: bool,
}

/// What is no card event: a text, a follower, a tap on a menu.
const MESSAGES: [(&str, &str); 3] = [
    ("text", "<MsgType><![CDATA[text]]></MsgType>\n<Content><![CDATA[你好]]></Content>\n<MsgId>1</MsgId>"),
    ("subscribe", "<MsgType><![CDATA[event]]></MsgType>\n<Event><![CDATA[subscribe]]></Event>\n<EventKey></EventKey>"),
    (
        "CLICK",
        "<MsgType><![CDATA[event]]></MsgType>\n<Event><![CDATA[CLICK]]></Event>\n<EventKey><![CDATA[TODAY]]></EventKey>",
    ),
];

impl<'a> Traffic<'a> {
    /// New customers in every run.
    pub(super) fn new(wechat: &'a WeChat, answered: bool) -> anyhow::Result<Self> {
        let seed = getrandom::u64().context("the system gives no random numbers")?;
        Ok(Self { wechat, customers: Customers::new(seed), seed, answered })
    }

    /// Sends one event after the other, at a steady pace, for ever.
    pub(super) async fn flow(&self) {
        let mut due = Instant::now();
        for (number, journey) in (0_u64..).zip(JOURNEYS.iter().cycle()) {
            let customer = self.customers.customer(number);
            let channel = CHANNELS.iter().cycle().nth(usize::try_from(number % 3).unwrap_or_default()).copied();
            for event_type in *journey {
                sleep_until(due).await;
                due += PACE;
                self.deliver(event_type.as_str(), &self.push(*event_type, &customer, channel)).await;
            }
            if self.answered {
                let message = MESSAGES.iter().cycle().nth(usize::try_from(number % 3).unwrap_or_default());
                if let Some((name, elements)) = message {
                    sleep_until(due).await;
                    due += PACE;
                    self.deliver(name, &self.message(elements, &customer)).await;
                }
            }
        }
    }

    /// A push that nobody has sent yet: for the user to post.
    pub(super) fn sample_push(&self) -> Push {
        self.push(Received, &self.customers.customer(u64::MAX), Some("curl"))
    }

    async fn deliver(&self, name: &str, push: &Push) {
        let attempts = self.wechat.deliver(push).await;
        if let Some(last) = attempts.last().filter(|_| self.answered) {
            let (times, took) = (attempts.len(), last.latency.as_millis());
            note(format_args!("answered  {name}: {} in {took} ms, delivery {times}", last.answer));
        }
    }

    fn message(&self, elements: &str, customer: &Customer) -> Push {
        let (now, to_user, openid) = (clock::unix_millis(), self.wechat.to_user(), &customer.openid);
        let timestamp = now / 1000;
        let xml = format!(
            "<xml><ToUserName><![CDATA[{to_user}]]></ToUserName>\n<FromUserName><![CDATA[{openid}]]></FromUserName>\n\
             <CreateTime>{timestamp}</CreateTime>\n{elements}\n</xml>"
        );
        let (to_user, openid) = (to_user.to_owned(), Some(openid.clone()));
        let clear = Clear { xml: xml.into_bytes(), to_user, openid, timestamp };
        self.wechat.push(clear, self.seed ^ now.unsigned_abs())
    }

    fn push(&self, event_type: EventType, customer: &Customer, outer_str: Option<&str>) -> Push {
        push(self.wechat, event_type, customer, CARD_ID, outer_str)
    }
}

/// The push of one event, now.
pub(super) fn push(
    wechat: &WeChat,
    event_type: EventType,
    customer: &Customer,
    card_id: &str,
    outer_str: Option<&str>,
) -> Push {
    let (now, to_user) = (clock::unix_millis(), wechat.to_user());
    let choices = Choices { to_user, card_id, outer_str, create_time: now / 1000 };
    let clear = Clear {
        xml: sample(event_type, customer, &choices).to_xml(),
        to_user: to_user.to_owned(),
        openid: Some(customer.openid.clone()),
        timestamp: choices.create_time,
    };
    let seed = customer.code.bytes().fold(now.unsigned_abs(), |seed, byte| seed.rotate_left(7) ^ u64::from(byte));
    wechat.push(clear, seed)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_event_type_comes_by() {
        let played: HashSet<EventType> = JOURNEYS.iter().flat_map(|journey| journey.iter().copied()).collect();
        assert_eq!(played, EventType::ALL.iter().copied().collect());
    }

    #[test]
    fn approved_received_consumed_and_deleted_come_within_the_first_two_seconds() {
        let first: Vec<EventType> = JOURNEYS.iter().flat_map(|journey| journey.iter().copied()).take(5).collect();
        assert!([Approved, Received, Consumed, Deleted].iter().all(|event_type| first.contains(event_type)));
        assert!(PACE * 5 <= Duration::from_secs(2));
    }
}
