//! Who an event is: the UUID v5 of contract §1.4.

/// An event's stable id: the same on every replica, in every mode, after every restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(uuid::Uuid);

impl EventId {
    /// The id of a quarantined push: UUID v5 of account name and body (contract §3.2).
    #[must_use]
    pub fn of_quarantined(account: &str, body: &[u8]) -> Self {
        let _ = (account, body);
        unimplemented!()
    }

    /// The 16 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
