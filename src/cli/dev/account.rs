//! The test account: invented secrets, in files for `cardhook send`, and the lines to paste.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::{
    cli::{
        letters::letters,
        simulator::{Push, Target, WeChat},
    },
    protocol::{AesKey, AppId, Credentials, Mode, Token},
};

pub(super) const NAME: &str = "dev";
pub(super) const PATH: &str = "/wechat/dev";
pub(super) const ACCOUNT_ID: &str = "gh_51b0cardhook";
const APP_ID: &str = "wx51b00000000000de";

/// An account whose secrets live as long as the folder.
pub(super) struct TestAccount {
    token: Token,
    aes_key: AesKey,
    token_file: PathBuf,
    aes_key_file: PathBuf,
    push_file: PathBuf,
}

impl TestAccount {
    /// Invents the secrets and writes them into `folder`.
    pub(super) fn invent(folder: &Path) -> anyhow::Result<Self> {
        let (token, aes_key) = (letters::<32>()?, letters::<43>()?);
        let account = Self {
            token: Token::new(token.as_str()),
            aes_key: AesKey::parse(&aes_key)?,
            token_file: folder.join("token"),
            aes_key_file: folder.join("aes_key"),
            push_file: folder.join("push.xml"),
        };
        fs::write(&account.token_file, token)?;
        fs::write(&account.aes_key_file, aes_key)?;
        Ok(account)
    }

    /// For the receiver and for the simulator.
    pub(super) fn credentials(&self) -> Credentials {
        Credentials {
            mode: Mode::Secure,
            token: self.token.clone(),
            previous_token: None,
            aes_key: Some(self.aes_key.clone()),
            previous_aes_key: None,
            app_id: Some(AppId::new(APP_ID)),
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

    /// What runs where, and how to send one's own; writes the file that the `curl` line posts.
    pub(super) fn banner(
        &self,
        wechat: &WeChat,
        push: &Push,
        admin: SocketAddr,
        brokers: &str,
        topic: &str,
    ) -> anyhow::Result<String> {
        fs::write(&self.push_file, &push.body)?;
        let program = std::env::current_exe().context("where is this program?")?;
        let (program, push_file) = (program.display(), self.push_file.display());
        let (token, aes_key) = (self.token_file.display(), self.aes_key_file.display());
        let (url, address) = (wechat.url(), wechat.address(push));
        let mut banner = String::new();
        writeln!(banner, "receiver  {url}  (secure mode)")?;
        writeln!(banner, "admin     http://{admin}/readyz  http://{admin}/metrics")?;
        writeln!(banner, "broker    {brokers}  (in-process, in memory)\n")?;
        writeln!(banner, "Send one of your own:")?;
        writeln!(banner, "  curl -sS -H 'Content-Type: text/xml' --data-binary @{push_file} '{address}'")?;
        writeln!(
            banner,
            "  {program} send user_get_card --outer-str poster-7 --url {url} --token-file {token} \
             --aes-key-file {aes_key} --app-id {APP_ID} --to-user {ACCOUNT_ID}"
        )?;
        writeln!(banner, "Read the topic from elsewhere:")?;
        writeln!(banner, "  {program} tail --brokers {brokers} --topic {topic} --from-beginning --json\n")?;
        write!(banner, "Events as they come back from the broker (Ctrl-C stops):")?;
        Ok(banner)
    }
}
