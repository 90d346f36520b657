//! The test account: secrets, invented or an application's own, in files for `cardhook send`, and the lines to paste.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;

use super::card_api;
use crate::{
    cli::{
        letters::letters,
        send::secret,
        simulator::{Push, Target, WeChat},
    },
    protocol::{AesKey, AppId, Credentials, Mode, Token},
};

pub(super) const NAME: &str = "dev";
pub(super) const PATH: &str = "/wechat/dev";
pub(super) const ACCOUNT_ID: &str = "gh_51b0cardhook";
const APP_ID: &str = "wx51b00000000000de";

/// The secrets that an application has already; those that are not given are invented.
#[derive(Debug, Args)]
pub(super) struct SecretArgs {
    /// The application's token, in a file
    #[arg(long, value_name = "FILE", requires = "upstream")]
    token_file: Option<PathBuf>,
    /// The application's EncodingAESKey, in a file
    #[arg(long, value_name = "FILE", requires = "upstream")]
    aes_key_file: Option<PathBuf>,
    /// The application's AppID
    #[arg(long, value_name = "APPID", requires = "upstream", default_value = APP_ID, hide_default_value = true)]
    app_id: String,
}

/// An account whose secrets live as long as the folder.
pub(super) struct TestAccount {
    token: Token,
    aes_key: AesKey,
    app_id: String,
    token_file: PathBuf,
    aes_key_file: PathBuf,
    push_file: PathBuf,
    app_secret: String,
    app_secret_file: PathBuf,
    config_file: PathBuf,
}

impl TestAccount {
    /// Invents the secrets that are not given, and writes those into `folder`.
    pub(super) fn new(given: &SecretArgs, folder: &Path) -> anyhow::Result<Self> {
        let file = |given: &Option<PathBuf>, name: &str, invented: String| -> anyhow::Result<PathBuf> {
            if let Some(path) = given {
                return Ok(path.clone());
            }
            let path = folder.join(name);
            fs::write(&path, invented)?;
            Ok(path)
        };
        let token_file = file(&given.token_file, "token", letters::<32>()?)?;
        let aes_key_file = file(&given.aes_key_file, "aes_key", letters::<43>()?)?;
        let app_secret = letters::<32>()?;
        let app_secret_file = file(&None, "app_secret", app_secret.clone())?;
        Ok(Self {
            token: Token::new(secret(&token_file)?),
            aes_key: AesKey::parse(&secret(&aes_key_file)?)
                .with_context(|| format!("{} holds no EncodingAESKey", aes_key_file.display()))?,
            app_id: given.app_id.clone(),
            token_file,
            aes_key_file,
            push_file: folder.join("push.xml"),
            app_secret,
            app_secret_file,
            config_file: folder.join("cardhook.toml"),
        })
    }

    /// For the receiver and for the simulator.
    pub(super) fn credentials(&self) -> Credentials {
        Credentials {
            mode: Mode::Secure,
            token: self.token.clone(),
            previous_token: None,
            aes_key: Some(self.aes_key.clone()),
            previous_aes_key: None,
            app_id: Some(AppId::new(self.app_id.as_str())),
        }
    }

    /// The receiver's address and this account.
    pub(super) fn target(&self, receiver: SocketAddr) -> Target {
        Target {
            url: format!("http://{receiver}{PATH}"),
            credentials: self.credentials(),
            to_user: ACCOUNT_ID.to_owned(),
        }
    }

    /// Of the card API's double.
    pub(super) fn app_secret(&self) -> &str {
        &self.app_secret
    }

    /// Writes the configuration for `cardhook card …`, with its own state folder beside the receiver's spool.
    pub(super) fn write_config(&self, card_api: SocketAddr, spool: &Path) -> anyhow::Result<()> {
        let shown = |path: &Path| toml::Value::String(path.display().to_string()).to_string();
        let text = format!(
            "[[account]]\nname = {NAME:?}\napp_id = {APP_ID:?}\ntoken_file = {}\naes_key_file = {}\napp_secret_file = {}\n\n\
             [kafka]\nbrokers = []\n\n[spool]\npath = {}\n\n[wechat_api]\nbase_url = \"http://{card_api}\"\n",
            shown(&self.token_file),
            shown(&self.aes_key_file),
            shown(&self.app_secret_file),
            shown(&spool.with_extension("card")),
        );
        Ok(fs::write(&self.config_file, text)?)
    }

    /// What runs where, and how to send one's own; writes the file that the `curl` line posts.
    pub(super) fn banner(
        &self,
        wechat: &WeChat,
        push: &Push,
        admin: SocketAddr,
        brokers: &str,
        topic: &str,
        upstream: Option<&str>,
    ) -> anyhow::Result<String> {
        fs::write(&self.push_file, &push.body)?;
        let program = std::env::current_exe().context("where is this program?")?;
        let (program, push_file) = (program.display(), self.push_file.display());
        let (token, aes_key) = (self.token_file.display(), self.aes_key_file.display());
        let (url, address, app_id) = (wechat.url(), wechat.address(push), &self.app_id);
        let mut banner = String::new();
        writeln!(banner, "console   http://{admin}/console/")?;
        writeln!(banner, "receiver  {url}  (secure mode)")?;
        writeln!(banner, "admin     http://{admin}/readyz  http://{admin}/metrics")?;
        writeln!(banner, "broker    {brokers}  (in-process, in memory)\n")?;
        if let Some(upstream) = upstream {
            writeln!(
                banner,
                "upstream  {upstream}  (needs token {token}, EncodingAESKey {aes_key}, AppID {app_id})\n"
            )?;
        }
        writeln!(banner, "Send one of your own:")?;
        writeln!(banner, "  curl -sS -H 'Content-Type: text/xml' --data-binary @{push_file} '{address}'")?;
        writeln!(
            banner,
            "  {program} send user_get_card --outer-str poster-7 --url {url} --token-file {token} \
             --aes-key-file {aes_key} --app-id {app_id} --to-user {ACCOUNT_ID}"
        )?;
        writeln!(banner, "Read the topic from elsewhere:")?;
        writeln!(banner, "  {program} tail --brokers {brokers} --topic {topic} --from-beginning --json\n")?;
        writeln!(banner, "{}\n", card_api::lines(&program.to_string(), &self.config_file.display().to_string()))?;
        write!(banner, "Events as they come back from the broker (Ctrl-C stops):")?;
        Ok(banner)
    }
}
