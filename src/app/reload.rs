//! A changed configuration while the service runs: accounts' tokens, keys and app secrets are exchanged, everything else
//! takes a restart. The log says what changed, or that nothing did.

use tokio::sync::watch;

use crate::{
    config::{self, Account, Config},
    console::Console,
    http::Endpoints,
    metrics::Metrics,
    protocol::AppId,
    wechat_api::Caller,
};

/// What a running service takes from a new configuration.
#[derive(Debug)]
pub struct Reloader {
    pub(super) endpoints: Endpoints,
    /// Who asks WeChat for its addresses, where it is asked.
    pub(super) api_callers: Option<watch::Sender<Caller>>,
    /// What is in force.
    pub(super) running: Config,
    pub(super) metrics: Metrics,
    pub(super) console: Option<Console>,
}

impl Reloader {
    /// Takes the accounts' tokens, keys and app secrets; names in the log what has changed. WeChat is asked for its
    /// addresses anew, whether or not its AppSecret has changed: what was wrong may have been mended in its console.
    pub fn apply(&mut self, new: &Config) {
        self.metrics.config_last_reload_successful.set(1);
        let mut nothing_changed = true;
        for account in &mut self.running.accounts {
            let Some(changed) = new.accounts.iter().find(|changed| changed.name == account.name) else { continue };
            let secrets = changed_secrets(account, changed);
            if secrets.is_empty() {
                continue;
            }
            nothing_changed = false;
            let (old, new) = (&account.credentials, &changed.credentials);
            // Keys for another mode or AppID would refuse or quarantine what the running one accepts.
            if (old.mode, old.app_id.as_ref().map(AppId::as_str)) != (new.mode, new.app_id.as_ref().map(AppId::as_str))
            {
                tracing::warn!(
                    account = account.name,
                    "mode or app_id changed: its tokens and keys stay until a restart"
                );
                continue;
            }
            self.endpoints.change_credentials(&account.name, new);
            account.credentials = new.clone();
            account.secret_files = changed.secret_files.clone();
            if let Some(console) = self.console.as_ref().filter(|_| secrets != ["app_secret"]) {
                let (token, aes_key) = super::console::secrets(account);
                console.change_secrets(&account.name, token, aes_key);
            }
            account.app_secret.clone_from(&changed.app_secret);
            tracing::info!(account = account.name, changed = secrets.join(", "), "tokens and keys reloaded");
        }
        if let (Some(callers), Some(caller)) = (&self.api_callers, self.running.api_caller()) {
            callers.send_replace(caller);
        }
        for key in self.running.differing_keys(new) {
            nothing_changed = false;
            tracing::warn!(key, "changed: takes a restart");
        }
        if nothing_changed && config::has_system_credentials() {
            tracing::warn!(
                "reloaded: nothing changed; what systemd hands over by LoadCredential changes with a restart only"
            );
        } else if nothing_changed {
            tracing::info!("reloaded: nothing changed");
        }
    }

    /// The new configuration cannot be used: the running one stays.
    pub fn refuse(&self, error: &anyhow::Error) {
        self.metrics.config_last_reload_successful.set(0);
        tracing::error!("the configuration is wrong and the old one stays: {error:#}");
    }
}

/// The keys of an account's secrets that differ.
fn changed_secrets(old: &Account, new: &Account) -> Vec<&'static str> {
    let (mine, theirs) = (&old.credentials, &new.credentials);
    let differs = [
        ("token", mine.token != theirs.token),
        ("previous_token", mine.previous_token != theirs.previous_token),
        ("aes_key", mine.aes_key != theirs.aes_key),
        ("previous_aes_key", mine.previous_aes_key != theirs.previous_aes_key),
        ("app_secret", old.app_secret != new.app_secret),
    ];
    differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}
