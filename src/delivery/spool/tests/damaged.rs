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
    assert_eq!(Reader::open(folder.path()).unwrap().verify().unwrap().len(), 1);
}

#[test]
fn counters_that_cannot_be_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    append(&mut spool, "kept");
    let beyond_a_lane = "last_seq = 72057594037927936";
    for damage in
        ["last_seq = -1", beyond_a_lane, "records = -1", "bytes = -1", "parked = -1", "remembered = -1", "bound = -1"]
    {
        let damaged = tempfile::tempdir().unwrap();
        let copy = damaged.path().join("spool.db");
        spool.connection.execute("VACUUM INTO ?", [copy.to_str()]).unwrap();
        Connection::open(copy).unwrap().execute_batch(&format!("UPDATE counters SET {damage}")).unwrap();
        let error = Spool::open(damaged.path(), &[]).expect_err(damage);
        assert!(matches!(error, SpoolError::Counters), "{damage}: {error}");
    }
}

#[test]
fn a_page_written_to_the_place_of_another_is_read_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for number in 0..200 {
        append(&mut spool, &format!("{number:0>100}"));
    }
    let database = spool.database();
    drop(spool);
    let mut file = std::fs::read(&database).unwrap();
    let page_of = |number: u32| {
        let value = format!("{number:0>100}").into_bytes();
        file.windows(value.len()).position(|window| window == value).unwrap() / 4096 * 4096
    };
    let (early, late) = (page_of(60), page_of(140));
    assert_ne!(early, late);
    file.copy_within(early..early + 4096, late);
    std::fs::write(&database, file).unwrap();
    let seqs: Vec<u64> = pending(&folder).iter().map(|stored| stored.seq).collect();
    assert!(seqs.len() > 100 && seqs.is_sorted_by(|left, right| left < right), "{seqs:?}");
    assert!(!Reader::open(folder.path()).unwrap().verify().unwrap().is_empty());
}
