//! Which WeChat a page is opened in, by its `User-Agent`.
//!
//! Does not depend on a web framework.

/// A WeChat version; compares as versions do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// `6` of `6.0.2`
    pub major: u32,
    /// `0` of `6.0.2`
    pub minor: u32,
    /// `2` of `6.0.2`
    pub patch: u32,
}

impl Version {
    /// The first one whose pages can use cards (JS-SDK `addCard`, `chooseCard`, `openCard`).
    pub const FIRST_WITH_CARDS: Self = Self { major: 6, minor: 0, patch: 2 };

    /// Whether it is 6.0.2 or newer.
    #[must_use]
    pub fn supports_cards(self) -> bool {
        self >= Self::FIRST_WITH_CARDS
    }
}

/// The version behind `MicroMessenger/`, in any case; `None` outside WeChat. What is missing of it counts as 0.
///
/// ```
/// use cardhook::wechat_api::user_agent::micromessenger_version;
///
/// let user_agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 8_1 like Mac OS X) MicroMessenger/6.0.2 NetType/WIFI";
/// assert!(micromessenger_version(user_agent).is_some_and(|version| version.supports_cards()));
/// assert!(micromessenger_version("MicroMessenger/6.0.1").is_some_and(|version| !version.supports_cards()));
/// assert_eq!(micromessenger_version("Mozilla/5.0 Safari/604.1"), None);
/// ```
#[must_use]
pub fn micromessenger_version(user_agent: &str) -> Option<Version> {
    let lower = user_agent.to_ascii_lowercase();
    let (_, behind) = lower.split_once("micromessenger/")?;
    let mut parts = behind.split(|character: char| !character.is_ascii_digit() && character != '.').next()?.split('.');
    let major = parts.next()?.parse().ok()?;
    let mut next = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    Some(Version { major, minor: next(), patch: next() })
}
