//! What is remembered: ids, those of quarantined pushes, nonce uses; and when they are forgotten.

use super::{super::buckets::Table, *};

#[test]
fn an_id_is_forgotten_only_when_event_time_and_receipt_are_both_old() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let day = 86_400;
    append_at(&mut spool, "old", NOON - 3 * day - 1, NOON - 3 * day);
    append_at(&mut spool, "old too", NOON - 3 * day, NOON - 3 * day);
    append_at(&mut spool, "late", NOON - 3 * day - 2, NOON);
    append_at(&mut spool, "quarantined", 0, NOON);
    append_at(&mut spool, "new", NOON, NOON);
    let mut batch = spool.batch().unwrap();
    assert_eq!([1, 1, 1].map(|limit| batch.forget_ids(NOON - 2 * day, limit).unwrap()), [1, 1, 0]);
    batch.commit().unwrap();
    assert_eq!((spool.counters().remembered, spool.counters().quarantined), (2, 1));
    assert!(matches!(append_at(&mut spool, "old", NOON - 3 * day - 1, NOON), Appended::New(_)));
    for (value, event_time) in [("late", NOON - 3 * day - 2), ("quarantined", 0), ("new", NOON)] {
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
    let mut batch = spool.batch().unwrap();
    assert_eq!(batch.forget_early(7 * ids::BYTES_PER_ID, 1000).unwrap(), 3);
    batch.commit().unwrap();
    assert!(matches!(append_at(&mut spool, "c", NOON + 2, NOON), Appended::New(_)));
    assert!(matches!(append_at(&mut spool, "d", NOON + 3, NOON), Appended::Pending(_)));
}

#[test]
fn an_id_is_found_among_thousands_of_its_second_and_each_row_of_them_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let names: Vec<String> = (0..3000).map(|number| number.to_string()).collect();
    for commit in names.chunks(700) {
        let mut batch = spool.batch().unwrap();
        for name in commit {
            batch.remember(&id(name), seq_of_second(NOON)).unwrap();
            batch.remember(&Id { account: 1, event_time: NOON - 1, ..id(name) }, seq_of_second(NOON)).unwrap();
        }
        batch.commit().unwrap();
    }
    let delivered = Some(Known { lane: None, seq: Seq(seq_of_second(NOON)) });
    for name in &names {
        assert_eq!(spool.known(&id(name)).unwrap(), delivered, "{name}");
    }
    assert_eq!(spool.known(&Id { account: 1, ..id("7") }).unwrap(), None, "another account's, another second's");
    assert_eq!(spool.newest(NOON - 1, 3001).unwrap().1.len(), 3000);
    let rows = "SELECT count(*) FROM remembered";
    let rows: i64 = spool.connection.query_row(rows, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2 * 63, "48 a row");
    let mut batch = spool.batch().unwrap();
    while batch.forget_ids(NOON + 1, 100).unwrap() >= 100 {}
    batch.commit().unwrap();
    assert_eq!((spool.counters().remembered, spool.known(&id("7")).unwrap()), (0, None));
}

fn nonce(signature: u8, value: &str) -> NonceUse {
    NonceUse { account: 0, signature: [signature; 20], event_id: event(value), received_s: 1000 }
}

fn bind(spool: &mut Spool, account: usize, signature: u8, value: &str, received_s: i64) -> bool {
    let mut batch = spool.batch().unwrap();
    let fresh = batch.bind(&NonceUse { account, received_s, ..nonce(signature, value) }).unwrap();
    batch.commit().unwrap();
    fresh
}

#[test]
fn a_signature_is_bound_to_its_first_event_per_account_whatever_the_bucket() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    assert!(bind(&mut spool, 0, 1, "a", 2000));
    for received_s in [1000, 2000, 300_000] {
        assert!(bind(&mut spool, 0, 1, "a", received_s), "{received_s}");
        assert!(!bind(&mut spool, 0, 1, "b", received_s), "{received_s}");
        assert!(bind(&mut spool, 0, 2, "b", received_s), "{received_s}");
    }
    assert!(bind(&mut spool, 1, 1, "b", 2000), "another account's");
    drop(spool);
    let mut spool = open(&folder);
    assert_eq!(spool.counters().bound, 3);
    assert!(spool.is_bound_to_another(&nonce(1, "b")).unwrap());
    assert!(!spool.is_bound_to_another(&nonce(1, "a")).unwrap());
    assert!(!spool.is_bound_to_another(&nonce(3, "a")).unwrap());
    assert!(!bind(&mut spool, 0, 1, "b", 4000), "after a restart too");
}

#[test]
fn a_binding_that_is_not_committed_was_never_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let mut batch = spool.batch().unwrap();
    assert!(batch.bind(&nonce(1, "lost")).unwrap());
    assert!(!batch.bind(&nonce(1, "other")).unwrap(), "known within the batch");
    drop(batch);
    assert!(bind(&mut spool, 0, 1, "other", 1000));
    assert_eq!(spool.counters().bound, 1);
}

#[test]
fn bindings_are_forgotten_bucket_by_bucket_a_few_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    spool.bucket_seconds = 1000;
    for (signature, received_s) in [(1, 0), (2, 500), (3, 999), (4, 1000)] {
        assert!(bind(&mut spool, 0, signature, "a", received_s));
    }
    let mut batch = spool.batch().unwrap();
    assert_eq!(batch.forget_rows(Table::Bound, 1000, 10).unwrap(), 0, "its last one may be as young as its end");
    assert_eq!(batch.forget_rows(Table::Bound, 1001, 2).unwrap(), 2);
    assert_eq!(batch.forget_rows(Table::Bound, 1001, 2).unwrap(), 1);
    assert_eq!(batch.forget_early(1, 10).unwrap(), 1, "above the bound before their time");
    batch.commit().unwrap();
    assert_eq!(spool.counters().bound, 0);
    assert!(bind(&mut spool, 0, 4, "b", 2000));
}

#[test]
fn a_quarantined_push_is_known_whatever_its_receipt_and_forgotten_by_it_without_a_look_at_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let quarantined = |value| Id { event_time: 0, ..id(value) };
    for (value, received_s) in [("old", NOON - 200_000), ("young", NOON)] {
        assert!(matches!(append_id(&mut spool, value, quarantined(value), received_s), Appended::New(_)));
        assert!(matches!(append_id(&mut spool, value, quarantined(value), received_s + 30_000), Appended::Pending(_)));
    }
    let counters = spool.counters();
    assert_eq!((counters.remembered, counters.quarantined), (0, 2), "a pass over the ids meets none of them");
    let mut batch = spool.batch().unwrap();
    assert_eq!(batch.forget_rows(Table::Quarantined, NOON - 172_800, 1000).unwrap(), 1);
    batch.commit().unwrap();
    assert_eq!(spool.known(&quarantined("old")).unwrap(), None);
    assert!(spool.known(&quarantined("young")).unwrap().is_some());
    let memory = Memory::open(folder.path()).unwrap();
    assert!(memory.knows("shop", 0, event("young")).unwrap() && !memory.knows("shop", 0, event("old")).unwrap());
}

#[test]
fn a_quarantined_push_whose_record_has_moved_is_remembered_once_at_its_later_place_whatever_the_bucket() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let moved = Id { event_time: 0, ..id("moved") };
    append_id(&mut spool, "moved", moved, NOON);
    append_id(&mut spool, "between", Id { event_time: 0, ..id("between") }, NOON + 50_000);
    let later = seq_of_second(NOON + 100_000);
    let mut batch = spool.batch().unwrap();
    batch.remember(&moved, later).unwrap();
    batch.commit().unwrap();
    assert_eq!(spool.known(&moved).unwrap(), Some(Known { lane: None, seq: Seq(later) }));
    assert_eq!(spool.counters().quarantined, 2);
}

#[test]
fn an_event_whose_pending_record_does_not_read_is_not_known() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    append(&mut spool, "damaged");
    spool.connection.execute("UPDATE pending SET headers = x'ff'", []).unwrap();
    assert_eq!(spool.known(&id("damaged")).unwrap(), None);
    assert!(matches!(append(&mut spool, "damaged"), Appended::New(_)), "the re-delivery is the only copy");
    assert!(matches!(append(&mut spool, "damaged"), Appended::Pending(_)));
    assert_eq!(spool.counters().remembered, 2, "at its later place");
}

#[test]
fn the_newest_event_second_is_not_one_ahead_of_the_clock() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    assert_eq!(spool.newest(NOON, 10).unwrap(), (i64::MIN, Vec::new()));
    append_at(&mut spool, "now", NOON, NOON);
    let Appended::New(seq) = append_at(&mut spool, "later", NOON + 1000, NOON) else { panic!("new") };
    let later = Id { event_time: NOON + 1000, ..id("later") };
    let pending = Known { lane: Some(Lane::Events), seq: Seq(seq) };
    assert_eq!(spool.newest(NOON, 10).unwrap(), (NOON, vec![(later, pending)]));
    assert_eq!(spool.newest(NOON, 1).unwrap(), (NOON + 1000, Vec::new()), "more than a start reads");
}
