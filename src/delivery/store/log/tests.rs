//! When the log is moved, and when nothing is appended to it.

use std::fs;

use rusqlite::Connection;
use tempfile::TempDir;

use super::super::{
    tests::{append, open, pending},
    *,
};

fn log_bytes(folder: &TempDir) -> u64 {
    folder::log_bytes(&folder.path().join("spool.db"))
}

#[test]
fn a_log_that_is_found_is_moved_and_begun_anew_before_the_first_append() {
    let folder = tempfile::tempdir().unwrap();
    append(&mut open(&folder), "before");
    assert!(log_bytes(&folder) > 0, "left as it is when the spool is closed without a stop");
    let mut spool = open(&folder);
    assert_eq!(log_bytes(&folder), 0);
    append(&mut spool, "after");
    assert_eq!(pending(&folder).len(), 2);
}

#[test]
fn nothing_is_appended_to_a_log_that_is_found_while_another_process_reads() {
    let folder = tempfile::tempdir().unwrap();
    append(&mut open(&folder), "before");
    let reader = Connection::open(folder.path().join("spool.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM pending;").unwrap();
    let mut spool = open(&folder);
    assert!(matches!(spool.batch(), Err(SpoolError::LogInUse)));
    reader.execute_batch("COMMIT").unwrap();
    append(&mut spool, "after");
    assert_eq!(pending(&folder).len(), 2);
}

#[test]
fn the_log_is_moved_when_it_has_grown_and_its_blocks_are_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let value = ".".repeat(100_000);
    let mut longest = 0;
    for number in 0..200 {
        append(&mut spool, &format!("{number}{value}"));
        spool.move_log_when_due().unwrap();
        longest = longest.max(log_bytes(&folder));
    }
    assert!((4_000_000..6_000_000).contains(&longest), "{longest}");
    assert!(fs::metadata(folder.path().join("spool.db")).unwrap().len() > 15_000_000);
}
