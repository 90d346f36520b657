//! What is wrong with a configuration: the key, what was found, the cure.

/// One thing wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The key, as written in TOML: `account.shop.token`, `kafka.brokers`.
    pub key: String,
    /// What was found and what was expected; never a secret's value.
    pub problem: String,
    /// What to do.
    pub cure: String,
}

impl ConfigError {
    pub(super) fn new(key: impl Into<String>, problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into(), cure: cure.into() }
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}; {}", self.key, self.problem, self.cure)
    }
}
