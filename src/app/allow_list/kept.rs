//! WeChat's addresses as last learnt, in a file of the spool's folder. Does not depend on where they come from.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// No list of WeChat's comes near.
const LARGEST: u64 = 1 << 20;

/// The file; it need not be there.
#[derive(Debug, Clone)]
pub(super) struct Kept(PathBuf);

/// Why a file that is there does not count.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeptError {
    /// The disk, or its permissions.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Torn, or written by somebody else.
    #[error("it does not read as a list of addresses")]
    Torn,
}

/// The shape of WeChat's own answer.
#[derive(Serialize, Deserialize)]
struct List {
    ip_list: Vec<String>,
}

impl Kept {
    pub(super) fn within(folder: &Path) -> Self {
        Self(folder.join("wechat-addresses.json"))
    }

    /// The networks, at least one; `None` where there is no file. All of it reads, or none of it counts.
    pub(super) fn read(&self) -> Result<Option<Vec<IpNet>>, KeptError> {
        let file = match File::open(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text)?;
        let List { ip_list } = serde_json::from_slice(&text).map_err(|_told_in_general| KeptError::Torn)?;
        let networks: Vec<IpNet> =
            ip_list.iter().map(|network| network.parse()).collect::<Result<_, _>>().map_err(|_| KeptError::Torn)?;
        if networks.is_empty() { Err(KeptError::Torn) } else { Ok(Some(networks)) }
    }

    /// Puts these in place of what the file holds: after a crash it holds the one or the other, whole.
    pub(super) fn write(&self, networks: &[IpNet]) -> io::Result<()> {
        let list = List { ip_list: networks.iter().map(ToString::to_string).collect() };
        let new = self.0.with_extension("new");
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(&list)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.0)?;
        self.0.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}
