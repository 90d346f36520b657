//! A disk that is full: a small tmpfs under the spool, with ballast that comes and goes. Needs root; skips with a line.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::support::{
    Lacks,
    burst::{Burst, accepted, codes_in_order},
    cardhook::{Service, Setup, Topics, run},
    consume::records,
    eventually,
    http::Answer,
    kafka::Kafka,
    skip, unix_seconds,
    wechat::{Account, Mode, claim, fixture},
};

/// A small disk, unmounted when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    /// `None`, and a line, where mounting is not allowed.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(at).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(at.to_owned()));
        }
        skip(Lacks::OfTheMachine("mounting a tmpfs needs root"));
        None
    }

    /// Takes all the space that is left.
    fn fill(&self) {
        let full = std::io::copy(&mut std::io::repeat(0), &mut std::fs::File::create(self.0.join("ballast")).unwrap());
        assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Claims until one is refused: the write-ahead log still has room for some hundreds.
fn until_refused(service: &Service) -> Answer {
    let account = Account::of(Mode::Secure);
    (0..20_000)
        .map(|number| account.post(service.public, &claim("oFullDiskUser", &format!("{number:012}"), unix_seconds())))
        .find(|answer| !answer.is_success())
        .expect("a full disk takes no 20,000 events")
}

#[test]
fn with_kafka_up_a_full_disk_refuses_nothing_and_nothing_is_lost_or_doubled() {
    let kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let setup = Setup::new(&kafka, &topics);
    let Some(disk) = Tmpfs::mount(&setup.spool()) else { return };
    let service = setup.serve();
    service.wait_kafka(true);
    disk.fill();
    let claims = Burst::start(service.public, 400, 10).join();
    assert!(claims.iter().all(|claim| claim.success), "refused with Kafka up");
    assert!(service.metric("cardhook_spool_bypassed_total", "") > 0, "the disk was full");
    disk.free();
    eventually("recovery", Duration::from_mins(1), || {
        service.admin("/readyz").body.contains("\"spool\":true").then_some(())
    });
    service.wait_drained();
    assert_eq!(codes_in_order(&records(&kafka, &topics.events)), accepted(&claims));
}

#[test]
fn with_kafka_away_too_the_answer_is_503_until_space_returns_without_a_restart() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let setup = Setup::new(&kafka, &topics);
    let Some(disk) = Tmpfs::mount(&setup.spool()) else { return };
    let service = setup.serve();
    service.wait_kafka(true);
    let before = Burst::start(service.public, 100, 5).join();
    kafka.stop();
    service.wait_kafka(false);
    disk.fill();
    let refused = until_refused(&service);
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(service.admin("/readyz").status, 503);

    disk.free();
    service.wait_ready();
    assert!(Account::of(Mode::Secure).post(service.public, &fixture("user_get_card")).is_success());
    kafka.run();
    service.wait_drained();
    let arrived = records(&kafka, &topics.events);
    let codes = arrived.iter().map(|record| record.text("code")).collect();
    assert_eq!(accepted(&before).difference(&codes).count(), 0);
}

#[test]
fn with_the_disk_full_of_a_backlog_kafka_drains_it() {
    let mut kafka = Kafka::start();
    let topics = Topics::create(&kafka);
    let setup = Setup::new(&kafka, &topics);
    let Some(_disk) = Tmpfs::mount(&setup.spool()) else { return };
    let service = setup.serve();
    service.wait_kafka(true);
    kafka.stop();
    service.wait_kafka(false);
    // More than fits.
    let claims = Burst::start(service.public, 1000, 25).join();
    let kept = accepted(&claims);
    assert!(kept.len() > 1000 && kept.len() < claims.len(), "{} of {} kept", kept.len(), claims.len());
    assert!(claims.iter().all(|claim| claim.success || claim.status == 503));
    kafka.run();
    service.wait_drained();
    service.wait_ready();
    assert_eq!(codes_in_order(&records(&kafka, &topics.events)), kept);
}

#[test]
fn a_start_on_a_full_disk_without_a_spool_names_the_folder_and_the_cure() {
    let setup = Setup::without_brokers();
    let Some(disk) = Tmpfs::mount(&setup.spool()) else { return };
    disk.fill();
    let config = setup.write().display().to_string();
    let output = run(&["serve", "--config", &config]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let error = said.lines().last().unwrap();
    assert!(error.contains(setup.spool().to_str().unwrap()) && error.contains("the disk is full"), "{said}");
    assert!(said.contains("no room for the spool's reserve"), "{said}");
}
