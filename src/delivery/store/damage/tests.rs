//! What a start does with a damaged database, and what is read of one.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt as _,
    path::PathBuf,
};

use tempfile::TempDir;

use super::super::{
    tests::{Appended, append, open, pending, removal},
    *,
};

/// `PRAGMA page_size`
const PAGE: usize = 8192;
const RECORDS: usize = 500;

fn value(number: usize) -> String {
    format!("record {number:06} {}", ".".repeat(300))
}

/// A spool of 500 pending records, closed, its log moved into the database.
fn filled() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for number in 0..RECORDS {
        append(&mut spool, &value(number));
    }
    spool.tidy();
    folder
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("spool.db")
}

fn overwrite(folder: &TempDir, at: usize, with: &[u8]) {
    OpenOptions::new().write(true).open(database(folder)).unwrap().write_all_at(with, at as u64).unwrap();
}

/// Overwrites the database's page that holds a record.
fn strike(folder: &TempDir, number: usize) {
    let bytes = fs::read(database(folder)).unwrap();
    let sought = format!("record {number:06}");
    let found = bytes.windows(sought.len()).position(|window| window == sought.as_bytes()).unwrap();
    overwrite(folder, found / PAGE * PAGE, &[0xff; PAGE]);
}

/// What was set aside, logs included.
fn all_aside(folder: &TempDir) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.display().to_string().contains("corrupt-")).collect()
}

fn set_aside(folder: &TempDir) -> Vec<PathBuf> {
    let mut databases = all_aside(folder);
    databases.retain(|path| !["-wal", "-shm"].iter().any(|part| path.display().to_string().ends_with(part)));
    databases
}

fn numbers(records: &[Stored]) -> Vec<usize> {
    let number = |stored: &Stored| String::from_utf8_lossy(&stored.record.value)[7..13].parse().unwrap();
    records.iter().map(number).collect()
}

#[test]
fn what_is_no_database_is_set_aside_as_it_is_and_never_over_another() {
    let folder = tempfile::tempdir().unwrap();
    for damaged in [&b"not a database".repeat(1000), &b"another".repeat(1000)] {
        fs::write(database(&folder), damaged).unwrap();
        let mut spool = open(&folder);
        assert!(matches!(append(&mut spool, "new"), Appended::New(_)));
        spool.tidy();
    }
    let mut kept: Vec<_> = set_aside(&folder).iter().map(|path| fs::read(path).unwrap()).collect();
    kept.sort();
    assert_eq!(kept, [b"another".repeat(1000), b"not a database".repeat(1000)]);
}

#[test]
fn the_records_around_damaged_pages_are_taken_over_in_order_and_what_is_new_stands_behind_them() {
    let folder = filled();
    let last = Reader::open(folder.path()).unwrap().counters().unwrap().last_seq;
    for number in [100, 250, 300] {
        strike(&folder, number);
    }
    let mut spool = open(&folder);
    let kept = pending(&folder);
    let numbers = numbers(&kept);
    assert!(numbers.is_sorted() && numbers.len() >= RECORDS - 75, "{} of {RECORDS}", numbers.len());
    assert!([100, 250, 300].iter().all(|lost| !numbers.contains(lost)));
    assert!([0, 50, 200, 275, 400, RECORDS - 1].iter().all(|kept| numbers.contains(kept)), "{numbers:?}");
    assert_eq!(spool.counters().records, numbers.len() as u64);
    assert_eq!(kept[0].account, 0, "its account is known by name");
    let Appended::New(seq) = append(&mut spool, "new") else { panic!("new") };
    assert!(seq > last);
    assert_eq!(set_aside(&folder).len(), 1);
}

#[test]
fn verify_and_export_read_around_damage_and_count_it() {
    let folder = filled();
    strike(&folder, 250);
    let reader = Reader::open_file(&database(&folder)).unwrap();
    let verified = Verified::of(&reader).unwrap();
    assert_eq!(verified.damaged, 1);
    assert!(!verified.wrong.is_empty());
    assert!((RECORDS - 25..RECORDS).contains(&usize::try_from(verified.records).unwrap()), "{}", verified.records);
    let mut written = 0;
    let damaged = each_page(&reader, Lane::Events, |page| {
        written += page.len() as u64;
        Ok::<_, SpoolError>(())
    });
    assert_eq!((damaged.unwrap(), written), (1, verified.records));
}

#[test]
fn a_database_that_was_cut_off_is_set_aside_and_read_as_far_as_it_goes() {
    let folder = filled();
    let length = fs::metadata(database(&folder)).unwrap().len();
    OpenOptions::new().write(true).open(database(&folder)).unwrap().set_len(length / 2).unwrap();
    let _spool = open(&folder);
    assert_eq!(set_aside(&folder).len(), 1);
    let kept = pending(&folder).len();
    assert!((50..RECORDS).contains(&kept), "{kept} of {RECORDS}");
}

#[test]
fn an_empty_database_beside_a_log_that_is_not_is_set_aside_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    append(&mut spool, "in the log only");
    drop(spool);
    let log = fs::read(folder.path().join("spool.db-wal")).unwrap();
    fs::write(database(&folder), b"").unwrap();
    assert!(Reader::open(folder.path()).is_err());
    let _spool = open(&folder);
    assert!(all_aside(&folder).iter().any(|path| fs::read(path).unwrap() == log), "SQLite would have deleted it");
}

#[test]
fn damage_that_a_run_met_is_set_aside_at_the_next_start_and_only_then() {
    let folder = filled();
    open(&folder).folder.mark_damaged();
    for _ in 0..2 {
        let spool = open(&folder);
        assert_eq!((spool.counters().records, set_aside(&folder).len()), (RECORDS as u64, 1));
    }
}

#[test]
fn a_start_that_was_killed_while_it_took_over_is_made_good_by_the_next() {
    let folder = filled();
    strike(&folder, 250);
    let taken = open(&folder).counters().records;
    let mut spool = open(&folder);
    let first = &pending(&folder)[0];
    full_disk::remove(&mut spool, &mut vec![removal(Lane::Events, first.seq, &first.record)]).unwrap();
    fs::write(folder.path().join("take-over"), set_aside(&folder)[0].as_os_str().as_encoded_bytes()).unwrap();
    drop(spool);
    assert_eq!(open(&folder).counters().records, taken);
    assert!(!folder.path().join("take-over").exists());
}

#[test]
fn a_start_that_was_killed_while_it_set_aside_is_made_good_by_the_next() {
    let folder = filled();
    let aside = folder.path().join("spool.db.corrupt-20261126T000000Z");
    fs::rename(database(&folder), &aside).unwrap();
    fs::write(folder.path().join("spool.db-wal"), "its log").unwrap();
    fs::write(folder.path().join("take-over"), aside.as_os_str().as_encoded_bytes()).unwrap();
    let spool = open(&folder);
    assert_eq!(fs::read(folder.path().join("spool.db.corrupt-20261126T000000Z-wal")).unwrap(), b"its log");
    assert_eq!((set_aside(&folder).len(), spool.counters().records), (1, RECORDS as u64));
}

#[test]
fn a_database_that_misses_a_table_or_its_counters_is_damaged() {
    for loss in ["DROP TABLE bound", "DELETE FROM counters"] {
        let folder = filled();
        let spool = open(&folder);
        spool.connection.execute_batch(loss).unwrap();
        drop(spool);
        assert_eq!(open(&folder).counters().records, RECORDS as u64, "{loss}");
        assert!(!set_aside(&folder).is_empty(), "{loss}");
    }
}

#[test]
fn a_torn_log_gives_what_was_committed_before_and_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for number in 0..10 {
        append(&mut spool, &value(number));
    }
    drop(spool);
    let log = OpenOptions::new().write(true).open(folder.path().join("spool.db-wal")).unwrap();
    log.set_len(log.metadata().unwrap().len() - 1000).unwrap();
    let _spool = open(&folder);
    assert_eq!(numbers(&pending(&folder)), (0..9).collect::<Vec<_>>());
    assert!(set_aside(&folder).is_empty());
}

#[test]
fn a_lock_a_full_disk_and_another_layout_are_no_damage() {
    use rusqlite::ffi;
    for code in [ffi::SQLITE_BUSY, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_FULL, ffi::SQLITE_CANTOPEN, ffi::SQLITE_PERM] {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        assert!(!SpoolError::Database(error).is_damage(), "{code}");
    }
    assert!(!SpoolError::Layout { found: 7 }.is_damage());
    for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB] {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        assert!(SpoolError::Database(error).is_damage(), "{code}");
    }
}
