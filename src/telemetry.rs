//! Logs: set up once, from `[log]`, to standard error. Never a query string, a body, a code or an openid in a line.
//!
//! It refuses to know what is logged.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Log, LogFormat};

/// Starts logging. A later call changes nothing: the first one holds for the process.
pub fn init(log: &Log) {
    let stderr = fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter(log.level));
    let _ = match log.format {
        LogFormat::Text => registry.with(stderr.with_ansi(std::io::stderr().is_terminal())).try_init(),
        LogFormat::Json => registry.with(stderr.json().flatten_event(true)).try_init(),
    };
}

/// Our own lines at `level`. Those of libraries only from `WARN` on, and from `INFO` on while looking closer: below that
/// they may show queries and headers.
fn filter(level: Level) -> Targets {
    let libraries = if level <= Level::INFO { level.min(Level::WARN) } else { Level::INFO };
    Targets::new().with_default(libraries).with_target(env!("CARGO_CRATE_NAME"), level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_speak_less_than_cardhook_and_never_below_info() {
        for (level, library) in [
            (Level::ERROR, Level::ERROR),
            (Level::WARN, Level::WARN),
            (Level::INFO, Level::WARN),
            (Level::DEBUG, Level::INFO),
            (Level::TRACE, Level::INFO),
        ] {
            let filter = filter(level);
            for checked in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
                assert_eq!(filter.would_enable("cardhook::delivery", &checked), checked <= level, "{level} {checked}");
                assert_eq!(filter.would_enable("librdkafka", &checked), checked <= library, "{level} {checked}");
            }
        }
    }

    #[test]
    fn a_second_start_is_harmless() {
        let log = Log { level: Level::ERROR, format: LogFormat::Json };
        init(&log);
        init(&log);
    }
}
