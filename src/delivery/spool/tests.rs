//! The spool alone: what a transaction keeps, what it refuses, what it forgets.

mod damaged;

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::event::{EventId, Headers, Record};

const ROOM: u64 = 1 << 30;
/// 2023-11-14T22:13:20Z
const NOON: i64 = 1_700_000_000;

pub(super) fn record(value: &str) -> Record {
    Record {
        key: Some("user".to_owned()),
        timestamp_ms: NOON * 1000,
        headers: [("ce_id", "1")].into_iter().collect(),
        value: value.as_bytes().to_vec(),
    }
}

pub(super) fn entry(record: &Record, received_s: i64) -> Entry<'_> {
    Entry { lane: Lane::Events, account: 0, received_at_ms: received_s * 1000, record }
}

pub(super) fn id(value: &str) -> EventId {
    EventId::of_quarantined("shop", value.as_bytes())
}

pub(super) fn open(folder: &tempfile::TempDir) -> Spool {
    Spool::open(folder.path(), &["shop".to_owned(), "other".to_owned()]).unwrap()
}

pub(super) fn append(spool: &mut Spool, value: &str) -> Appended {
    append_at(spool, value, NOON, NOON)
}

pub(super) fn append_at(spool: &mut Spool, value: &str, event_time: i64, received_s: i64) -> Appended {
    let record = record(value);
    let mut batch = spool.batch().unwrap();
    let appended = batch.append(&entry(&record, received_s), id(value), event_time, ROOM).unwrap();
    batch.commit().unwrap();
    appended
}

pub(super) fn pending(folder: &tempfile::TempDir) -> Vec<Stored> {
    Reader::open(folder.path()).unwrap().pending(Lane::Events, 0, u64::MAX, 1000, usize::MAX).unwrap().records
}

#[test]
fn a_record_comes_back_as_it_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let mut batch = spool.batch().unwrap();
    let plain = Record { key: None, headers: Headers::default(), value: vec![0, 255], timestamp_ms: -1 };
    batch.append(&entry(&plain, NOON), id("x"), NOON, ROOM).unwrap();
    batch.commit().unwrap();
    assert_eq!(pending(&folder)[0].record, plain);
}

#[test]
fn what_is_not_committed_was_never_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let lost = record("lost");
    let mut batch = spool.batch().unwrap();
    assert!(matches!(batch.append(&entry(&lost, NOON), id("lost"), NOON, ROOM), Ok(Appended::New(_))));
    drop(batch);
    assert_eq!(spool.counters(), Counters::default());
    assert!(matches!(append(&mut spool, "lost"), Appended::New(_)), "neither stored nor remembered");
}

#[test]
fn an_id_is_known_per_account_while_pending_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let Appended::New(seq) = append(&mut spool, "a") else { panic!("new") };
    assert_eq!(append(&mut spool, "a"), Appended::Pending(seq));
    let other = record("a");
    let mut batch = spool.batch().unwrap();
    let of_other = batch.append(&Entry { account: 1, ..entry(&other, NOON) }, id("a"), NOON, ROOM).unwrap();
    assert!(matches!(of_other, Appended::New(_)));
    batch.remove(Lane::Events, &mut [(seq, size_of(&other))]).unwrap();
    batch.commit().unwrap();
    drop(spool);
    assert_eq!(append(&mut open(&folder), "a"), Appended::Delivered, "after a restart too");
}

#[test]
fn a_seq_is_never_given_twice_whatever_the_clock_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = 0;
    for (number, received) in [NOON, NOON - 1_000_000, 0, NOON, -5].into_iter().enumerate() {
        let Appended::New(seq) = append_at(&mut open(&folder), &number.to_string(), NOON, received) else {
            panic!("new")
        };
        assert!(seq > last, "{seq} after {last}");
        last = seq;
    }
}

#[test]
fn the_counters_follow_every_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let seqs: Vec<u64> = ["a", "b", "c", "d"]
        .iter()
        .map(|value| match append(&mut spool, value) {
            Appended::New(seq) => seq,
            other => panic!("{other:?}"),
        })
        .collect();
    let one = size_of(&record("a"));
    assert_eq!((spool.counters().records, spool.counters().bytes), (4, 4 * one));
    let mut batch = spool.batch().unwrap();
    // Neighbours and a lone one, out of order.
    batch.remove(Lane::Events, &mut [(seqs[3], one), (seqs[0], one), (seqs[1], one)]).unwrap();
    batch.commit().unwrap();
    assert_eq!((spool.counters().records, spool.counters().bytes, spool.counters().remembered), (1, one, 4));
    assert_eq!(pending(&folder).iter().map(|stored| stored.seq).collect::<Vec<_>>(), [seqs[2]]);
    let reports = Reader::open(folder.path()).unwrap().report().unwrap();
    assert_eq!((reports[0].records, reports[0].oldest_ms), (1, Some(NOON * 1000)));
}

#[test]
fn an_id_is_forgotten_only_when_event_time_and_receipt_are_both_old() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let day = 86_400;
    append_at(&mut spool, "old", NOON - 3 * day, NOON - 3 * day);
    append_at(&mut spool, "late", NOON - 3 * day, NOON);
    append_at(&mut spool, "quarantined", 0, NOON);
    append_at(&mut spool, "new", NOON, NOON);
    spool.move_ids().unwrap();
    let mut batch = spool.batch().unwrap();
    let mut position = Some(Position::default());
    while let Some(from) = position {
        position = batch.forget(&from, NOON - 2 * day, 1).unwrap();
    }
    batch.commit().unwrap();
    assert_eq!(spool.counters().remembered, 3);
    assert!(matches!(append_at(&mut spool, "old", NOON - 3 * day, NOON), Appended::New(_)));
    for (value, event_time) in [("late", NOON - 3 * day), ("quarantined", 0), ("new", NOON)] {
        assert!(matches!(append_at(&mut spool, value, event_time, NOON), Appended::Pending(_)), "{value}");
    }
}

#[test]
fn above_the_bound_the_oldest_ids_are_forgotten_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for (number, value) in (0..10).zip(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]) {
        append_at(&mut spool, value, NOON + number, NOON);
    }
    spool.move_ids().unwrap();
    let mut batch = spool.batch().unwrap();
    assert_eq!(batch.forget_early(7 * BYTES_PER_ID, 1000).unwrap(), 3);
    batch.commit().unwrap();
    assert!(matches!(append_at(&mut spool, "c", NOON + 2, NOON), Appended::New(_)));
    assert!(matches!(append_at(&mut spool, "d", NOON + 3, NOON), Appended::Pending(_)));
}

#[test]
fn a_seq_that_left_with_a_record_that_was_rolled_back_is_not_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    append(&mut spool, "before");
    let mut batch = spool.batch().unwrap();
    let (gone, behind) = (record("gone"), record("behind"));
    let Appended::New(left) = batch.append(&entry(&gone, NOON), id("gone"), NOON, ROOM).unwrap() else { panic!("new") };
    drop(batch);
    spool.skip(left);
    let mut batch = spool.batch().unwrap();
    let appended = batch.append(&entry(&behind, NOON), id("behind"), NOON, ROOM).unwrap();
    assert!(matches!(appended, Appended::New(seq) if seq > left), "{appended:?} after {left}");
}

#[test]
fn a_parked_record_is_kept_and_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let refused = record("refused");
    let mut batch = spool.batch().unwrap();
    let seq = batch.store(&Entry { lane: Lane::Dlq, ..entry(&refused, NOON) }).unwrap();
    batch.park(seq).unwrap();
    batch.commit().unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    assert!(reader.pending(Lane::Dlq, 0, u64::MAX, 10, usize::MAX).unwrap().records.is_empty());
    assert_eq!(reader.pending(Lane::Parked, 0, u64::MAX, 10, usize::MAX).unwrap().records[0].record, refused);
    assert_eq!(spool.counters().parked, 1);
}

#[test]
fn a_full_database_says_so_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    append(&mut spool, "kept");
    spool.connection.execute_batch("PRAGMA max_page_count = 12").unwrap();
    let big = record(&"x".repeat(100_000));
    let mut batch = spool.batch().unwrap();
    let error = batch.append(&entry(&big, NOON), id("big"), NOON, ROOM).unwrap_err();
    assert!(error.is_full(), "{error}");
    drop(batch);
    assert_eq!(pending(&folder).len(), 1);
    assert_eq!(spool.counters().records, 1);
}

#[test]
fn only_the_owner_can_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let inside = tempfile::TempDir::new_in(folder.path()).unwrap();
    let mut spool = open(&inside);
    append(&mut spool, "a");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(inside.path()), 0o700);
    for file in std::fs::read_dir(inside.path()).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn another_releases_layout_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(&folder);
    spool.connection.pragma_update(None, "user_version", 7).unwrap();
    drop(spool);
    let error = Spool::open(folder.path(), &[]).unwrap_err();
    assert!(error.to_string().contains("layout 7"), "{error}");
}

#[test]
fn taking_out_needs_the_service_stopped_and_removes_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for value in ["a", "b"] {
        append(&mut spool, value);
    }
    let in_use = take_out(folder.path(), &[Lane::Events], |_| Ok(())).unwrap_err();
    assert!(in_use.to_string().contains("in use"), "{in_use}");
    drop(spool);
    let broken = take_out(folder.path(), &[Lane::Events], |_| Err(std::io::Error::other("pipe").into()));
    assert!(broken.is_err());
    assert_eq!(pending(&folder).len(), 2, "not written out, not removed");
    let mut written = 0;
    take_out(folder.path(), &[Lane::Events], |page| {
        written += page.len();
        Ok(())
    })
    .unwrap();
    assert_eq!((written, pending(&folder).len()), (2, 0));
    assert_eq!(append(&mut open(&folder), "a"), Appended::Delivered);
}

fn bind(spool: &mut Spool, account: usize, signature: u8, value: &str, bucket: i64) -> bool {
    let mut batch = spool.batch().unwrap();
    let fresh = batch.bind(account, &[signature; 20], id(value), bucket).unwrap();
    batch.commit().unwrap();
    fresh
}

#[test]
fn a_signature_is_bound_to_its_first_event_per_account_whatever_the_bucket() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    assert!(bind(&mut spool, 0, 1, "a", 2000));
    for bucket in [1000, 2000, 3000] {
        assert!(bind(&mut spool, 0, 1, "a", bucket), "{bucket}");
        assert!(!bind(&mut spool, 0, 1, "b", bucket), "{bucket}");
        assert!(bind(&mut spool, 0, 2, "b", bucket), "{bucket}");
    }
    assert!(bind(&mut spool, 1, 1, "b", 2000), "another account's");
    drop(spool);
    let mut spool = open(&folder);
    assert_eq!(spool.counters().bound, 3);
    assert!(spool.is_bound_to_another(0, &[1; 20], id("b")).unwrap());
    assert!(!spool.is_bound_to_another(0, &[1; 20], id("a")).unwrap());
    assert!(!spool.is_bound_to_another(0, &[3; 20], id("a")).unwrap());
    assert!(!bind(&mut spool, 0, 1, "b", 4000), "after a restart too");
}

#[test]
fn a_binding_that_is_not_committed_was_never_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let mut batch = spool.batch().unwrap();
    assert!(batch.bind(0, &[1; 20], id("lost"), 1000).unwrap());
    assert!(!batch.bind(0, &[1; 20], id("other"), 1000).unwrap(), "known within the batch");
    drop(batch);
    assert!(bind(&mut spool, 0, 1, "other", 1000));
    assert_eq!(spool.counters().bound, 1);
}

#[test]
fn bindings_are_forgotten_bucket_by_bucket_a_few_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for (signature, bucket) in [(1, 1000), (2, 1000), (3, 1000), (4, 2000)] {
        assert!(bind(&mut spool, 0, signature, "a", bucket));
    }
    let mut batch = spool.batch().unwrap();
    assert_eq!(batch.forget_bindings(1000, 10).unwrap(), 0, "its last one may be as young as its end");
    assert_eq!(batch.forget_bindings(1001, 2).unwrap(), 2);
    assert_eq!(batch.forget_bindings(1001, 2).unwrap(), 1);
    assert_eq!(batch.forget_early(1, 10).unwrap(), 1, "above the bound before their time");
    batch.commit().unwrap();
    assert_eq!(spool.counters().bound, 0);
    assert!(bind(&mut spool, 0, 4, "b", 2000));
}
