//! A thread of the delivery that dies ends the process: its supervisor starts it again, and the spool makes that safe. Without
//! the thread every push would be answered with 503, or its answer would wait for nothing.
//!
//! Does not depend on what the threads do.

use std::{io, thread::JoinHandle};

/// Starts a thread whose panic aborts the process. The panic itself is reported by the process's panic hook.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(move || {
        let _abort = AbortOnPanic;
        run();
    })
}

struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                thread = std::thread::current().name(),
                "a thread of the delivery has died, and the process ends with it; what was answered is in the spool or in Kafka"
            );
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt as _, process::Command};

    use super::*;

    const CHILD: &str = "CARDHOOK_TESTS_THREAD_DIES";
    const SIGABRT: i32 = 6;

    #[test]
    fn a_thread_that_dies_ends_the_process() {
        if std::env::var_os(CHILD).is_some() {
            let died = spawn("dies", || panic!("as the test wants")).unwrap().join();
            // Never reached: the process has ended.
            assert!(died.is_ok());
            return;
        }
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "delivery::watch::tests::a_thread_that_dies_ends_the_process"]).env(CHILD, "1");
        let output = again.output().unwrap();
        assert_eq!(output.status.signal(), Some(SIGABRT), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn a_thread_that_returns_ends_nothing() {
        spawn("returns", || {}).unwrap().join().unwrap();
    }
}
