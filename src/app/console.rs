//! Starts and stops the console, unless it is switched off.

use std::sync::{Arc, atomic::AtomicBool, mpsc::Receiver};

use anyhow::Context as _;

use crate::{
    config::{Account, Config},
    console::{Console, Facts, Observer, Running, SecretFacts},
    delivery::{Delivery, Probe, Published, spool_folder},
    metrics::Metrics,
};

/// The console and those who need it; all `None` with `admin.console = false`.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// For the admin listener.
    pub(super) console: Option<Console>,
    /// For the public listener.
    pub(super) observer: Option<Observer>,
    /// To be stopped.
    pub(super) running: Option<Running>,
}

impl Watched {
    /// Where the delivery has a probe. The spool's folder is there by now.
    pub(super) fn start(
        config: &Config,
        delivery: &Delivery,
        probe: Option<(Probe, Receiver<Published>)>,
        metrics: &Metrics,
        draining: &Arc<AtomicBool>,
    ) -> anyhow::Result<Self> {
        let Some(probe) = probe else { return Ok(Self::default()) };
        let facts = |account: &Account| Facts {
            name: account.name.clone(),
            path: account.path.clone(),
            mode: account.credentials.mode.name(),
            token: secrets(account).0,
            aes_key: secrets(account).1,
        };
        let accounts = config.accounts.iter().map(facts).collect();
        let spool = spool_folder(&config.spool.path);
        let (console, observer, running) =
            Console::start(accounts, delivery.clone(), probe, metrics, spool, Arc::clone(draining))
                .context("no thread for the console")?;
        Ok(Self { console: Some(console), observer: Some(observer), running: Some(running) })
    }
}

/// What the console is told of an account's token and key.
pub(super) fn secrets(account: &Account) -> (SecretFacts, Option<SecretFacts>) {
    let (credentials, files) = (&account.credentials, &account.secret_files);
    let token = SecretFacts { file: files.token.clone(), has_previous: credentials.previous_token.is_some() };
    let aes_key = || SecretFacts { file: files.aes_key.clone(), has_previous: credentials.previous_aes_key.is_some() };
    (token, credentials.aes_key.is_some().then(aes_key))
}

/// Ends what is still streamed, and the console's thread.
pub(super) async fn stop(running: Option<Running>) -> anyhow::Result<()> {
    let Some(running) = running else { return Ok(()) };
    tokio::task::spawn_blocking(move || running.stop()).await.context("the console did not stop")
}
