//! The answer of `callback/check`: WeChat's own look at an account's server URL (wire facts §7.3).

use serde::Deserialize;

/// What WeChat finds at the server URL (`callback/check`).
#[derive(Debug, Clone, Deserialize)]
pub struct NetworkCheck {
    /// What its name resolves to.
    #[serde(default)]
    pub dns: Vec<Resolved>,
    /// How packets fare on the way there.
    #[serde(default)]
    pub ping: Vec<Ping>,
}

/// One address of the server URL.
#[derive(Debug, Clone, Deserialize)]
pub struct Resolved {
    /// The address.
    pub ip: String,
    /// Whose network it is in: `UNICOM`, …
    #[serde(default)]
    pub real_operator: String,
}

/// Packets to one address.
#[derive(Debug, Clone, Deserialize)]
pub struct Ping {
    /// The address.
    pub ip: String,
    /// From which network.
    #[serde(default)]
    pub from_operator: String,
    /// `0%`
    #[serde(default)]
    pub package_loss: String,
}
