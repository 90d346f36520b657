//! A spool whose database is damaged at the start: set aside, said, and what reads of it still goes to Kafka.

use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::support::{
    burst::{Burst, accepted, codes_in_order},
    cardhook::{Setup, Topics, run},
    consume::records,
    kafka::Kafka,
};

/// `PRAGMA page_size`
const PAGE: usize = 8192;

/// Overwrites the page of the database that holds an event.
fn strike(database: &Path, code: &str) {
    let bytes = fs::read(database).unwrap();
    let found = bytes.windows(code.len()).position(|window| window == code.as_bytes()).unwrap();
    let file = OpenOptions::new().write(true).open(database).unwrap();
    file.write_all_at(&[0xff; PAGE], (found / PAGE * PAGE) as u64).unwrap();
}

fn set_aside(spool: &Path) -> PathBuf {
    let mut files = fs::read_dir(spool).unwrap().map(|file| file.unwrap().path());
    let is_database = |path: &PathBuf| {
        let path = path.display().to_string();
        path.contains("spool.db.corrupt-") && !path.ends_with("-wal") && !path.ends_with("-shm")
    };
    files.find(is_database).unwrap()
}

#[test]
fn a_damaged_database_is_set_aside_and_every_event_that_reads_goes_to_kafka() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    kafka.stop();
    let setup = Setup::new(&kafka, &topics);
    let service = setup.serve();
    service.wait_kafka(false);
    let claims = Burst::start(service.public, 300, 10).join();
    assert!(service.stop(std::time::Duration::from_secs(20)).success());
    strike(&setup.spool().join("spool.db"), "000150000005");

    let service = setup.serve();
    let log = service.log();
    assert!(log.contains("the spool's database is damaged") && log.contains("cardhook spool export --file"), "{log}");
    kafka.run();
    service.wait_kafka(true);
    service.wait_drained();
    let arrived = codes_in_order(&records(&kafka, &topics.events));
    let lost = accepted(&claims).difference(&arrived).count();
    assert!((1..10).contains(&lost), "one page was damaged, and {lost} events are lost");

    let aside = set_aside(&setup.spool()).display().to_string();
    let verified = run(&["spool", "verify", "--file", &aside]);
    assert_eq!(verified.status.code(), Some(1));
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(said.contains(&format!("{} of 3000 pending records read", 3000 - lost)), "{said}");
    let exported = run(&["spool", "export", "--file", &aside]);
    assert_eq!(exported.status.code(), Some(1), "{}", String::from_utf8_lossy(&exported.stderr));
    let codes: HashSet<String> = String::from_utf8(exported.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["code"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(codes, arrived);
}
