//! Open files: every connection is one, and so is what the service needs to keep an event: its share is not theirs to take.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For the spool, Kafka's connections, the admin listener and calls to WeChat.
const OWN: u64 = 256;
/// With fewer the spool, Kafka's connections or a listener fail one by one.
const LEAST: u64 = 128;
/// More would cost more memory than a service of its kind is given.
const MOST: u64 = 50_000;

/// Too few files may be open.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process may have {limit} files open, and cardhook needs {LEAST} at least: raise the limit (`ulimit -n`, \
     LimitNOFILE= of systemd, --ulimit nofile= of a container)"
)]
pub struct TooFewFiles {
    limit: u64,
}

/// Raises the limit as far as this process may (systemd starts services with 1,024), and says how many connections it
/// leaves room for.
///
/// # Errors
/// When the limit leaves too little for the service itself.
pub(super) fn room_for_connections() -> Result<usize, TooFewFiles> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    if let Some(limit) = limit.filter(|limit| *limit < LEAST) {
        return Err(TooFewFiles { limit });
    }
    let connections = connections(limit);
    tracing::info!(open_files = limit, connections, "limits");
    Ok(connections)
}

/// Half of a limit that is small at least; `None`: there is none.
fn connections(limit: Option<u64>) -> usize {
    let room = limit.map_or(MOST, |limit| limit.saturating_sub(OWN).max(limit / 2));
    usize::try_from(room.min(MOST)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_service_files_of_its_own() {
        for (limit, expected) in
            [(Some(1024), 768), (Some(20_000), 19_744), (Some(300), 150), (Some(1 << 30), 50_000), (None, 50_000)]
        {
            assert_eq!(connections(limit), expected, "{limit:?}");
        }
    }
}
