//! WeChat's own API (`api.weixin.qq.com`), called in an account's name: access tokens, and where callbacks come from.
//!
//! It refuses to know what the answers are used for, and imports nothing of the pipeline.

mod client;
mod error;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

pub use client::{Api, BASE};
pub use error::ApiError;

use zeroize::Zeroizing;

/// An account's AppSecret. Prints as `[redacted]`, zeroed on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct AppSecret(Zeroizing<String>);

impl AppSecret {
    /// Takes an AppSecret as configured.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(Zeroizing::new(secret.into()))
    }

    fn expose(&self) -> &str {
        &self.0
    }
}

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
