//! A changed configuration while the service runs: accounts' tokens and keys are exchanged, everything else takes a restart.

use crate::{config::Config, http::Doors, protocol::AppId};

/// What a running service takes from a new configuration.
#[derive(Debug)]
pub struct Reloader {
    pub(super) doors: Doors,
    /// What is in force.
    pub(super) running: Config,
}

impl Reloader {
    /// Takes the accounts' tokens and keys; names in the log what else has changed.
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
            tracing::info!(account = account.name, "tokens and keys reloaded");
        }
        for key in self.running.differing_keys(new) {
            tracing::warn!(key, "changed: takes a restart");
        }
    }
}
