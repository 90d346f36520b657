//! Calls: each with a time limit and a bounded answer, and an access token that is fetched when it is needed.

use std::{path::PathBuf, time::Duration};

use ipnet::IpNet;
use reqwest::{Client, ClientBuilder, RequestBuilder, StatusCode, Url, header::CONTENT_TYPE, redirect::Policy};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::{
    ApiError, Caller, NetworkCheck,
    tokens::{Held, Kind, Locked, TokenFile},
    wire::{Addresses, TicketAnswer, TokenAnswer, Verdict, network, path_below, read, url, with_query},
};

/// Where WeChat's API is.
pub const BASE: &str = "https://api.weixin.qq.com";

/// For a whole call, from the name's resolution to the answer's last byte.
const PATIENCE: Duration = Duration::from_secs(10);
/// WeChat's largest answers (`card/batchget`, addresses) are some kilobytes.
const ANSWER_BYTES: usize = 256 << 10;
/// A call that changes nothing is made this often at most where WeChat is busy or not reached.
const ATTEMPTS: u32 = 3;
/// Before the second attempt; twice that before the third.
const BACK_OFF: Duration = Duration::from_millis(300);

/// The API, called in one account's name.
pub struct Api {
    client: Client,
    base: Url,
    source: Source,
    /// Tokens and tickets that all processes of this machine share.
    kept: Option<TokenFile>,
    /// The access token at hand, where no file keeps it.
    token: Option<Held>,
    attempts: u32,
    /// See [`PATIENCE`].
    pub(super) patience: Duration,
}

/// Where access tokens come from.
#[derive(Debug)]
enum Source {
    /// WeChat gives them for an AppSecret.
    Secret(Caller),
    /// A token server keeps one in this file.
    File(PathBuf),
}

/// What may be sent again after an answer that says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// The call changes nothing, or leaves the same behind however often it is made.
    Safe,
    /// A second one may change something again.
    Never,
}

impl Api {
    /// Prepares to call `base`, [`BASE`] but for tests. Proxies are those of the environment (`HTTPS_PROXY`).
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new(base: Url, caller: Caller) -> Result<Self, ApiError> {
        Self::through(Client::builder(), base, caller)
    }

    /// As [`Self::new`], with the access token that a token server keeps in `file`: read at each use.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn with_token_file(base: Url, file: PathBuf) -> Result<Self, ApiError> {
        Self::build(Client::builder(), base, Source::File(file))
    }

    pub(super) fn through(client: ClientBuilder, base: Url, caller: Caller) -> Result<Self, ApiError> {
        Self::build(client, base, Source::Secret(caller))
    }

    fn build(client: ClientBuilder, base: Url, source: Source) -> Result<Self, ApiError> {
        let client = client.redirect(Policy::none()).build()?;
        Ok(Self { client, base, source, kept: None, token: None, attempts: 1, patience: PATIENCE })
    }

    /// Shares tokens and tickets with the other processes that name the same file. One asks WeChat, the others wait for it.
    #[must_use]
    pub fn sharing(mut self, file: PathBuf, app_id: &str) -> Self {
        self.kept = Some(TokenFile::new(file, app_id));
        self
    }

    /// Makes calls that change nothing three times at most, where WeChat says that it is busy or is not reached.
    #[must_use]
    pub fn repeating(mut self) -> Self {
        self.attempts = ATTEMPTS;
        self
    }

    /// Calls from now on are made in this account's name.
    pub fn change_caller(&mut self, caller: Caller) {
        self.source = Source::Secret(caller);
        self.token = None;
    }

    /// The addresses and networks that WeChat's callbacks come from: one at least. What reads as neither is left out.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn callback_addresses(&mut self) -> Result<Vec<IpNet>, ApiError> {
        let Addresses { ip_list } = self.get("/cgi-bin/getcallbackip", &[]).await?;
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

    /// WeChat's own look at the server URL that its console has: where its name leads to, and how packets fare.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn network_check(&mut self) -> Result<NetworkCheck, ApiError> {
        let what = serde_json::json!({ "action": "all", "check_operator": "DEFAULT" });
        self.post("/cgi-bin/callback/check", &what, Repeat::Safe).await
    }

    /// Asks, with further parameters of the query.
    async fn get<T: DeserializeOwned>(&mut self, path: &str, query: &[(&str, &str)]) -> Result<T, ApiError> {
        self.with_token(Repeat::Safe, |client, base, token| client.get(with_query(url(base, path, token), query))).await
    }

    /// Posts a JSON body in UTF-8: WeChat stores `\u` escapes as they stand.
    pub(super) async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl Serialize,
        repeat: Repeat,
    ) -> Result<T, ApiError> {
        let body = serde_json::to_vec(body).map_err(|_told_in_general| ApiError::Unreadable)?;
        let request = |client: &Client, base: &Url, token: &str| {
            let post = client.post(url(base, path, token));
            post.header(CONTENT_TYPE, "application/json; charset=utf-8").body(body.clone())
        };
        self.with_token(repeat, request).await
    }

    /// A call with an access token. Where WeChat refuses the token, once more with a new one.
    async fn with_token<T: DeserializeOwned>(
        &mut self,
        repeat: Repeat,
        request: impl Fn(&Client, &Url, &str) -> RequestBuilder,
    ) -> Result<T, ApiError> {
        let token = self.access_token().await?;
        let outcome = self.repeated(repeat, || request(&self.client, &self.base, &token)).await;
        if !outcome.as_ref().is_err_and(ApiError::is_of_token) || !self.give_up(&token).await? {
            return outcome;
        }
        let token = self.access_token().await?;
        self.repeated(repeat, || request(&self.client, &self.base, &token)).await
    }

    async fn repeated<T: DeserializeOwned>(
        &self,
        repeat: Repeat,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, ApiError> {
        let attempts = if repeat == Repeat::Safe { self.attempts } else { 1 };
        let mut wait = BACK_OFF;
        for _ in 1..attempts {
            match self.call(request()).await {
                Err(error) if error.passes_by_itself() => sleep(wait).await,
                outcome => return outcome,
            }
            wait *= 2;
        }
        self.call(request()).await
    }

    /// The token at hand, or a new one. Asked for in the way that leaves the tokens of the account's other programs valid.
    async fn access_token(&mut self) -> Result<Zeroizing<String>, ApiError> {
        Ok(self.held_access_token().await?.value)
    }

    /// The access token and its end; the end of one that a token server keeps is 0, unknown.
    pub(super) async fn held_access_token(&mut self) -> Result<Held, ApiError> {
        let caller = match &self.source {
            Source::File(file) => return Held::read_plain(file),
            Source::Secret(caller) => caller,
        };
        if let Some(kept) = &self.kept {
            let mut open = kept.lock().await?;
            return self.token_under(&mut open).await;
        }
        let held = match self.token.take().filter(Held::is_valid) {
            Some(held) => held,
            None => self.new_access_token(caller).await?,
        };
        Ok(self.token.insert(held).clone())
    }

    /// WeChat refused this token. Whether another one can be had.
    async fn give_up(&mut self, refused: &str) -> Result<bool, ApiError> {
        if let Source::File(file) = &self.source {
            return Ok(Held::read_plain(file)?.value.as_str() != refused);
        }
        if let Some(kept) = &self.kept {
            kept.lock().await?.give_up(Kind::AccessToken, refused)?;
        }
        self.token = None;
        Ok(true)
    }

    /// The `api_ticket` (`wx_card`) that card signatures take, and its end.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub(super) async fn held_card_ticket(&mut self) -> Result<Held, ApiError> {
        let query = [("type", "wx_card")];
        let Some(kept) = &self.kept else {
            let TicketAnswer { ticket, expires_in } = self.get("/cgi-bin/ticket/getticket", &query).await?;
            return Ok(Held::lasting(ticket, expires_in));
        };
        // Under the lock until the answer is there: processes that start at the same time make one request.
        let mut open = kept.lock().await?;
        if let Some(held) = open.valid(Kind::CardTicket) {
            return Ok(held);
        }
        let token = self.token_under(&mut open).await?;
        let ask = |token: &Held| with_query(url(&self.base, "/cgi-bin/ticket/getticket", &token.value), &query);
        let mut outcome = self.repeated(Repeat::Safe, || self.client.get(ask(&token))).await;
        if outcome.as_ref().is_err_and(ApiError::is_of_token) {
            open.give_up(Kind::AccessToken, &token.value)?;
            let token = self.token_under(&mut open).await?;
            outcome = self.repeated(Repeat::Safe, || self.client.get(ask(&token))).await;
        }
        let TicketAnswer { ticket, expires_in } = outcome?;
        let new = Held::lasting(ticket, expires_in);
        open.put(Kind::CardTicket, &new)?;
        Ok(new)
    }

    /// The access token, while the file is locked already.
    async fn token_under(&self, open: &mut Locked<'_>) -> Result<Held, ApiError> {
        let caller = match &self.source {
            Source::File(file) => return Held::read_plain(file),
            Source::Secret(caller) => caller,
        };
        if let Some(held) = open.valid(Kind::AccessToken) {
            return Ok(held);
        }
        let new = self.new_access_token(caller).await?;
        open.put(Kind::AccessToken, &new)?;
        Ok(new)
    }

    async fn new_access_token(&self, caller: &Caller) -> Result<Held, ApiError> {
        let request = Zeroizing::new(
            serde_json::json!({
                "grant_type": "client_credential",
                "appid": caller.app_id,
                "secret": caller.app_secret.expose(),
                "force_refresh": false,
            })
            .to_string(),
        );
        let mut address = self.base.clone();
        address.set_path(&path_below(&self.base, "/cgi-bin/stable_token"));
        let post = || {
            let post = self.client.post(address.clone());
            post.header(CONTENT_TYPE, "application/json").body(request.as_bytes().to_vec())
        };
        let TokenAnswer { access_token, expires_in } = self.repeated(Repeat::Safe, post).await?;
        Ok(Held::lasting(access_token, expires_in))
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

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("base", &self.base.as_str()).field("source", &self.source).finish_non_exhaustive()
    }
}
