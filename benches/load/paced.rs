//! Pushes that leave at their times, whether earlier ones are answered or not, as WeChat's do.

use std::{
    net::SocketAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::support::{
    http::Connection,
    unix_seconds,
    wechat::{Account, Mode, Push, claim},
};

/// At most so many wait for their answers at a time.
const SENDERS: usize = 128;

/// That many claims of as many users in secure mode, each a different event.
pub fn pushes(count: usize) -> Vec<Push> {
    pushes_from(0, count)
}

/// The same, behind those of the first users.
pub fn pushes_from(first: usize, count: usize) -> Vec<Push> {
    let (account, now) = (Account::of(Mode::Secure), unix_seconds());
    (first..first + count)
        .map(|number| account.push(&claim(&format!("oBenchUser{number:018}"), &format!("{number:012}"), now)))
        .collect()
}

/// Sends `rate` pushes a second, each over a connection of its own or over kept ones; how long each answer took.
pub fn send(to: SocketAddr, pushes: &[Push], rate: usize, one_per_push: bool) -> anyhow::Result<Vec<Duration>> {
    let (next, took, began) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(pushes.len())), Instant::now());
    let sender = || -> anyhow::Result<()> {
        let mut mine = Vec::new();
        // A connection that says nothing for three seconds is closed.
        let mut kept = None;
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            let Some(push) = pushes.get(turn) else { break };
            #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 pushes")]
            let at = began + Duration::from_secs_f64(turn as f64 / rate as f64);
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            let sent = Instant::now();
            let mut connection = match kept.take() {
                Some(connection) if !one_per_push => connection,
                _ => Connection::open(to)?,
            };
            let answer = connection.post(&push.target, &push.body)?;
            kept = Some(connection);
            anyhow::ensure!(answer.is_success(), "status {}", answer.status);
            mine.push(sent.elapsed());
        }
        took.lock().unwrap_or_else(PoisonError::into_inner).extend(mine);
        Ok(())
    };
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS.min(pushes.len())).map(|_| scope.spawn(sender)).collect();
        senders.into_iter().try_for_each(|sender| sender.join().unwrap_or_else(|_| anyhow::bail!("a sender panicked")))
    })?;
    Ok(took.into_inner().unwrap_or_else(PoisonError::into_inner))
}
