//! Spool recovery: a small valid spool is damaged, then read as `cardhook spool` does and opened as the service does.
//!
//! Damage within keys and values must touch nothing else. Under any other damage nothing panics or goes on for ever, what
//! `verify` calls whole reads wholly, and holds what was answered as safe.

use std::{
    fs,
    path::Path,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use cardhook::{
    delivery::{
        AnswerAfter, Delivery, Lane, Overloaded, Reader, Settings, SpoolError, Spooled, Stored, Submission, Verified,
        each_page,
    },
    event::{EventId, Record},
    metrics::Metrics,
};
use futures_util::future::join_all;

use super::push::RECEIVED_S;

/// More than one page of an export.
const EVENTS: usize = 540;
/// No damage makes so many of them.
const ENDLESS: usize = 100_000;
/// Records in each other lane.
const OTHERS: usize = 3;
const PAGE: usize = 8192;
/// Far more than a small spool takes.
const PATIENCE: Duration = Duration::from_secs(20);
const FILES: [&str; 2] = ["spool.db", "spool.db-wal"];

type KeyAndValue = (Vec<u8>, Vec<u8>);

/// The files of a spool.
struct Image([Vec<u8>; 2]);

/// The same records in two states: closed, with all in the database, and as a kill leaves them, with all in the log.
struct Spools {
    closed: Image,
    killed: Image,
}

static SPOOLS: LazyLock<Spools> = LazyLock::new(Spools::make);

thread_local! {
    /// Made anew for each input but for the reserve, which costs more than all the rest.
    static FOLDER: tempfile::TempDir = tempfile::tempdir().expect("a folder");
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
}

/// The first byte says which spool is damaged and where; six bytes each of the rest say one damage.
pub fn check(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    FOLDER.with(|folder| match kind % 3 {
        0 => within_records(folder.path(), rest),
        1 => anywhere(folder.path(), &SPOOLS.closed, rest),
        _ => anywhere(folder.path(), &SPOOLS.killed, rest),
    });
}

fn within_records(folder: &Path, damages: &[u8]) {
    let mut expected: Vec<KeyAndValue> = (0..EVENTS).map(|number| (key(number), value(number))).collect();
    let [mut database, log] = SPOOLS.closed.0.clone();
    for damage in damages.chunks_exact(6) {
        let [kind, high, low, at, by, _] = *damage else { continue };
        let number = usize::from(u16::from_be_bytes([high, low])) % EVENTS;
        let (original, now) = if kind.is_multiple_of(2) {
            (key(number), &mut expected[number].0)
        } else {
            (value(number), &mut expected[number].1)
        };
        let place = usize::from(at) % original.len();
        now[place] ^= by;
        // Where a tree was split, a copy that nobody reads stays behind.
        for found in positions(&SPOOLS.closed.0[0], &original) {
            database[found + place] ^= by;
        }
    }
    lay(folder, &Image([database, log]));
    let reader = Reader::open(folder).expect("the tables are whole");
    let (read, unread): (Vec<_>, Vec<_>) = expected.into_iter().partition(|(key, _)| std::str::from_utf8(key).is_ok());
    let exported = export(&reader, Lane::Events).expect("the tables are whole");
    assert_eq!(exported, read, "other records than the damaged ones are touched");
    assert_eq!(
        Verified::of(&reader).expect("the tables are whole").damaged,
        unread.len() as u64,
        "verify misses a damaged record"
    );
    drop(reader);
    assert_eq!(serve(folder), Ok(true), "the service does not start, or does not go on");
}

fn anywhere(folder: &Path, image: &Image, damages: &[u8]) {
    let mut files = image.0.clone();
    for damage in damages.chunks_exact(6) {
        let [kind, high, middle, low, length, value] = *damage else { continue };
        let file = &mut files[usize::from(kind >> 7)];
        if file.is_empty() {
            continue;
        }
        let at = u32::from_be_bytes([0, high, middle, low]) as usize % file.len();
        match kind % 4 {
            0 => file[at] = value,
            1 => file.iter_mut().skip(at).take(length.into()).for_each(|byte| *byte = value),
            2 => file.truncate(at),
            _ => misplace(file, at / PAGE, usize::from(value)),
        }
    }
    let whole = files == image.0;
    lay(folder, &Image(files));
    look_into(folder, whole);
    let served = serve(folder);
    assert!(!whole || served == Ok(true), "a whole spool does not serve: {served:?}");
}

/// A page written to the place of another one.
fn misplace(file: &mut [u8], from: usize, to: usize) {
    let to = to % file.len().div_ceil(PAGE);
    let page: Vec<u8> = file.iter().skip(from * PAGE).take(PAGE).copied().collect();
    for (place, byte) in file.iter_mut().skip(to * PAGE).zip(page) {
        *place = byte;
    }
}

/// `cardhook spool ls`, `verify` and `export`.
fn look_into(folder: &Path, whole: bool) {
    let reader = match Reader::open(folder) {
        Ok(reader) => reader,
        Err(error) => return assert!(!whole, "a whole spool does not open: {error}"),
    };
    let (counters, reports) = (reader.counters(), reader.report());
    let wrong = Verified::of(&reader);
    let exported = Lane::ALL.map(|lane| export(&reader, lane));
    if whole {
        assert_eq!(counters.expect("it is whole").records, (EVENTS + 3 * OTHERS) as u64);
    }
    if wrong.as_ref().is_ok_and(Verified::is_whole) {
        let reports = reports.expect("verify calls it whole");
        for (lane, report) in exported.into_iter().zip(reports) {
            assert_eq!(lane.expect("verify calls it whole").len() as u64, report.records);
        }
    } else {
        assert!(!whole, "a whole spool is called damaged: {wrong:?}");
    }
}

/// Keys and values of a lane, in order.
fn export(reader: &Reader, lane: Lane) -> Result<Vec<KeyAndValue>, SpoolError> {
    let mut records = Vec::new();
    let read =
        each_page(reader, lane, |page| {
            records.extend(page.iter().map(|Stored { record, .. }| {
                (record.key.clone().unwrap_or_default().into_bytes(), record.value.to_vec())
            }));
            assert!(records.len() < ENDLESS, "an export without an end");
            Ok(())
        });
    match read {
        Ok(_) => Ok(records),
        Err(Spooled::Spool(error)) => Err(error),
        Err(Spooled::Output(error)) => panic!("{error}"),
    }
}

/// Starts the service on the spool, delivers one event and stops it. Whether the event was safe; it is there then, unless
/// `verify` says that the database is damaged.
fn serve(folder: &Path) -> Result<bool, String> {
    let (delivery, running) = Delivery::start(settings(folder), Metrics::new()).map_err(|error| error.to_string())?;
    let deadline = Instant::now() + PATIENCE;
    let safe = RUNTIME.with(|runtime| runtime.block_on(delivery.submit(event(Lane::Events, EVENTS), deadline)));
    running.stop(PATIENCE);
    assert_ne!(safe, Err(Overloaded::Late), "the writer is dead, or never ends");
    if let (Ok(safe), Ok(reader)) = (safe, Reader::open(folder))
        && Verified::of(&reader).is_ok_and(|verified| verified.is_whole())
    {
        let records = export(&reader, Lane::Events).expect("verify calls it whole");
        let is_there = records.contains(&(key(EVENTS), value(EVENTS)));
        assert!(is_there || safe.duplicate, "what was answered as safe is lost");
    }
    Ok(safe.is_ok_and(|safe| !safe.duplicate))
}

fn lay(folder: &Path, image: &Image) {
    for entry in fs::read_dir(folder).expect("the folder reads").map(|entry| entry.expect("the folder reads").path()) {
        if !entry.ends_with("reserve") {
            fs::remove_file(entry).expect("the folder is ours");
        }
    }
    for (name, bytes) in FILES.iter().zip(&image.0).filter(|(_, bytes)| !bytes.is_empty()) {
        fs::write(folder.join(name), bytes).expect("there is room");
    }
}

fn positions(file: &[u8], part: &[u8]) -> Vec<usize> {
    file.windows(part.len()).enumerate().filter(|(_, window)| *window == part).map(|(at, _)| at).collect()
}

impl Spools {
    /// Through the library: a service without brokers keeps what it is given.
    fn make() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (delivery, running) = Delivery::start(settings(folder.path()), Metrics::new()).expect("a new spool");
        let deadline = Instant::now() + PATIENCE;
        let others = [Lane::Dlq, Lane::Other, Lane::Parked]
            .into_iter()
            .flat_map(|lane| (1..=OTHERS).map(move |number| (lane, 1000 * lane as usize + number)));
        let all = (0..EVENTS).map(|number| (Lane::Events, number)).chain(others);
        let submitted = all.map(|(lane, number)| delivery.submit(event(lane, number), deadline));
        let safe = RUNTIME.with(|runtime| runtime.block_on(join_all(submitted)));
        assert!(safe.iter().all(Result::is_ok), "a new spool keeps everything");
        let read = || Image(FILES.map(|name| fs::read(folder.path().join(name)).unwrap_or_default()));
        let killed = read();
        running.stop(PATIENCE);
        Self { closed: read(), killed }
    }
}

fn settings(folder: &Path) -> Settings {
    Settings {
        path: folder.to_owned(),
        max_bytes: 1 << 30,
        answer_after: AnswerAfter::Disk,
        ack_timeout: PATIENCE,
        // Nothing is forgotten: what an input does must not depend on today's date.
        dedup_window: Duration::from_secs(u32::MAX.into()),
        dedup_max_bytes: 1 << 30,
        accounts: vec![("shop".to_owned(), "secure")],
        producer: None,
        topics: ["events", "dlq", "other"].map(Arc::from),
        encodings: Default::default(),
        traces: cardhook::telemetry::traces::Traces::default(),
        probe: None,
    }
}

fn event(lane: Lane, number: usize) -> Submission {
    let record = Record {
        key: Some(String::from_utf8(key(number)).expect("ASCII")),
        timestamp_ms: RECEIVED_S * 1000,
        headers: [("ce_id", number.to_string().as_str())].into_iter().collect(),
        value: value(number).into(),
    };
    Submission {
        lane,
        account: 0,
        event_id: EventId::of_quarantined("shop", format!("{lane:?} {number}").as_bytes()),
        event_time: RECEIVED_S,
        received_at_ms: RECEIVED_S * 1000,
        record,
        binding: None,
    }
}

fn key(number: usize) -> Vec<u8> {
    format!("user {number:04}").into_bytes()
}

fn value(number: usize) -> Vec<u8> {
    format!("{{\"event\": {number:04}}}").into_bytes()
}
