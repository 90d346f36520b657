//! What can go wrong with a call, and its cure. No error shows a URL (tokens stand in queries) or a byte of an answer's body.

use std::{net::IpAddr, path::PathBuf};

use super::codes::{self, Meaning};

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
        /// WeChat's text.
        errmsg: Words,
        /// The address that WeChat sees this machine under, where it says so.
        seen_as: Option<IpAddr>,
    },
    /// The file that a token server keeps (`access_token_file`) gives no token.
    #[error("access_token_file {0:?} gives no access token")]
    TokenFile(PathBuf, #[source] std::io::Error),
    /// The file that shares tokens between processes cannot be used.
    #[error(
        "{0:?}, which keeps access tokens, cannot be used: run as the service's user, or give that user the folder"
    )]
    Kept(PathBuf, #[source] std::io::Error),
}

/// WeChat's own words. They may hold anything: shown where somebody asked for them, and in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Words(String);

impl Words {
    /// The words, less control characters.
    #[must_use]
    pub fn shown(&self) -> String {
        self.0.chars().filter(|character| !character.is_control()).take(300).collect()
    }
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[not shown]")
    }
}

impl ApiError {
    /// Reads WeChat's refusal. Its text may hold anything: only an address is taken from it.
    pub(super) fn refused(errcode: i64, errmsg: &str) -> Self {
        let errmsg_words = Words(errmsg.to_owned());
        Self::Refused {
            errcode,
            errmsg: errmsg_words,
            seen_as: errmsg.split([' ', ',']).find_map(|word| word.parse().ok()),
        }
    }

    /// Whether a new access token may help.
    pub(super) fn is_of_token(&self) -> bool {
        matches!(self, Self::Refused { errcode: 40_001 | 40_014 | 42_001, .. })
    }

    /// Whether the same call may fare better a moment later.
    pub(super) fn passes_by_itself(&self) -> bool {
        matches!(self, Self::Refused { errcode: -1, .. } | Self::Unreachable(_) | Self::Status(500..=599))
    }

    /// Whether WeChat may have done what was asked although no answer says so.
    #[must_use]
    pub fn leaves_it_open(&self) -> bool {
        match self {
            Self::Unreachable(error) => !error.is_connect(),
            Self::Refused { errcode, .. } => *errcode == -1,
            Self::Status(_) | Self::TooLarge(_) | Self::Unreadable => true,
            Self::TokenFile(..) | Self::Kept(..) => false,
        }
    }

    /// What WeChat's code means and what to do about it, in English and Chinese, where it is known.
    #[must_use]
    pub fn meaning(&self) -> Option<&'static Meaning> {
        match self {
            Self::Refused { errcode, .. } => codes::meaning(*errcode),
            _ => None,
        }
    }
}

impl From<reqwest::Error> for ApiError {
    fn from(error: reqwest::Error) -> Self {
        Self::Unreachable(error.without_url())
    }
}

fn cure(errcode: i64, seen_as: Option<IpAddr>) -> String {
    match (errcode, seen_as) {
        (40_164, Some(seen)) => format!("put {seen} on the account's IP whitelist in WeChat's console (IP白名单)"),
        _ => codes::meaning(errcode).map_or_else(
            || "look it up in WeChat's list of global return codes (全局返回码)".to_owned(),
            |meaning| format!("{}; {}", meaning.en, meaning.en_cure),
        ),
    }
}
