//! What the simulated customers do: every event type comes by, the common ones first.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep_until};

use crate::{
    cli::simulator::{Choices, Clear, Customer, Customers, Push, Sample, WeChat},
    clock,
};

const PACE: Duration = Duration::from_millis(400);
const CARD_ID: &str = "pSIM_ten_yuan_off_a_coffee_1";
const CHANNELS: [&str; 3] = ["poster-metro-3", "newsletter-42", "till-receipt"];

/// One customer each, from first to last event. The four that everybody looks for come within the first five steps.
const JOURNEYS: &[&[&str]] = &[
    &["card_pass_check"],
    &["user_get_card", "user_consume_card"],
    &["user_get_card", "user_del_card"],
    &["user_get_card", "submit_membercard_user_info", "user_view_card", "update_member_card"],
    &["user_get_card", "user_pay_from_pay_cell", "user_consume_card"],
    &["user_get_card", "user_enter_session_from_card", "user_gifting_card"],
    &["giftcard_pay_done", "giftcard_send_to_friend", "giftcard_user_accept"],
    &["card_not_pass_check"],
    &["card_sku_remind"],
    &["card_pay_order"],
    &["card_merchant_check_result"],
    &["user_future_card"],
];

/// A WeChat with customers.
pub(super) struct Traffic<'a> {
    wechat: &'a WeChat,
    customers: Customers,
    seed: u64,
}

impl<'a> Traffic<'a> {
    /// New customers in every run.
    pub(super) fn new(wechat: &'a WeChat) -> anyhow::Result<Self> {
        let seed = getrandom::u64().context("the system gives no random numbers")?;
        Ok(Self { wechat, customers: Customers::new(seed), seed })
    }

    /// Sends one event after the other, at a steady pace, for ever.
    pub(super) async fn flow(&self) {
        let mut due = Instant::now();
        for (number, journey) in (0_u64..).zip(JOURNEYS.iter().cycle()) {
            let customer = self.customers.customer(number);
            let channel = CHANNELS.iter().cycle().nth(usize::try_from(number % 3).unwrap_or_default()).copied();
            for event in *journey {
                sleep_until(due).await;
                due += PACE;
                if let Some(push) = self.push(event, &customer, channel) {
                    self.wechat.deliver(&push).await;
                }
            }
        }
    }

    /// A push that nobody has sent yet: for the user to post.
    pub(super) fn sample_push(&self) -> anyhow::Result<Push> {
        self.push("user_get_card", &self.customers.customer(u64::MAX), Some("curl")).context("no sample")
    }

    fn push(&self, event: &str, customer: &Customer, outer_str: Option<&str>) -> Option<Push> {
        let create_time = clock::unix_millis() / 1000;
        let choices = Choices { to_user: self.wechat.to_user(), card_id: CARD_ID, outer_str, create_time };
        let body = Sample::of(event)?.body(customer, &choices);
        let clear = Clear { xml: body.to_xml(), openid: Some(customer.openid.clone()), timestamp: create_time };
        Some(self.wechat.push(clear, self.seed ^ u64::try_from(clock::unix_millis()).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_event_type_comes_by() {
        let played: BTreeSet<&str> = JOURNEYS.iter().flat_map(|journey| journey.iter().copied()).collect();
        let known: BTreeSet<&str> = Sample::names().map(|(event, _)| event).collect();
        assert_eq!(played, known);
    }

    #[test]
    fn approved_received_consumed_and_deleted_come_within_the_first_two_seconds() {
        let first: Vec<&str> = JOURNEYS.iter().flat_map(|journey| journey.iter().copied()).take(5).collect();
        for event in ["card_pass_check", "user_get_card", "user_consume_card", "user_del_card"] {
            assert!(first.contains(&event));
        }
        assert!(PACE * 5 <= Duration::from_secs(2));
    }
}
