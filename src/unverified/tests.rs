//! The bounds of what is kept, and what reads of it after a fault.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use prometheus_client::metrics::gauge::Gauge;

use super::{Bounds, Keeper, Kept, Reader, count, folder, frame::Push, numbers, ring::Ring, segment};

const NOW_MS: i64 = 1_700_000_000_000;
const BOUNDS: Bounds = Bounds { max_bytes: 64 << 10, window_ms: 3_600_000 };

fn frame(body: &str, received_at_ms: i64) -> Vec<u8> {
    Push { received_at_ms, account: "shop", query: "a=b", body: body.as_bytes() }.encode().unwrap()
}

fn all(spool: &std::path::Path) -> Vec<Kept> {
    let mut reader = Reader::open(spool, i64::MIN).unwrap();
    std::iter::from_fn(|| reader.next_kept().unwrap()).collect()
}

fn bodies(spool: &std::path::Path) -> Vec<String> {
    all(spool).into_iter().map(|kept| String::from_utf8(kept.body).unwrap()).collect()
}

#[test]
fn what_is_kept_reads_back_in_order_and_each_body_once() {
    let spool = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(spool.path(), BOUNDS).unwrap();
    for body in ["<a/>", "<b/>", "<a/>", "<c/>"] {
        ring.append(&frame(body, NOW_MS)).unwrap();
    }
    assert_eq!(bodies(spool.path()), ["<a/>", "<b/>", "<c/>"]);
    let kept = &all(spool.path())[0];
    assert_eq!((kept.account.as_str(), kept.query.as_str(), kept.received_at_ms), ("shop", "a=b", NOW_MS));
    let mut ring = Ring::open(spool.path(), BOUNDS).unwrap();
    assert!(!ring.append(&frame("<b/>", NOW_MS)).unwrap(), "known after a start too");
    assert!(ring.append(&frame("<d/>", NOW_MS)).unwrap());
    assert_eq!(bodies(spool.path()), ["<a/>", "<b/>", "<c/>", "<d/>"]);
    assert_eq!(count(spool.path(), i64::MIN).unwrap().into_iter().collect::<Vec<_>>(), [("shop".to_owned(), 4)]);
}

#[test]
fn only_its_owner_reads_the_files() {
    let spool = tempfile::tempdir().unwrap();
    Ring::open(spool.path(), BOUNDS).unwrap().append(&frame("<a/>", NOW_MS)).unwrap();
    let place = all(spool.path())[0].place;
    Reader::open(spool.path(), 0).unwrap().published([place]).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder(spool.path())), 0o700);
    for file in fs::read_dir(folder(spool.path())).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[test]
fn beyond_the_bound_the_oldest_are_forgotten_and_the_disk_never_holds_more() {
    let spool = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(spool.path(), BOUNDS).unwrap();
    for number in 0..1000 {
        assert!(ring.append(&frame(&format!("<a>{number:0500}</a>"), NOW_MS + number)).unwrap());
        let files = fs::read_dir(folder(spool.path())).unwrap();
        let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(bytes <= BOUNDS.max_bytes, "{bytes}");
    }
    let bodies = bodies(spool.path());
    assert!((90..125).contains(&bodies.len()), "{} of about 120 that fit", bodies.len());
    assert_eq!(bodies.last().unwrap(), &format!("<a>{:0500}</a>", 999));
    assert_eq!(bodies[0], format!("<a>{:0500}</a>", 1000 - bodies.len()), "none is missing within");
    assert_eq!(ring.kept(), bodies.len());
    assert!(!ring.append(&frame(&"x".repeat(65 << 10), NOW_MS)).unwrap(), "larger than all that may be kept");
    assert_eq!(ring.kept(), bodies.len());
}

#[test]
fn what_is_older_than_the_window_is_forgotten() {
    let spool = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(spool.path(), BOUNDS).unwrap();
    for minute in 0..90 {
        ring.append(&frame(&format!("<a>{minute}</a>"), NOW_MS + minute * 60_000)).unwrap();
    }
    assert_eq!(ring.kept(), 61);
    let files = numbers(&folder(spool.path()), "kept").unwrap().len();
    assert!(files < 12, "{files} files");
    ring.forget(NOW_MS + 24 * 3_600_000);
    assert_eq!((ring.kept(), bodies(spool.path()).len()), (0, 0));
    assert!(ring.append(&frame("<a>1</a>", NOW_MS + 24 * 3_600_000)).unwrap(), "forgotten, so kept anew");
}

#[test]
fn a_torn_file_is_read_as_far_as_it_reads_and_the_next_run_goes_on() {
    let spool = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(spool.path(), BOUNDS).unwrap();
    for body in ["<a/>", "<b/>", "<c/>"] {
        ring.append(&frame(body, NOW_MS)).unwrap();
    }
    let file = segment(&folder(spool.path()), 0);
    let whole = fs::read(&file).unwrap();
    let third = whole.len() / 3;
    for length in 0..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        assert_eq!(bodies(spool.path()).len(), length / third, "{length} of {} bytes", whole.len());
    }
    let mut damaged = whole.clone();
    damaged[third + third / 2] ^= 1;
    fs::write(&file, &damaged).unwrap();
    assert_eq!(bodies(spool.path()), ["<a/>"]);
    let mut ring = Ring::open(spool.path(), BOUNDS).unwrap();
    ring.append(&frame("<d/>", NOW_MS)).unwrap();
    assert_eq!(bodies(spool.path()), ["<a/>", "<d/>"]);
    assert_eq!(ring.kept(), 2);
}

#[test]
fn what_was_published_is_not_given_again_and_no_longer_counts() {
    let spool = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(spool.path(), BOUNDS).unwrap();
    for body in ["<a/>", "<b/>", "<c/>"] {
        ring.append(&frame(body, NOW_MS)).unwrap();
    }
    let reader = Reader::open(spool.path(), 0).unwrap();
    assert!(Reader::open(spool.path(), 0).is_err(), "one at a time");
    drop(reader);
    let places: Vec<_> = all(spool.path()).iter().map(|kept| kept.place).collect();
    Reader::open(spool.path(), 0).unwrap().published([places[0]]).unwrap();
    // A run that was killed while it noted.
    let notes = folder(spool.path()).join(format!("{:020}.done", 0));
    fs::write(&notes, [fs::read(&notes).unwrap().as_slice(), &[7; 5]].concat()).unwrap();
    Reader::open(spool.path(), 0).unwrap().published([places[2]]).unwrap();
    assert_eq!(bodies(spool.path()), ["<b/>"]);
    ring.look_for_marks().unwrap();
    assert_eq!(ring.kept(), 1);
    assert!(!ring.append(&frame("<a/>", NOW_MS)).unwrap(), "its re-delivery is not kept again");
    ring.forget(NOW_MS + 24 * 3_600_000);
    ring.look_for_marks().unwrap();
    assert!(!notes.exists());
}

#[test]
fn a_thread_keeps_beside_its_caller_and_a_reader_beside_the_thread() {
    let spool = tempfile::tempdir().unwrap();
    let gauge = Gauge::default();
    let keeper = Keeper::start(spool.path(), BOUNDS, gauge.clone()).unwrap();
    let now_ms = crate::clock::unix_millis();
    keeper.sender().offer("shop", "a=b", b"<a/>", now_ms);
    let began = Instant::now();
    while all(spool.path()).is_empty() || gauge.get() != 1 {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    for number in 0..10 {
        keeper.sender().offer("shop", "a=b", format!("<a>{number}</a>").as_bytes(), now_ms);
    }
    keeper.stop();
    assert_eq!((bodies(spool.path()).len(), gauge.get()), (11, 11));
}
