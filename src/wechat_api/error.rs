//! What can go wrong with a call, and its cure. No error shows a URL (tokens stand in queries) or a byte of an answer's body.

use std::net::IpAddr;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No connection, no TLS, or no whole answer in time.
    #[error("WeChat's API does not answer")]
    Unreachable(#[source] reqwest::Error),
    /// An HTTP status other than 200.
    #[error("WeChat's API answers with status {0}")]
    Status(u16),
    /// More bytes than any answer has.
    #[error("WeChat's API answers with more than {0} bytes")]
    TooLarge(usize),
    /// No JSON, or not of the expected shape.
    #[error("WeChat's API answers with something else than the JSON expected: does a proxy answer in its place?")]
    Unreadable,
    /// WeChat understood, and refuses.
    #[error("WeChat's API refuses with errcode {errcode}: {}", cure(*.errcode, *.seen_as))]
    Refused {
        /// WeChat's number.
        errcode: i64,
        /// The address that WeChat sees this machine under, where it says so.
        seen_as: Option<IpAddr>,
    },
}

impl ApiError {
    /// Reads WeChat's refusal. Its text may hold anything: only an address is taken from it.
    pub(super) fn refused(errcode: i64, errmsg: &str) -> Self {
        Self::Refused { errcode, seen_as: errmsg.split([' ', ',']).find_map(|word| word.parse().ok()) }
    }

    /// Whether a new access token may help.
    pub(super) fn is_of_token(&self) -> bool {
        matches!(self, Self::Refused { errcode: 40_001 | 40_014 | 42_001, .. })
    }
}

impl From<reqwest::Error> for ApiError {
    fn from(error: reqwest::Error) -> Self {
        Self::Unreachable(error.without_url())
    }
}

fn cure(errcode: i64, seen_as: Option<IpAddr>) -> String {
    let cure = match errcode {
        -1 => "WeChat is busy, this passes by itself",
        40_001 | 40_125 => "compare app_secret with WeChat's console (resetting it there makes a new one)",
        40_013 => "compare app_id with WeChat's console",
        40_014 | 42_001 => "it does not accept its own new access token, this passes by itself",
        40_164 => {
            let address = seen_as.map_or_else(|| "this machine's public address".to_owned(), |seen| seen.to_string());
            return format!("put {address} on the account's IP whitelist in WeChat's console (IP白名单)");
        }
        45_009 | 45_011 => "the account has called too often, this passes by itself",
        48_001 => "the account may not use this API: look into its permissions in WeChat's console (接口权限)",
        50_002 => "the account is restricted: look into WeChat's console",
        _ => "look it up in WeChat's list of global return codes (全局返回码)",
    };
    cure.to_owned()
}
