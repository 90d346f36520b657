//! The card calls, one function each; requests and answers as types. Fields that are not named here are kept in `other`.
//!
//! Does not depend on who calls.

mod code;
mod qrcode;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

pub use self::{
    code::{CodeState, ConsumeRequest, Consumed, Redeemed},
    qrcode::{Ask, NotAChannel, OuterStr, QrCard, QrTicket},
};
use super::{Api, ApiError, client::Repeat};

/// The most that WeChat's list of test users holds.
pub const TEST_USERS: usize = 10;

/// Who may claim a card before it is approved.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TestUsers {
    /// Openids.
    pub openid: Vec<String>,
    /// WeChat ids (微信号).
    pub username: Vec<String>,
}

/// How long a token or ticket lives, and the value itself, which nothing prints by itself.
pub struct Lease {
    value: zeroize::Zeroizing<String>,
    /// Its end in Unix seconds; `None`: unknown, a token server keeps it.
    pub until: Option<i64>,
}

impl Lease {
    /// The token or the ticket.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.value
    }
}

impl Api {
    /// The access token that calls are made with. `POST /cgi-bin/stable_token` where there is none.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn lease_access_token(&mut self) -> Result<Lease, ApiError> {
        let held = self.held_access_token().await?;
        Ok(Lease { until: (held.until > 0).then_some(held.until), value: held.value })
    }

    /// The `api_ticket` for card signatures. `GET /cgi-bin/ticket/getticket?type=wx_card` where there is none.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn lease_card_ticket(&mut self) -> Result<Lease, ApiError> {
        let held = self.held_card_ticket().await?;
        Ok(Lease { until: Some(held.until), value: held.value })
    }

    /// `POST /card/testwhitelist/set`: replaces the list of test users. The whole answer.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn set_test_users(&mut self, users: &TestUsers) -> Result<Map<String, Value>, ApiError> {
        self.post("/card/testwhitelist/set", users, Repeat::Safe).await
    }

    /// Any other call: `path` begins with `/`. Made once, since it may change something. The whole answer.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn call_path(&mut self, path: &str, body: &Value) -> Result<Map<String, Value>, ApiError> {
        self.post(path, body, Repeat::Never).await
    }
}

/// WeChat's pages show values with blanks around them.
fn trimmed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(String::deserialize(deserializer)?.trim().to_owned())
}
