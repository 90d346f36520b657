//! Access tokens and card tickets with their ends, and the file in which the processes of one machine share them.
//!
//! Does not depend on where a token comes from.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use super::ApiError;
use crate::clock;

/// A token is given up this long before its end: WeChat renews its own then, and both are valid.
const MARGIN_SECONDS: i64 = 300;
/// Longer than the call that another process makes while it holds the lock, its repetitions included.
const LOCK_PATIENCE: Duration = Duration::from_secs(45);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Of every call.
    AccessToken,
    /// `api_ticket`, of type `wx_card`.
    CardTicket,
}

/// A token or a ticket.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) value: Zeroizing<String>,
    /// Its end in Unix seconds; 0: unknown.
    pub(super) until: i64,
}

impl Held {
    /// One that WeChat gave now, for so many seconds.
    pub(super) fn lasting(value: String, seconds: u32) -> Self {
        Self { value: Zeroizing::new(value), until: clock::unix_millis() / 1000 + i64::from(seconds) }
    }

    /// The first line of a file that a token server keeps.
    pub(super) fn read_plain(file: &Path) -> Result<Self, ApiError> {
        let failed = |error| ApiError::TokenFile(file.to_owned(), error);
        let text = Zeroizing::new(std::fs::read_to_string(file).map_err(failed)?);
        let value = text.trim_end_matches(['\n', '\r']);
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            let problem = "is empty, or holds a blank or a character outside ASCII: expected the token alone";
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, problem)));
        }
        Ok(Self { value: Zeroizing::new(value.to_owned()), until: 0 })
    }

    pub(super) fn is_valid(&self) -> bool {
        self.until - MARGIN_SECONDS > clock::unix_millis() / 1000
    }
}

/// The file, mode 0600.
#[derive(Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
    app_id: String,
}

/// What it holds.
#[derive(Default, Serialize, Deserialize)]
struct Content {
    app_id: String,
    tokens: BTreeMap<Kind, Held>,
}

/// The file, held under its lock until dropped.
pub(super) struct Locked<'a> {
    of: &'a TokenFile,
    file: File,
    content: Content,
}

impl TokenFile {
    pub(super) fn new(path: PathBuf, app_id: &str) -> Self {
        Self { path, app_id: app_id.to_owned() }
    }

    /// Waits for the lock and reads. What cannot be read, or is another AppID's, is as good as nothing.
    pub(super) async fn lock(&self) -> Result<Locked<'_>, ApiError> {
        let mut file = self.open().map_err(|error| self.failed(error))?;
        let end = Instant::now() + LOCK_PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < end => sleep(LOCK_PAUSE).await,
                Err(error) => return Err(self.failed(error.into())),
            }
        }
        let mut text = Zeroizing::new(String::new());
        // A torn write may leave what is no text.
        let read = file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str::<Content>(&text).ok());
        let content = read.filter(|content| content.app_id == self.app_id);
        let empty = || Content { app_id: self.app_id.clone(), tokens: BTreeMap::new() };
        Ok(Locked { of: self, file, content: content.unwrap_or_else(empty) })
    }

    fn open(&self) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&self.path)
    }

    fn failed(&self, error: io::Error) -> ApiError {
        ApiError::Kept(self.path.clone(), error)
    }
}

impl Locked<'_> {
    pub(super) fn valid(&self, kind: Kind) -> Option<Held> {
        self.content.tokens.get(&kind).filter(|held| held.is_valid()).cloned()
    }

    pub(super) fn put(&mut self, kind: Kind, held: &Held) -> Result<(), ApiError> {
        self.content.tokens.insert(kind, held.clone());
        self.write()
    }

    /// Forgets a value that WeChat refused, unless another process has put a new one in its place.
    pub(super) fn give_up(&mut self, kind: Kind, refused: &str) -> Result<(), ApiError> {
        let is_refused = self.content.tokens.get(&kind).is_some_and(|held| held.value.as_str() == refused);
        if !is_refused {
            return Ok(());
        }
        self.content.tokens.remove(&kind);
        self.write()
    }

    /// In place: renaming would leave the lock with a file that is gone.
    fn write(&mut self) -> Result<(), ApiError> {
        let of = self.of;
        let text = serde_json::to_vec(&self.content).map_err(|error| of.failed(error.into()))?;
        let text = Zeroizing::new(text);
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(&text)
        };
        write(&mut self.file).map_err(|error| of.failed(error))
    }
}
