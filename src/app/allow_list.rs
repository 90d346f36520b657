//! `server.allow_from = ["wechat"]`: asks WeChat for its addresses each day, keeps the last ones in the spool's folder, and
//! hands them to the public listener.
//!
//! The last known list holds for as long as WeChat cannot be asked. Until one was known, anyone may call, and a metric says so.

mod kept;
#[cfg(test)]
mod tests;

use std::{path::Path, time::Duration};

use ipnet::IpNet;
use prometheus_client::metrics::gauge::Gauge;
use tokio::{sync::watch, task::spawn_blocking, time::sleep};

use self::kept::Kept;
use crate::{
    http::Published,
    wechat_api::{Api, ApiError, Caller},
};

/// How often WeChat is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// After an answer.
    refresh: Duration,
    /// After a first failure; twice that after each further one.
    first_retry: Duration,
    longest_retry: Duration,
}

impl Pace {
    /// WeChat asks for a look at least once a day. A cause that stays costs it some thirty calls a day.
    pub(super) const DAILY: Self = Self {
        refresh: Duration::from_hours(24),
        first_retry: Duration::from_secs(10),
        longest_retry: Duration::from_hours(1),
    };

    fn retry(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first_retry.saturating_mul(factor).min(self.longest_retry)
    }
}

/// Keeps the listener's list up to date while [`AllowList::keep`] runs.
#[derive(Debug)]
pub(super) struct AllowList {
    api: Api,
    kept: Kept,
    published: Published,
    known: Gauge,
    pace: Pace,
    /// In whose name to ask; each one sent is a reason to ask at once.
    callers: watch::Sender<Caller>,
    changes: watch::Receiver<Caller>,
}

impl AllowList {
    /// Takes up the list that the folder keeps, where there is one.
    pub(super) fn open(folder: &Path, api: Api, caller: Caller, known: Gauge, pace: Pace) -> Self {
        let (published, kept) = (Published::default(), Kept::within(folder));
        match kept.read() {
            Ok(Some(networks)) => {
                published.learn(&networks);
                known.set(1);
                tracing::info!(networks = networks.len(), "WeChat's addresses are those kept in {kept}");
            }
            Ok(None) => {
                known.set(0);
                tracing::warn!("server.allow_from: WeChat's addresses are not known yet, until then ANYONE may call");
            }
            Err(error) => {
                known.set(0);
                tracing::error!(
                    "server.allow_from: WeChat's addresses kept in {kept} are not trusted: {error}; until WeChat tells them \
                     again ANYONE may call"
                );
            }
        }
        let (callers, changes) = watch::channel(caller);
        Self { api, kept, published, known, pace, callers, changes }
    }

    /// What the listener judges by.
    pub(super) fn published(&self) -> Published {
        self.published.clone()
    }

    /// For another AppSecret while the service runs.
    pub(super) fn callers(&self) -> watch::Sender<Caller> {
        self.callers.clone()
    }

    /// Asks at once, then at its pace, for ever.
    pub(super) async fn keep(mut self) {
        let mut failures = 0;
        loop {
            let wait = match self.api.callback_addresses().await {
                Ok(networks) => {
                    failures = 0;
                    self.learn(networks).await;
                    self.pace.refresh
                }
                Err(error) => {
                    failures += 1;
                    let wait = self.pace.retry(failures);
                    self.tell(error, wait);
                    wait
                }
            };
            tokio::select! {
                () = sleep(wait) => (),
                // The sending side is `self`'s too: it does not end.
                _ = self.changes.changed() => {
                    failures = 0;
                    let caller = self.changes.borrow_and_update().clone();
                    self.api.change_caller(caller);
                }
            }
        }
    }

    async fn learn(&self, networks: Vec<IpNet>) {
        self.published.learn(&networks);
        self.known.set(1);
        tracing::info!(networks = networks.len(), "WeChat's addresses learnt");
        let kept = self.kept.clone();
        // A disk that hangs must not hold up who serves.
        let written = spawn_blocking(move || kept.write(&networks)).await;
        if let Ok(Err(error)) = written {
            tracing::error!("WeChat's addresses hold until a restart only: {} cannot be written: {error}", self.kept);
        }
    }

    fn tell(&self, error: ApiError, wait: Duration) {
        let error = anyhow::Error::new(error);
        let then = format!("asks again in {} s", wait.as_secs());
        if self.known.get() == 0 {
            tracing::error!("server.allow_from: WeChat's addresses are not known, ANYONE may call: {error:#}; {then}");
        } else {
            tracing::warn!("WeChat's addresses stay as last known: {error:#}; {then}");
        }
    }
}
