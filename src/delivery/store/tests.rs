//! The spool alone: what a transaction keeps and what it refuses.

mod damaged;
mod remembered;

use std::{
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use super::{forgetter::Forgetter, worker::Worker, *};
use crate::{
    delivery::{retention::Retention, submission::Sending},
    event::{EventId, Headers, Record},
    metrics::Metrics,
};

/// 2023-11-14T22:13:20Z
const NOON: i64 = 1_700_000_000;

pub(super) fn record(value: &str) -> Record {
    Record {
        key: Some("user".to_owned()),
        timestamp_ms: NOON * 1000,
        headers: [("ce_id", "1")].into_iter().collect(),
        value: value.as_bytes().into(),
    }
}

fn of(record: &Record, seq: u64, id: Id) -> Append {
    let (record, account, received_at_ms) = (record.clone(), Some(id.account), second_of_seq(seq) * 1000);
    let sending = Sending { record, account, received_at_ms, id: Some(id), signature: None };
    Append { lane: Lane::Events, seq: Seq(seq), sending: Arc::new(sending) }
}

pub(super) fn removal(lane: Lane, seq: u64, record: &Record) -> Removal {
    Removal { lane, seq: Seq(seq), bytes: size_of(record) }
}

pub(super) fn event(value: &str) -> EventId {
    EventId::of_quarantined("shop", value.as_bytes())
}

pub(super) fn id(value: &str) -> Id {
    Id { account: 0, event_time: NOON, event_id: event(value) }
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Appended {
    New(u64),
    Pending(u64),
    Delivered,
}

fn next_seq(spool: &Spool, received_s: i64) -> u64 {
    seq_of_second(received_s).max(spool.counters().last_seq + 1)
}

pub(super) fn open(folder: &tempfile::TempDir) -> Spool {
    Spool::open(folder.path(), &["shop".to_owned(), "other".to_owned()]).unwrap()
}

pub(super) fn append(spool: &mut Spool, value: &str) -> Appended {
    append_at(spool, value, NOON, NOON)
}

pub(super) fn append_at(spool: &mut Spool, value: &str, event_time: i64, received_s: i64) -> Appended {
    append_id(spool, value, Id { event_time, ..id(value) }, received_s)
}

fn append_id(spool: &mut Spool, value: &str, id: Id, received_s: i64) -> Appended {
    let record = record(value);
    let seq = next_seq(spool, received_s);
    let mut batch = spool.batch().unwrap();
    let appended = match batch.known(&id).unwrap() {
        Some(Known { lane: Some(_), seq }) => Appended::Pending(seq.0),
        Some(Known { lane: None, .. }) => Appended::Delivered,
        None => {
            batch.append(&of(&record, seq, id)).unwrap();
            batch.set_last_seq(seq);
            Appended::New(seq)
        }
    };
    batch.commit().unwrap();
    appended
}

pub(super) fn pending(folder: &tempfile::TempDir) -> Vec<Stored> {
    pending_of(folder, Lane::Events)
}

fn pending_of(folder: &tempfile::TempDir, lane: Lane) -> Vec<Stored> {
    let mut records = Vec::new();
    let read = each_page(&Reader::open(folder.path()).unwrap(), lane, |page| {
        records.extend_from_slice(page);
        Ok::<_, SpoolError>(())
    });
    read.unwrap();
    records
}

#[test]
fn a_record_comes_back_as_it_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let mut batch = spool.batch().unwrap();
    let plain = Record { key: None, headers: Headers::default(), value: [0, 255].into(), timestamp_ms: -1 };
    batch.append(&of(&plain, 1, id("x"))).unwrap();
    batch.commit().unwrap();
    let stored = &pending(&folder)[0];
    assert_eq!((&stored.record, stored.event), (&plain, Some((NOON, event("x")))));
}

#[test]
fn what_is_not_committed_was_never_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let lost = record("lost");
    let mut batch = spool.batch().unwrap();
    batch.append(&of(&lost, 1, id("lost"))).unwrap();
    assert!(batch.known(&id("lost")).unwrap().is_some());
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
    assert!(matches!(append_id(&mut spool, "a", Id { account: 1, ..id("a") }, NOON), Appended::New(_)));
    let mut batch = spool.batch().unwrap();
    batch.remove(&mut [removal(Lane::Events, seq, &record("a"))]).unwrap();
    batch.commit().unwrap();
    drop(spool);
    assert_eq!(append(&mut open(&folder), "a"), Appended::Delivered, "after a restart too");
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
    batch.remove(&mut [3, 0, 1].map(|number: usize| removal(Lane::Events, seqs[number], &record("a")))).unwrap();
    batch.commit().unwrap();
    assert_eq!((spool.counters().records, spool.counters().bytes, spool.counters().remembered), (1, one, 4));
    assert_eq!(pending(&folder).iter().map(|stored| stored.seq).collect::<Vec<_>>(), [seqs[2]]);
    let reports = Reader::open(folder.path()).unwrap().report().unwrap();
    assert_eq!((reports[0].records, reports[0].oldest_ms), (1, Some(NOON * 1000)));
}

#[test]
fn a_parked_record_is_kept_and_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let refused = record("refused");
    let mut batch = spool.batch().unwrap();
    batch.append(&Append { lane: Lane::Dlq, ..of(&refused, 7, id("refused")) }).unwrap();
    batch.remove(&mut [removal(Lane::Dlq, 7, &refused)]).unwrap();
    batch.append(&Append { lane: Lane::Parked, ..of(&refused, 7, id("refused")) }).unwrap();
    batch.commit().unwrap();
    let known = spool.known(&id("refused")).unwrap();
    assert_eq!(known, Some(Known { lane: Some(Lane::Parked), seq: Seq(7) }));
    assert!(pending_of(&folder, Lane::Dlq).is_empty());
    assert_eq!(pending_of(&folder, Lane::Parked)[0].record, refused);
    assert_eq!((spool.counters().parked, spool.counters().records, spool.counters().remembered), (1, 1, 2));
}

#[test]
fn a_full_database_says_so_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    append(&mut spool, "kept");
    spool.connection.execute_batch("PRAGMA max_page_count = 12").unwrap();
    let big = record(&"x".repeat(100_000));
    let mut batch = spool.batch().unwrap();
    let error = batch.append(&of(&big, 99, id("big"))).unwrap_err();
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

#[test]
fn a_refused_record_stays_while_the_spool_has_no_room_for_its_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let Appended::New(seq) = append(&mut spool, "refused") else { panic!("it is new") };
    let max_bytes = spool.counters().bytes;
    let dead_letter = Append { lane: Lane::Dlq, ..of(&record("refused"), seq + 1, id("refused")) };
    let replaced = vec![(removal(Lane::Events, seq, &record("refused")), Seq(seq + 1))];
    let commit = Commit { last_seq: seq + 1, append: vec![dead_letter], replaced, ..Commit::default() };
    let reports = work(spool, max_bytes, [commit]);
    let [handle::Report::Committed { done, .. }] = reports.as_slice() else { panic!("it was not committed") };
    assert_eq!((done.stored.len(), done.full.len(), done.kept.len()), (0, 1, 1));
    assert_eq!((pending(&folder).len(), pending_of(&folder, Lane::Dlq).len()), (1, 0));
}

#[test]
fn a_commit_tells_the_oldest_pending_record_once_there_is_one_and_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (record("first"), record("second"));
    let keep = |seq, record: &Record, value| Commit {
        last_seq: seq,
        append: vec![of(record, seq, id(value))],
        ..Commit::default()
    };
    let (one, two) = (seq_of_second(NOON), seq_of_second(NOON) + 1);
    let remove = vec![removal(Lane::Events, one, &first), removal(Lane::Events, two, &second)];
    let gone = Commit { last_seq: two, remove, ..Commit::default() };
    let reports = work(open(&folder), u64::MAX, [keep(one, &first, "first"), keep(two, &second, "second"), gone]);
    let oldest = reports.iter().map(|report| match report {
        handle::Report::Committed { status, .. } => status.oldest_ms,
        _ => panic!("it was not committed"),
    });
    assert_eq!(oldest.collect::<Vec<_>>(), [NOON * 1000, NOON * 1000, 0]);
}

/// What the store's thread reports of these commits.
fn work<const N: usize>(spool: Spool, max_bytes: u64, commits: [Commit; N]) -> Vec<handle::Report> {
    let (hand_over, queue) = mpsc::sync_channel(N);
    for commit in commits {
        hand_over.send(commit).unwrap();
    }
    drop(hand_over);
    let (told, reports) = mpsc::channel();
    let retention = Retention::new(Duration::from_hours(48), Instant::now(), NOON * 1000);
    let status = Status { works: true, full: false, oldest_ms: 0 };
    let forgetter = Forgetter::new(retention, u64::MAX);
    let tell = Arc::new(move |report| told.send(report).unwrap());
    Worker::new(spool, max_bytes, forgetter, Metrics::new(), status, tell).run(&queue);
    reports.iter().collect()
}
