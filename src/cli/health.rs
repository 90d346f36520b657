//! `cardhook health`: asks a running service whether it is ready. For containers without a shell or an HTTP client.
//!
//! Does not depend on the service: it speaks plain HTTP to the configured admin listener.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};

use super::ConfigArgs;

/// Longest wait for the connection, and for each read of the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than `/readyz` ever answers.
const LONGEST_ANSWER: u64 = 16 * 1024;

/// Ask the running service for its health: exit code 0 when it is ready, 1 otherwise
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: cardhook health --config /etc/cardhook/cardhook.toml")]
pub(super) struct HealthArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Ask whether the process runs (/livez) in place of whether it is ready (/readyz)
    #[arg(long)]
    live: bool,
}

pub(super) fn run(args: &HealthArgs) -> anyhow::Result<ExitCode> {
    let listener = reachable(args.config.load()?.admin.listen);
    let path = if args.live { "/livez" } else { "/readyz" };
    let (status, body) = get(listener, path)
        .with_context(|| format!("no answer from admin.listen = \"{listener}\": is cardhook running there?"))?;
    writeln!(io::stdout().lock(), "{body}")?;
    Ok(if status == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where a listener is reached from this machine: one on every address, through the loopback one.
fn reachable(mut listener: SocketAddr) -> SocketAddr {
    if listener.ip().is_unspecified() {
        let loopback = if listener.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        listener.set_ip(loopback);
    }
    listener
}

/// Status and body of an answer.
fn get(listener: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut tcp = TcpStream::connect_timeout(&listener, PATIENCE)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    tcp.set_write_timeout(Some(PATIENCE))?;
    write!(tcp, "GET {path} HTTP/1.1\r\nHost: {listener}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    tcp.take(LONGEST_ANSWER).read_to_string(&mut answer)?;
    parse(&answer)
}

fn parse(answer: &str) -> anyhow::Result<(u16, String)> {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { bail!("the answer is no HTTP") };
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    Ok((status.context("the answer is no HTTP")?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_reached_through_the_loopback_one() {
        for (configured, asked) in
            [("0.0.0.0:9090", "127.0.0.1:9090"), ("[::]:9090", "[::1]:9090"), ("10.0.0.7:1", "10.0.0.7:1")]
        {
            assert_eq!(reachable(configured.parse().unwrap()), asked.parse().unwrap());
        }
    }

    #[test]
    fn an_answer_is_taken_apart_and_anything_else_is_refused() {
        let (status, body) = parse("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno").unwrap();
        assert_eq!((status, body.as_str()), (503, "no"));
        for odd in ["", "SSH-2.0\r\n\r\n", "HTTP/1.1 x\r\n\r\n", "HTTP/1.1 200 OK\r\n"] {
            assert!(parse(odd).is_err(), "{odd:?}");
        }
    }
}
