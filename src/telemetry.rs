//! Logs: set up once, from `[log]`, to standard error. Never a query string, a body, a code or an openid in a line, nor in
//! what a panic says.
//!
//! Does not depend on what is logged. Traces of pushes: [`traces`].

mod stderr;
pub mod traces;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, IsTerminal, Write as _},
    panic::{self, PanicHookInfo},
    thread,
};

use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use self::stderr::Stderr;
use crate::{
    clock,
    config::{Log, LogFormat},
};

/// Starts logging. A later call changes nothing: the first one holds for the process.
pub fn init(log: &Log) {
    let registry = tracing_subscriber::registry().with(filter(log.level));
    let ansi = io::stderr().is_terminal();
    let _ = match log.format {
        LogFormat::Text => registry.with(fmt::layer().with_writer(|| Stderr(dropped)).with_ansi(ansi)).try_init(),
        LogFormat::Json => {
            registry.with(fmt::layer().with_writer(|| Stderr(dropped_json)).json().flatten_event(true)).try_init()
        }
    };
}

/// What stands in the log in place of lines that were dropped.
fn dropped(lines: u64) -> String {
    format!("{lines} lines of the log were dropped: what reads standard error did not take them\n")
}

fn dropped_json(lines: u64) -> String {
    let now = jiff::Timestamp::from_millisecond(clock::unix_millis()).unwrap_or_default();
    let (target, message) = (concat!(env!("CARGO_CRATE_NAME"), "::telemetry"), dropped(lines));
    let message = message.trim_end();
    format!("{{\"timestamp\":\"{now}\",\"level\":\"WARN\",\"message\":\"{message}\",\"target\":\"{target}\"}}\n")
}

/// Our own lines at `level`. Those of libraries only from `WARN` on, and from `INFO` on while looking closer: below that
/// they may show queries and headers.
fn filter(level: Level) -> Targets {
    let libraries = if level <= Level::INFO { level.min(Level::WARN) } else { Level::INFO };
    Targets::new()
        .with_default(libraries)
        .with_target(env!("CARGO_CRATE_NAME"), level)
        // A line at ERROR, without limit or peer, for every connection that is not HTTP: `http` counts and tells of them.
        .with_target("actix_http::h1::dispatcher", LevelFilter::OFF)
}

/// From now on a panic says where it happened, and its message only if that stands in the code as it is: a message made
/// at run time may quote the data at hand, as that of a text cut within a character does.
pub fn keep_data_out_of_panics() {
    panic::set_hook(Box::new(|panic| {
        // It never fails: where standard error is closed, there is nobody to tell.
        let _ = Stderr(dropped).write_all(told(panic).as_bytes());
    }));
}

fn told(panic: &PanicHookInfo<'_>) -> String {
    let thread = thread::current();
    let (thread, place) = (thread.name().unwrap_or("?"), panic.location().map(ToString::to_string).unwrap_or_default());
    let message = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(made at run time: not shown)");
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => format!("thread '{thread}' panicked at {place}: {message}\n{backtrace}\n"),
        _ => format!("thread '{thread}' panicked at {place}: {message}\n"),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

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

    /// The hook is the whole process's: the test runs itself once more, and panics there.
    #[test]
    fn a_panic_says_where_and_nothing_of_the_data_at_hand() {
        const AGAIN: &str = "CARDHOOK_TEST_PANICS";
        let data = String::from("卡 of oInventedOpenidOfATest00001x");
        if std::env::var_os(AGAIN).is_some() {
            keep_data_out_of_panics();
            let cut = panic::catch_unwind(|| data.split_at(1).0.len());
            let written = panic::catch_unwind(|| panic!("as it stands"));
            assert!(cut.is_err() && written.is_err());
            return;
        }
        let name = "telemetry::tests::a_panic_says_where_and_nothing_of_the_data_at_hand";
        let mut again = Command::new(std::env::current_exe().unwrap());
        let output = again.args(["--exact", name, "--nocapture"]).env(AGAIN, "1").env("RUST_BACKTRACE", "1").output();
        let output = output.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(said.contains("src/telemetry.rs:") && said.contains(": as it stands\n"), "{said}");
        assert!(said.contains("not shown") && said.contains(name), "{said}");
        assert!(!said.contains("oInvented") && !said.contains('卡'), "{said}");
    }

    #[test]
    fn the_notice_of_dropped_lines_is_a_line_of_its_format() {
        assert!(dropped(3).starts_with("3 lines of the log were dropped") && dropped(3).ends_with('\n'));
        let line: serde_json::Value = serde_json::from_str(&dropped_json(3)).unwrap();
        assert_eq!(line["level"], "WARN");
        assert!(line["timestamp"].is_string() && line["target"] == "cardhook::telemetry", "{line}");
    }

    #[test]
    fn a_second_start_is_harmless() {
        let log = Log { level: Level::ERROR, format: LogFormat::Json };
        init(&log);
        init(&log);
    }
}
