use std::ops::Range;

use super::*;
use crate::delivery::spool::{
    Appended,
    tests::{append, append_at, entry, id, open, record},
};

const ROOM: u64 = 1 << 30;
/// 2023-11-14T22:13:20Z
const NOON: i64 = 1_700_000_000;

fn rows(spool: &Spool, table: &str) -> usize {
    let count = format!("SELECT count(*) FROM {table}");
    let count: i64 = spool.connection.query_row(&count, [], |row| row.get(0)).unwrap();
    count.try_into().unwrap()
}

fn is_pending(appended: Appended) -> bool {
    matches!(appended, Appended::Pending(_))
}

#[test]
fn an_id_is_known_before_it_moves_and_after_and_after_a_restart_in_both_places() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    append(&mut spool, "moved");
    spool.move_ids().unwrap();
    append(&mut spool, "recent");
    assert_eq!((rows(&spool, "remembered"), rows(&spool, "recent"), spool.counters().remembered), (1, 1, 2));
    for value in ["moved", "recent"] {
        assert!(is_pending(append(&mut spool, value)), "{value}");
    }
    fill(&mut spool, 0..3);
    drop(spool);
    let mut spool = open(&folder);
    assert_eq!((rows(&spool, "recent"), spool.recent.unmoved), (2, 4), "a row of a commit");
    for value in ["moved", "recent"] {
        assert!(is_pending(append(&mut spool, value)), "{value}, after a restart");
    }
    for number in ["0", "1", "2"] {
        assert!(is_pending(append_at(&mut spool, number, NOON, NOON)), "{number}, after a restart");
    }
}

/// Appends ids of a thousand a second, as the writer does.
fn fill(spool: &mut Spool, numbers: Range<usize>) {
    let record = record("a");
    let mut batch = spool.batch().unwrap();
    for number in numbers {
        batch.append(&entry(&record, NOON), id(&number.to_string()), second(number), ROOM).unwrap();
    }
    batch.move_some_ids(1000).unwrap();
    batch.commit().unwrap();
}

fn second(number: usize) -> i64 {
    NOON + i64::try_from(number / 1000).unwrap()
}

#[test]
fn many_ids_move_in_parts_and_the_rows_of_their_commits_go_with_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for at in (0..MANY).step_by(512) {
        fill(&mut spool, at..at + 512);
    }
    assert_eq!((rows(&spool, "remembered"), rows(&spool, "recent")), (1000, 16));
    for part in 2..=7 {
        fill(&mut spool, MANY + part..MANY + part + 1);
        assert_eq!((rows(&spool, "remembered"), rows(&spool, "recent")), (1000 * part, 15 + part));
    }
    let before = MANY - 512;
    fill(&mut spool, 0..1);
    assert_eq!(
        (rows(&spool, "remembered"), rows(&spool, "recent")),
        (before, 7),
        "of what was committed before it began"
    );
    fill(&mut spool, 0..1);
    assert_eq!((rows(&spool, "remembered"), spool.recent.unmoved), (before, 512 + 6), "no pass is under way");
}

#[test]
fn what_a_pass_has_moved_is_known_and_moves_again_after_a_run_that_ended_within_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    fill(&mut spool, 0..MANY);
    fill(&mut spool, MANY..MANY + 1);
    assert_eq!(rows(&spool, "remembered"), 1000);
    for _ in 0..2 {
        for number in (0..MANY).step_by(100) {
            assert!(is_pending(append_at(&mut spool, &number.to_string(), second(number), NOON)), "{number}");
        }
        drop(spool);
        spool = open(&folder);
    }
    spool.move_ids().unwrap();
    assert_eq!((rows(&spool, "remembered"), rows(&spool, "recent")), (MANY + 1, 0));
}

/// Its seq is from before the pass, its place behind what the pass has moved: only its row says that it is there.
#[test]
fn an_id_that_is_stored_after_all_within_a_pass_is_known_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let seq = spool.take_seq(NOON * 1000);
    fill(&mut spool, 0..MANY);
    fill(&mut spool, MANY..MANY + 1);
    assert_eq!(rows(&spool, "remembered"), 1000, "a pass is under way");
    let late = record("late");
    let mut batch = spool.batch().unwrap();
    let appended = batch.append_after_all(seq, &entry(&late, NOON), id("late"), NOON - 1, ROOM).unwrap();
    assert_eq!(appended, Appended::Stored(seq));
    batch.commit().unwrap();
    while spool.recent.pass.is_some() {
        let mut batch = spool.batch().unwrap();
        batch.move_some_ids(1000).unwrap();
        batch.commit().unwrap();
    }
    for _ in 0..2 {
        assert_eq!(append_at(&mut spool, "late", NOON - 1, NOON), Appended::Pending(seq));
        drop(spool);
        spool = open(&folder);
    }
    spool.move_ids().unwrap();
    assert_eq!(append_at(&mut spool, "late", NOON - 1, NOON), Appended::Pending(seq));
}

#[test]
fn a_part_that_is_rolled_back_moves_with_the_next_commit() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    fill(&mut spool, 0..MANY);
    for _ in 0..3 {
        spool.batch().unwrap().move_some_ids(usize::MAX).unwrap();
        assert_eq!((rows(&spool, "remembered"), spool.recent.unmoved), (0, MANY));
    }
    let mut batch = spool.batch().unwrap();
    batch.move_some_ids(usize::MAX).unwrap();
    batch.commit().unwrap();
    assert_eq!((rows(&spool, "remembered"), spool.recent.unmoved), (MANY, 0));
}

#[test]
fn memory_keeps_the_youngest_and_the_database_knows_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for at in (0..KEPT + 2 * MANY).step_by(MANY) {
        fill(&mut spool, at..at + MANY);
        spool.move_ids().unwrap();
    }
    assert_eq!((spool.recent.ids.len(), spool.recent.unmoved), (KEPT, 0));
    assert_eq!(spool.recent.complete_from, second(2 * MANY - 1) + 1);
    for number in [0, 2 * MANY - 1, 2 * MANY, KEPT] {
        assert!(is_pending(append_at(&mut spool, &number.to_string(), second(number), NOON)), "{number}");
    }
    assert!(matches!(append_at(&mut spool, "late", NOON, NOON), Appended::New(_)));
    assert!(is_pending(append_at(&mut spool, "late", NOON, NOON)));
    assert_eq!(rows(&spool, "recent"), 1);
}

#[test]
fn an_id_that_has_not_moved_stays_in_memory_however_old_its_event_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for at in (0..KEPT + MANY).step_by(MANY) {
        spool.move_ids().unwrap();
        fill(&mut spool, at..at + MANY);
    }
    fill(&mut spool, 0..1);
    append_at(&mut spool, "late", NOON - 1000, NOON);
    while spool.recent.pass.is_some() {
        fill(&mut spool, 0..1);
    }
    assert_eq!(spool.recent.unmoved, 1);
    assert!(spool.recent.ids.len() > KEPT);
    assert!(is_pending(append_at(&mut spool, "late", NOON - 1000, NOON)));
    spool.move_ids().unwrap();
    assert_eq!(spool.recent.ids.len(), KEPT);
    assert!(is_pending(append_at(&mut spool, "late", NOON - 1000, NOON)));
}

#[test]
fn ids_that_do_not_move_stay_known_and_move_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for number in 0..600 {
        append(&mut spool, &number.to_string());
    }
    let pages: i64 = spool.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    spool.connection.execute_batch(&format!("PRAGMA max_page_count = {pages}")).unwrap();
    assert!(spool.move_ids().unwrap_err().is_full());
    assert_eq!((rows(&spool, "remembered"), rows(&spool, "recent")), (0, 600));
    assert!(is_pending(append(&mut spool, "599")));
    spool.connection.execute_batch("PRAGMA max_page_count = 1000000").unwrap();
    spool.move_ids().unwrap();
    assert_eq!((rows(&spool, "remembered"), rows(&spool, "recent")), (600, 0));
    assert!(is_pending(append(&mut spool, "599")));
}

#[test]
fn an_id_that_does_not_read_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    append(&mut spool, "a");
    for ids in ["substr(ids, 2)", "x'00'", "1"] {
        spool.connection.execute(&format!("UPDATE recent SET ids = {ids}"), []).unwrap();
        let error = Recent::read(&spool.connection).unwrap_err();
        assert!(error.is_damage(), "{ids}: {error}");
    }
}
