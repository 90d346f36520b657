//! WeChat's own API (`api.weixin.qq.com`), called in an account's name: tokens, card calls, signatures and redirect links.
//!
//! Does not depend on the pipeline, nor on what the answers are used for.

pub mod card;
mod client;
pub mod codes;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod network;
pub mod redirect;
mod sign;
#[cfg(test)]
mod tests;
mod tokens;
pub mod user_agent;
mod wire;

pub use client::{Api, BASE};
pub use error::{ApiError, Words};
pub use network::{NetworkCheck, Ping, Resolved};
pub use sign::{CardExt, ChooseCard, sign_card_ext, sign_choose_card, sign_jsapi};

use secrecy::{ExposeSecret as _, SecretString};

/// An account's AppSecret. Prints as `[redacted]`, zeroed on drop.
#[derive(Clone)]
pub struct AppSecret(SecretString);

impl AppSecret {
    /// Takes an AppSecret as configured.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(SecretString::from(secret.into()))
    }

    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for AppSecret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for AppSecret {}

impl std::fmt::Debug for AppSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// In whose name the API is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account's AppID.
    pub app_id: String,
    /// Its AppSecret.
    pub app_secret: AppSecret,
}
