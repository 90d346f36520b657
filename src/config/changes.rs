//! What differs between two configurations, by key.

use std::collections::{BTreeMap, BTreeSet};

use super::{Config, Secret, print::REDACTED};

impl Config {
    /// The keys whose values differ in another configuration. Accounts' tokens, keys and app secrets are not compared.
    #[must_use]
    pub fn differing_keys(&self, other: &Self) -> BTreeSet<String> {
        let (mine, theirs) = (entries(&self.effective()), entries(&other.effective()));
        let mut keys: BTreeSet<String> =
            mine.keys().chain(theirs.keys()).filter(|key| mine.get(*key) != theirs.get(*key)).cloned().collect();
        let shown = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        if shown(&self.admin.token) != shown(&other.admin.token) {
            keys.insert("admin.token".to_owned());
        }
        if shown(&self.kafka.sasl_password) != shown(&other.kafka.sasl_password) {
            keys.insert("kafka.sasl_password".to_owned());
        }
        for account in &self.accounts {
            let same = other.accounts.iter().find(|theirs| theirs.name == account.name);
            // What `effective` leaves out of a URL may be all that differs.
            if same.is_some_and(|theirs| theirs.upstream != account.upstream && account.upstream.is_some()) {
                keys.insert(format!("account.{}.upstream", account.name));
            }
        }
        let options = |config: &Self| -> Vec<(String, String)> {
            config.kafka.options.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect()
        };
        if options(self) != options(other) {
            keys.insert("kafka.options".to_owned());
        }
        keys
    }
}

/// The effective configuration by full key, less what is secret.
fn entries(effective: &str) -> BTreeMap<String, String> {
    let (mut section, mut entries) = (String::new(), BTreeMap::new());
    for line in effective.lines() {
        if line.starts_with('[') {
            line.trim_matches(['[', ']']).clone_into(&mut section);
        }
        let Some((key, value)) = line.split_once(" = ") else { continue };
        if section == "account" && key == "name" {
            section = format!("account.{}", value.trim_matches('"'));
        }
        if value.trim_matches('"') != REDACTED && section != "kafka.options" {
            entries.insert(format!("{section}.{key}"), value.to_owned());
        }
    }
    entries
}
