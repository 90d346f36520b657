//! Calls: each with a time limit and a bounded answer, and an access token that is fetched when it is needed.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use reqwest::{Client, ClientBuilder, RequestBuilder, StatusCode, Url, header::CONTENT_TYPE, redirect::Policy};
use serde::{Deserialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{ApiError, Caller};

/// Where WeChat's API is.
pub const BASE: &str = "https://api.weixin.qq.com";

/// For a whole call, from the name's resolution to the answer's last byte.
const PATIENCE: Duration = Duration::from_secs(10);
/// WeChat's addresses are a few kilobytes.
const ANSWER_BYTES: usize = 256 << 10;
/// A token is given up this long before its end: WeChat renews its own then, and both are valid.
const TOKEN_MARGIN: Duration = Duration::from_mins(5);

/// The API, called in one account's name.
pub struct Api {
    client: Client,
    base: Url,
    caller: Caller,
    token: Option<AccessToken>,
    /// See [`PATIENCE`].
    pub(super) patience: Duration,
}

struct AccessToken {
    token: Zeroizing<String>,
    until: Instant,
}

/// What stands in every refusal, and in some answers that are none.
#[derive(Deserialize)]
struct Verdict {
    #[serde(default)]
    errcode: i64,
    #[serde(default)]
    errmsg: String,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: u64,
}

#[derive(Deserialize)]
struct Addresses {
    ip_list: Vec<String>,
}

impl Api {
    /// Prepares to call `base`, [`BASE`] but for tests. Proxies are those of the environment (`HTTPS_PROXY`).
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new(base: Url, caller: Caller) -> Result<Self, ApiError> {
        Self::through(Client::builder(), base, caller)
    }

    pub(super) fn through(client: ClientBuilder, base: Url, caller: Caller) -> Result<Self, ApiError> {
        let client = client.redirect(Policy::none()).build()?;
        Ok(Self { client, base, caller, token: None, patience: PATIENCE })
    }

    /// Calls from now on are made in this account's name.
    pub fn change_caller(&mut self, caller: Caller) {
        self.caller = caller;
        self.token = None;
    }

    /// The addresses and networks that WeChat's callbacks come from: one at least. What reads as neither is left out.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn callback_addresses(&mut self) -> Result<Vec<IpNet>, ApiError> {
        let Addresses { ip_list } = self.get("/cgi-bin/getcallbackip").await?;
        let networks: Vec<_> = ip_list.iter().filter_map(|written| network(written)).collect();
        if networks.is_empty() {
            return Err(ApiError::Unreadable);
        }
        if networks.len() < ip_list.len() {
            let left_out = ip_list.len() - networks.len();
            tracing::warn!(left_out, "some of WeChat's addresses are neither addresses nor networks");
        }
        Ok(networks)
    }

    /// A call with an access token. Where WeChat refuses the token, once more with a new one.
    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ApiError> {
        let outcome = self.get_once(path).await;
        let refused = matches!(&outcome, Err(error) if error.is_of_token());
        // With no token at hand it was the AppSecret that was refused.
        if refused && self.token.take().is_some() { self.get_once(path).await } else { outcome }
    }

    async fn get_once<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ApiError> {
        let mut url = self.url(path);
        let token = self.access_token().await?;
        url.query_pairs_mut().append_pair("access_token", token);
        self.call(self.client.get(url)).await
    }

    /// The token at hand, or a new one. Asked for in the way that leaves the tokens of the account's other programs valid.
    async fn access_token(&mut self) -> Result<&str, ApiError> {
        let token = match self.token.take().filter(|token| token.until > Instant::now()) {
            Some(token) => token,
            None => self.new_access_token().await?,
        };
        Ok(&self.token.insert(token).token)
    }

    async fn new_access_token(&self) -> Result<AccessToken, ApiError> {
        let request = Zeroizing::new(
            serde_json::json!({
                "grant_type": "client_credential",
                "appid": self.caller.app_id,
                "secret": self.caller.app_secret.expose(),
                "force_refresh": false,
            })
            .to_string(),
        );
        let post = self.client.post(self.url("/cgi-bin/stable_token"));
        let post = post.header(CONTENT_TYPE, "application/json").body(request.as_bytes().to_vec());
        let TokenAnswer { access_token, expires_in } = self.call(post).await?;
        let valid = Duration::from_secs(expires_in).saturating_sub(TOKEN_MARGIN);
        Ok(AccessToken { token: Zeroizing::new(access_token), until: Instant::now() + valid })
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ApiError> {
        let mut response = request.timeout(self.patience).send().await?;
        if response.status() != StatusCode::OK {
            return Err(ApiError::Status(response.status().as_u16()));
        }
        let mut body = Zeroizing::new(Vec::new());
        while let Some(piece) = response.chunk().await? {
            if body.len() + piece.len() > ANSWER_BYTES {
                return Err(ApiError::TooLarge(ANSWER_BYTES));
            }
            body.extend_from_slice(&piece);
        }
        let Verdict { errcode, errmsg } = read(&body)?;
        if errcode == 0 { read(&body) } else { Err(ApiError::refused(errcode, &errmsg)) }
    }
}

/// What serde says of a wrong answer may show a piece of it.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|_told_in_general| ApiError::Unreadable)
}

/// `101.226.103.0/25` or `2001:db8::1`
fn network(written: &str) -> Option<IpNet> {
    let written = written.trim();
    let address = || written.parse().map(|address: IpAddr| IpNet::from(address.to_canonical()));
    written.parse().or_else(|_| address()).ok()
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("base", &self.base.as_str()).field("caller", &self.caller).finish_non_exhaustive()
    }
}
