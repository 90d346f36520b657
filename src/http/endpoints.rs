//! The configured accounts by the path of their callbacks, each with its counters.
//!
//! Tokens and keys can be changed while requests run: a request under way keeps those it began with.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use super::{
    receive::{Account, OTHER},
    refusal,
};
use crate::{
    event::EventType,
    metrics::{AccountMetrics, Metrics},
    protocol::Credentials,
};

/// Every account that the public listener serves; a handle.
#[derive(Clone)]
pub struct Endpoints(Arc<HashMap<String, Endpoint>>);

impl Endpoints {
    /// Makes the accounts' counters.
    #[must_use]
    pub fn new(accounts: impl IntoIterator<Item = Account>, metrics: &Metrics) -> Self {
        let endpoints = accounts.into_iter().map(|account| {
            let event_types = EventType::ALL.iter().map(|event_type| event_type.as_str()).chain([OTHER]);
            let metrics = metrics.of_account(&account.name, event_types);
            (
                account.path.clone(),
                Endpoint {
                    index: account.index,
                    metrics,
                    refusals: refusal::OfAccount::default(),
                    account: RwLock::new(Arc::new(account)),
                },
            )
        });
        Self(Arc::new(endpoints.collect()))
    }

    /// Requests of this account that begin from now on are verified and opened with these.
    pub fn change_credentials(&self, account: &str, credentials: &Credentials) {
        for endpoint in self.0.values() {
            let now = endpoint.account();
            if *now.name == *account {
                let changed = Account { credentials: credentials.clone(), ..Account::clone(&now) };
                *endpoint.account.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(changed);
            }
        }
    }

    /// All accounts, as they are now.
    pub(super) fn accounts(&self) -> Vec<Arc<Account>> {
        self.0.values().map(Endpoint::account).collect()
    }

    pub(super) fn at(&self, path: &str) -> Option<&Endpoint> {
        self.0.get(path)
    }
}

impl std::fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// An account and its counters.
pub(super) struct Endpoint {
    account: RwLock<Arc<Account>>,
    /// Of the account, in the configuration.
    pub(super) index: usize,
    pub(super) metrics: AccountMetrics,
    pub(super) refusals: refusal::OfAccount,
}

impl Endpoint {
    /// The account as it is now. A writer that panicked has written all or nothing.
    pub(super) fn account(&self) -> Arc<Account> {
        Arc::clone(&self.account.read().unwrap_or_else(PoisonError::into_inner))
    }
}
