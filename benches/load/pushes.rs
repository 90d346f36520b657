//! Makes the pushes before they are needed: whole requests of one length, each a different event, in one file.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use crate::{
    support::{
        unix_seconds,
        wechat::{Account, Mode, claim},
    },
    wrk::THREADS,
};

/// Pushes that carry the same second as their `CreateTime`: a busy account's.
const PER_SECOND: usize = 10_000;

/// What becomes of a connection after its push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    KeptAlive,
    OnePerPush,
}

impl Connections {
    /// As the table shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeptAlive => "kept alive",
            Self::OnePerPush => "one per push",
        }
    }

    fn header(self) -> &'static str {
        match self {
            Self::KeptAlive => "Keep-Alive",
            Self::OnePerPush => "close",
        }
    }
}

/// A file of pushes.
pub struct Pushes {
    pub file: PathBuf,
    /// Of each.
    pub length: usize,
    pub count: usize,
}

impl Pushes {
    /// Writes `count` claims of as many users in secure mode.
    pub fn write(folder: &Path, count: usize, connections: Connections) -> anyhow::Result<Self> {
        Self::write_of(&folder.join(connections.header()), count, connections, |number, second| {
            claim(&format!("oBenchUser{number:018}"), &format!("{number:012}"), second)
        })
    }

    /// Writes as many pushes of these clear bodies, made of a number and a second; each has the same length.
    pub fn write_of(
        path: &Path,
        count: usize,
        connections: Connections,
        clear: impl Fn(usize, i64) -> String,
    ) -> anyhow::Result<Self> {
        let account = Account::of(Mode::Secure);
        let mut file = BufWriter::new(File::create(path)?);
        let (now, part, mut length) = (unix_seconds(), count / THREADS, 0);
        for number in 0..count {
            // Each of wrk's threads has a part of the file: they send the pushes of one second at the same time.
            let second = now + i64::try_from(number % part / (PER_SECOND / THREADS))?;
            let push = account.push_at(&clear(number, second), &second.to_string(), &format!("{number:010}"));
            // WeChat's own headers.
            let head = format!(
                "POST {} HTTP/1.1\r\nUser-Agent: Mozilla/4.0\r\nAccept: */*\r\nHost: 127.0.0.1\r\nPragma: no-cache\r\n\
                 Connection: {}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
                push.target,
                connections.header(),
                push.body.len()
            );
            file.write_all(head.as_bytes())?;
            file.write_all(&push.body)?;
            let written = head.len() + push.body.len();
            anyhow::ensure!(number == 0 || written == length, "push {number} has another length");
            length = written;
        }
        // Written back now: the legs measure fsyncs on the same disk.
        file.into_inner()?.sync_all()?;
        Ok(Self { file: path.to_owned(), length, count })
    }
}
