//! The API's addresses and answers as they stand on the wire. Does not depend on who calls.

use std::net::IpAddr;

use ipnet::IpNet;
use reqwest::Url;
use serde::{Deserialize, de::DeserializeOwned};

use super::ApiError;

/// What stands in every refusal, and in some answers that are none.
#[derive(Deserialize)]
pub(super) struct Verdict {
    #[serde(default)]
    pub(super) errcode: i64,
    #[serde(default)]
    pub(super) errmsg: String,
}

#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) access_token: String,
    pub(super) expires_in: u32,
}

#[derive(Deserialize)]
pub(super) struct TicketAnswer {
    pub(super) ticket: String,
    pub(super) expires_in: u32,
}

#[derive(Deserialize)]
pub(super) struct Addresses {
    pub(super) ip_list: Vec<String>,
}

/// The base may have a path of its own: that of an outgoing proxy.
pub(super) fn path_below(base: &Url, path: &str) -> String {
    format!("{}{path}", base.path().trim_end_matches('/'))
}

pub(super) fn url(base: &Url, path: &str, token: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&path_below(base, path));
    url.query_pairs_mut().append_pair("access_token", token);
    url
}

pub(super) fn with_query(mut url: Url, query: &[(&str, &str)]) -> Url {
    url.query_pairs_mut().extend_pairs(query);
    url
}

/// What serde says of a wrong answer may show a piece of it.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|_told_in_general| ApiError::Unreadable)
}

/// `101.226.103.0/25` or `2001:db8::1`
pub(super) fn network(written: &str) -> Option<IpNet> {
    let written = written.trim();
    let address = || written.parse().map(|address: IpAddr| IpNet::from(address.to_canonical()));
    written.parse().or_else(|_| address()).ok()
}
