//! A damaged database: what can be read is read, once and in order.

use super::*;

#[test]
fn a_damaged_record_does_not_stop_those_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    append(&mut spool, "damaged");
    append(&mut spool, "whole");
    spool
        .connection
        .execute("UPDATE pending SET headers = x'ff' WHERE id = (SELECT min(id) FROM pending)", [])
        .unwrap();
    assert_eq!(pending(&folder).len(), 1);
    assert_eq!(Verified::of(&Reader::open(folder.path()).unwrap()).unwrap().damaged, 1);
}

#[test]
fn a_database_whose_counters_cannot_be_is_set_aside_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    append(&mut spool, "kept");
    let beyond_a_lane = "last_seq = 72057594037927936";
    for damage in [
        "last_seq = -1",
        beyond_a_lane,
        "records = -1",
        "bytes = -1",
        "parked = -1",
        "remembered = -1",
        "bound = -1",
        "quarantined = -1",
    ] {
        let damaged = tempfile::tempdir().unwrap();
        let copy = damaged.path().join("spool.db");
        spool.connection.execute("VACUUM INTO ?", [copy.to_str()]).unwrap();
        Connection::open(copy).unwrap().execute_batch(&format!("UPDATE counters SET {damage}")).unwrap();
        let counters = open(&damaged).counters();
        assert_eq!((counters.records, counters.remembered), (1, 1), "{damage}");
    }
}

#[test]
fn records_that_are_missing_or_too_many_are_found_by_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for name in ["first", "second", "third"] {
        append(&mut spool, name);
    }
    let reader = Reader::open(folder.path()).unwrap();
    assert!(Verified::of(&reader).unwrap().is_whole());
    // As another table's page in the place of one of the records': a row of the same shape, at a place that no record has.
    let row_of_another_table = "UPDATE pending SET id = 0 WHERE id = (SELECT min(id) FROM pending)";
    let one_less = "DELETE FROM pending WHERE id = (SELECT max(id) FROM pending)";
    for (left, change) in [(2, row_of_another_table), (1, one_less)] {
        spool.connection.execute(change, []).unwrap();
        let verified = Verified::of(&reader).unwrap();
        assert_eq!(verified.wrong, [format!("{left} pending records are there, and 3 were counted")]);
        let shown = reader.report().unwrap()[0].records;
        assert_eq!((verified.records, shown, pending(&folder).len() as u64), (left, left, left));
    }
}

/// Closes the spool and changes its database's bytes.
fn damage(mut spool: Spool, change: impl FnOnce(&mut Vec<u8>)) {
    spool.tidy();
    let database = spool.folder.database();
    drop(spool);
    let mut file = std::fs::read(&database).unwrap();
    change(&mut file);
    std::fs::write(&database, file).unwrap();
}

fn position(file: &[u8], part: &[u8]) -> usize {
    file.windows(part.len()).position(|window| window == part).unwrap()
}

#[test]
fn a_page_written_to_the_place_of_another_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for number in 0..200 {
        append(&mut spool, &format!("{number:0>100}"));
    }
    damage(spool, |file| {
        let page_of = |number| position(file, format!("{number:0>100}").as_bytes()) / 8192 * 8192;
        let (early, late) = (page_of(60), page_of(140));
        assert_ne!(early, late);
        file.copy_within(early..early + 8192, late);
    });
    let seqs: Vec<u64> = pending(&folder).iter().map(|stored| stored.seq).collect();
    assert!(seqs.len() > 100 && seqs.is_sorted_by(|left, right| left < right), "{seqs:?}");
    assert!(!Verified::of(&Reader::open(folder.path()).unwrap()).unwrap().is_whole());
}

#[test]
fn a_record_whose_place_is_damaged_does_not_hide_those_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for number in 0..20 {
        append(&mut spool, &format!("{number:0>10}"));
    }
    damage(spool, |file| {
        // SQLite writes a row's id in groups of seven bits.
        let id = (seq_of_second(NOON) + 5).cast_signed();
        let groups: Vec<u8> = (0..7).rev().map(|group| u8::try_from(id >> (7 * group) & 0x7f).unwrap()).collect();
        let written: Vec<u8> = groups.iter().enumerate().map(|(at, group)| group | u8::from(at < 6) << 7).collect();
        let at = position(file, &written);
        file[at] |= 0x40;
    });
    let values: Vec<_> = pending(&folder).into_iter().map(|stored| stored.record.value).collect();
    let expected: Vec<_> = (0..20).map(|number| format!("{number:0>10}").into_bytes().into()).collect();
    assert_eq!(values, expected);
}
