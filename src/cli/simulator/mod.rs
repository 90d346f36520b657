//! WeChat's side of the wire: makes events with invented ids, signs, encrypts and posts them, and re-delivers as WeChat does.
//!
//! Shared by `send` and `dev`. Does not depend on what the receiver makes of a push.

mod body;
mod customer;
mod push;
mod samples;
#[cfg(test)]
mod tests;
mod wechat;

pub(super) use body::Body;
pub(super) use customer::{Customer, Customers};
pub(super) use push::{Clear, Push};
pub(super) use samples::{Choices, sample, wechat_event};
pub(super) use wechat::{Answer, Attempt, Target, WeChat};
