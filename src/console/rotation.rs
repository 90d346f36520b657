//! Whether WeChat still uses an account's previous token or key: an exchange may end when it does not.

use schemars::JsonSchema;
use serde::Serialize;

/// A previous token or key counts as replaced when nothing came with it for so long, and something with the new one since.
/// WeChat's servers do not change over at the same moment.
const REPLACED_AFTER_MS: i64 = 600_000;

/// What a token or key is, from the configuration; not its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretFacts {
    /// The file that holds it; `None` where it stands in the configuration or in a variable.
    pub file: Option<String>,
    /// Whether the previous one is configured too.
    pub has_previous: bool,
}

/// A token or key of an account; never its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SecretStatus {
    /// The file that holds it; null where it stands in the configuration or in a variable.
    pub file: Option<String>,
    /// The one before it, while that is configured.
    pub previous: Option<PreviousSecret>,
}

/// A previous token or key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PreviousSecret {
    /// When a push last came with it since it was configured here, Unix milliseconds; null when none did.
    pub last_used: Option<i64>,
    /// None has come for 10 minutes, and one with the new one since: it may be removed.
    pub replaced: bool,
}

/// When pushes came with a token or key, and with the one before it.
#[derive(Debug)]
pub(super) struct Uses {
    facts: SecretFacts,
    /// Configured so since then, Unix milliseconds.
    since: i64,
    current: Option<i64>,
    pub(super) previous: Option<i64>,
}

impl Uses {
    pub(super) fn new(facts: SecretFacts, since: i64) -> Self {
        Self { facts, since, current: None, previous: None }
    }

    /// A push came with it, or with the previous one; `None`: with neither.
    pub(super) fn note(&mut self, is_previous: Option<bool>, at_ms: i64) {
        match is_previous {
            Some(true) => self.previous = Some(at_ms),
            Some(false) => self.current = Some(at_ms),
            None => {}
        }
    }

    pub(super) fn is_replaced(&self) -> bool {
        let last = self.previous.unwrap_or(self.since);
        self.facts.has_previous && self.current.is_some_and(|at| at - last >= REPLACED_AFTER_MS)
    }

    pub(super) fn is_used(&self) -> bool {
        self.facts.has_previous && self.previous.is_some() && !self.is_replaced()
    }

    pub(super) fn status(&self) -> SecretStatus {
        let previous = PreviousSecret { last_used: self.previous, replaced: self.is_replaced() };
        SecretStatus { file: self.facts.file.clone(), previous: self.facts.has_previous.then_some(previous) }
    }
}
