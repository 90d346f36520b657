//! A changed configuration while the service runs: accounts' tokens, keys and app secrets are exchanged, everything else
//! takes a restart.

use tokio::sync::watch;

use crate::{config::Config, http::Doors, protocol::AppId, wechat_api::Caller};

/// What a running service takes from a new configuration.
#[derive(Debug)]
pub struct Reloader {
    pub(super) doors: Doors,
    /// Who asks WeChat for its addresses, where it is asked.
    pub(super) api_callers: Option<watch::Sender<Caller>>,
    /// What is in force.
    pub(super) running: Config,
}

impl Reloader {
    /// Takes the accounts' tokens, keys and app secrets; names in the log what else has changed. WeChat is asked for its
    /// addresses anew, whether or not its AppSecret has changed: what was wrong may have been mended in its console.
    pub fn apply(&mut self, new: &Config) {
        for account in &mut self.running.accounts {
            let Some(changed) = new.accounts.iter().find(|changed| changed.name == account.name) else { continue };
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
            self.doors.change_credentials(&account.name, new);
            account.credentials = new.clone();
            account.app_secret.clone_from(&changed.app_secret);
            tracing::info!(account = account.name, "tokens and keys reloaded");
        }
        if let (Some(callers), Some(caller)) = (&self.api_callers, self.running.api_caller()) {
            callers.send_replace(caller);
        }
        for key in self.running.differing_keys(new) {
            tracing::warn!(key, "changed: takes a restart");
        }
    }
}
