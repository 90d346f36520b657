//! Calls about one code: `POST /card/code/get`, `/card/code/consume`, `/card/code/decrypt`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{super::client::Repeat, Api, ApiError, trimmed};

/// What WeChat knows of a code.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CodeState {
    /// `NORMAL`, `CONSUMED`, `EXPIRE`, `GIFTING`, `GIFT_TIMEOUT`, `DELETE`, `UNAVAILABLE`.
    #[serde(default, deserialize_with = "trimmed")]
    pub user_card_status: String,
    /// Whether it can be redeemed now.
    #[serde(default)]
    pub can_consume: bool,
    /// Who has it.
    #[serde(default, deserialize_with = "trimmed")]
    pub openid: String,
    /// `card_id`, `begin_time` and `end_time` in Unix seconds.
    #[serde(default)]
    pub card: Map<String, Value>,
    /// The channel it was claimed through, where WeChat says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outer_str: Option<String>,
    /// All else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What to redeem.
#[derive(Debug, Clone, Serialize)]
pub struct ConsumeRequest {
    /// The code.
    pub code: String,
    /// The card: required for a card with custom codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card_id: Option<String>,
    /// Comes back in `card.consumed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outer_str: Option<super::OuterStr>,
}

/// WeChat's word that a code is redeemed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Redeemed {
    /// `card_id`
    #[serde(default)]
    pub card: Map<String, Value>,
    /// Who had it.
    #[serde(default, deserialize_with = "trimmed")]
    pub openid: String,
    /// All else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// How a redemption ended.
#[derive(Debug)]
pub enum Consumed {
    /// WeChat says so.
    Confirmed(Redeemed),
    /// WeChat may have redeemed the code, and its answer was lost: what it said of the code afterwards.
    AnswerLost {
        /// How.
        lost: ApiError,
        /// The state after that.
        found: Result<CodeState, ApiError>,
    },
}

#[derive(Deserialize)]
struct Decrypted {
    #[serde(deserialize_with = "trimmed")]
    code: String,
}

impl Api {
    /// What WeChat knows of a code; `card_id` is required for a card with custom codes.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn get_code(&mut self, code: &str, card_id: Option<&str>) -> Result<CodeState, ApiError> {
        // With `true` a code that cannot be redeemed is an error, and its state is not told.
        let mut body = json!({ "code": code, "check_consume": false });
        if let (Some(card_id), Some(object)) = (card_id, body.as_object_mut()) {
            object.insert("card_id".to_owned(), card_id.into());
        }
        self.post("/card/code/get", &body, Repeat::Safe).await
    }

    /// Redeems a code: made once. Where the answer is lost, WeChat is asked for the code's state.
    ///
    /// # Errors
    /// Where WeChat did not redeem it.
    pub async fn consume_code(&mut self, request: &ConsumeRequest) -> Result<Consumed, ApiError> {
        match self.post("/card/code/consume", request, Repeat::Never).await {
            Ok(redeemed) => Ok(Consumed::Confirmed(redeemed)),
            Err(lost) if lost.leaves_it_open() => {
                let found = self.get_code(&request.code, request.card_id.as_deref()).await;
                Ok(Consumed::AnswerLost { lost, found })
            }
            Err(refused) => Err(refused),
        }
    }

    /// The code of a redirect link's `encrypt_code`, URL-decoded once.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn decrypt_code(&mut self, encrypt_code: &str) -> Result<String, ApiError> {
        let body = json!({ "encrypt_code": encrypt_code });
        let Decrypted { code } = self.post("/card/code/decrypt", &body, Repeat::Safe).await?;
        Ok(code)
    }
}
