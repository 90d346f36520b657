//! Drives a listener with wrk.

use std::{net::SocketAddr, process::Command, time::Duration};

use anyhow::Context as _;

use crate::{pushes::Pushes, support::project};

/// wrk's own threads.
pub const THREADS: usize = 2;
/// Connections at a time.
pub const CONNECTIONS: usize = 256;

/// What wrk saw.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Answered, with whatever status.
    pub answered: u64,
    pub took: Duration,
    pub p50: Duration,
    pub p99: Duration,
}

impl Seen {
    /// Answers a second.
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 answers")]
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64()
    }
}

/// Posts `pushes` for `duration`, over and over if they do not last.
///
/// # Errors
/// When wrk does not run, and when any answer was not 2xx or any connection failed: such a run measures something else.
pub fn drive(address: SocketAddr, pushes: &Pushes, duration: Duration) -> anyhow::Result<Seen> {
    drive_over(CONNECTIONS, address, pushes, duration)
}

/// As [`drive`], over this many connections.
pub fn drive_over(
    connections: usize,
    address: SocketAddr,
    pushes: &Pushes,
    duration: Duration,
) -> anyhow::Result<Seen> {
    let output = Command::new("wrk")
        .args(["--threads", &THREADS.to_string(), "--connections", &connections.to_string(), "--timeout", "5s"])
        .args(["--duration", &format!("{}s", duration.as_secs()), "--script"])
        .arg(project("benches/pushes.lua"))
        .args([&format!("http://{address}/"), "--"])
        .arg(&pushes.file)
        .args([pushes.length.to_string(), (pushes.count / THREADS).to_string()])
        .output()
        .context("wrk does not run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT ")).with_context(|| format!("wrk: {text}"))?;
    let numbers: Vec<u64> = result.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let &[answered, took, p50, p99, refused, broken] = numbers.as_slice() else {
        anyhow::bail!("wrk: {result}");
    };
    anyhow::ensure!(refused == 0 && broken == 0, "{refused} answers were not 2xx, {broken} connections failed");
    let [took, p50, p99] = [took, p50, p99].map(Duration::from_micros);
    Ok(Seen { answered, took, p50, p99 })
}
