//! What the tests are made of: a real broker, the real binary, a simulated WeChat, and consumers that are not our code.

pub mod burst;
pub mod cardhook;
pub mod consume;
pub mod faults;
pub mod http;
pub mod kafka;
pub mod mock;
pub mod secured;
pub mod wechat;
pub mod wechat_api;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Asks `answer` until it has one. Panics with `what` when `limit` is over.
pub fn eventually<T>(what: &str, limit: Duration, mut answer: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A path below the project's folder.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The folder of public samples, which is no part of the project: beside the checkout, or at `CARDHOOK_SHARED`.
pub fn shared(path: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("CARDHOOK_SHARED").map_or_else(|| project("../shared"), PathBuf::from).join(path);
    if shared.exists() {
        return Some(shared);
    }
    skip(Lacks::OfTheMachine(&format!("{} is not there", shared.display())));
    None
}

/// Why a test cannot run here.
#[derive(Debug, Clone, Copy)]
pub enum Lacks<'a> {
    /// A program that `tests/run.sh` installs.
    Installed(&'a str),
    /// Rights, limits or files that only the machine can give.
    OfTheMachine(&'a str),
}

/// Says that a test does not run here. In the gate that fails: `TESTS_STRICT` is `installed` under `tests/run.sh`,
/// and `all` there in CI.
pub fn skip(lacks: Lacks<'_>) {
    let strict = std::env::var_os("TESTS_STRICT").unwrap_or_default();
    let (why, fails) = match lacks {
        Lacks::Installed(why) => (why, strict == "installed" || strict == "all"),
        Lacks::OfTheMachine(why) => (why, strict == "all"),
    };
    assert!(!fails, "a skip fails here: {why}");
    println!("skipped: {why}");
}

/// Now, in Unix seconds.
#[expect(clippy::disallowed_methods, reason = "WeChat has a clock of its own")]
pub fn unix_seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}
