//! The list over its life: learnt, kept, lost, exchanged. WeChat's side is a server on a real port.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::*;
use crate::wechat_api::{
    AppSecret,
    fake::{Answer, FakeWeChat, addresses, caller, refusal, token},
};

/// Refreshes only when told to, and retries at once.
const TEST: Pace = Pace {
    refresh: Duration::from_hours(24),
    first_retry: Duration::from_millis(1),
    longest_retry: Duration::from_millis(50),
};

struct House {
    folder: TempDir,
    wechat: FakeWeChat,
    known: Gauge,
}

impl House {
    fn new(answers: &[Answer]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, wechat: FakeWeChat::new(&[token()], answers), known: Gauge::default() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("wechat-addresses.json")
    }

    fn open(&self) -> AllowList {
        AllowList::open(self.folder.path(), self.wechat.api(), caller(), self.known.clone(), TEST)
    }

    /// Keeps the list until the test has seen enough of it.
    fn keep_until(&self, list: AllowList, mut seen: impl FnMut() -> bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let began = Instant::now();
        runtime.block_on(async {
            tokio::select! {
                () = list.keep() => (),
                () = async {
                    while !seen() {
                        assert!(began.elapsed() < Duration::from_secs(30), "asked so far: {:?}", self.wechat.asked());
                        sleep(Duration::from_millis(5)).await;
                    }
                } => (),
            }
        });
    }

    fn kept(&self) -> Option<String> {
        fs::read_to_string(self.file()).ok()
    }
}

#[test]
fn what_is_learnt_is_in_force_at_once_and_kept_for_nobody_elses_eyes() {
    let house = House::new(&[addresses(&["127.0.0.1", "101.226.103.0/25", "2001:db8::/32"])]);
    let list = house.open();
    assert_eq!((house.known.get(), list.published().networks()), (0, None));
    let published = list.published();
    house.keep_until(list, || house.kept().is_some());
    assert_eq!(house.known.get(), 1);
    assert_eq!(published.networks().unwrap().len(), 3);
    assert_eq!(house.kept().unwrap(), r#"{"ip_list":["127.0.0.1/32","101.226.103.0/25","2001:db8::/32"]}"#);
    assert_eq!(fs::metadata(house.file()).unwrap().permissions().mode() & 0o777, 0o600);

    let again = House { wechat: FakeWeChat::new(&[token()], &[Answer::Nothing]), known: Gauge::default(), ..house };
    let list = again.open();
    assert_eq!((again.known.get(), list.published().networks()), (1, published.networks()), "after a restart");
}

#[test]
fn a_refresh_replaces_the_list() {
    let house = House::new(&[addresses(&["203.0.113.1"])]);
    let list = AllowList { pace: Pace { refresh: Duration::from_millis(20), ..TEST }, ..house.open() };
    let published = list.published();
    let mut changed = false;
    house.keep_until(list, || {
        let list = published.networks().unwrap_or_default();
        if !changed && !list.is_empty() {
            assert_eq!(list.to_vec(), ["203.0.113.1/32".parse().unwrap()]);
            house.wechat.now_answers(&[addresses(&["203.0.113.2"])]);
            changed = true;
        }
        list.to_vec() == ["203.0.113.2/32".parse().unwrap()] && house.kept().unwrap().contains("113.2")
    });
}

#[test]
fn while_wechat_cannot_be_asked_the_last_known_list_holds() {
    let house = House::new(&[Answer::Nothing]);
    fs::write(house.file(), r#"{"ip_list":["203.0.113.1/32"]}"#).unwrap();
    let list = house.open();
    let published = list.published();
    house.keep_until(list, || house.wechat.asked().len() > 5);
    assert_eq!(house.known.get(), 1);
    assert_eq!(published.networks().unwrap().to_vec(), ["203.0.113.1/32".parse().unwrap()]);
}

#[test]
fn an_answer_of_no_addresses_replaces_nothing() {
    for odd in [addresses(&[]), refusal(-1, ""), Answer::Body("<html>".to_owned())] {
        let house = House::new(&[odd]);
        fs::write(house.file(), r#"{"ip_list":["203.0.113.1/32"]}"#).unwrap();
        let list = house.open();
        let published = list.published();
        house.keep_until(list, || house.wechat.asked().len() > 2);
        assert_eq!(published.networks().unwrap().len(), 1);
        assert_eq!(house.kept().unwrap(), r#"{"ip_list":["203.0.113.1/32"]}"#);
    }
}

#[test]
fn where_no_list_was_ever_known_it_is_open_and_goes_on_asking() {
    let house = House::new(&[Answer::Nothing, refusal(40_164, ""), refusal(-1, ""), addresses(&["203.0.113.1"])]);
    let list = house.open();
    let published = list.published();
    assert_eq!((house.known.get(), published.networks()), (0, None));
    house.keep_until(list, || house.known.get() == 1);
    assert_eq!(published.networks().unwrap().len(), 1);
}

#[test]
fn a_torn_or_odd_file_is_not_trusted_and_overwritten_by_what_is_learnt() {
    let whole = r#"{"ip_list":["203.0.113.1/32","203.0.113.2/32"]}"#;
    let torn = (0..whole.len()).map(|length| whole.as_bytes()[..length].to_vec());
    let odd = [
        &br#"{"ip_list":[]}"#[..],
        br#"{"ip_list":["203.0.113.1/32","anywhere"]}"#,
        br#"{"ip_list":["203.0.113.1/33"]}"#,
        br#"["203.0.113.1/32"]"#,
        b"\0\0\0\0\0\0\0\0",
        &[0xFF; 64],
    ];
    for content in torn.chain(odd.map(<[u8]>::to_vec)) {
        let house = House::new(&[addresses(&["203.0.113.9"])]);
        fs::write(house.file(), &content).unwrap();
        let list = house.open();
        let shown = String::from_utf8_lossy(&content).into_owned();
        assert_eq!((house.known.get(), list.published().networks()), (0, None), "{shown}");
        assert!(matches!(list.kept.read(), Err(kept::KeptError::Torn)), "{shown}");
    }
    let house = House::new(&[addresses(&["203.0.113.9"])]);
    fs::write(house.file(), "{").unwrap();
    house.keep_until(house.open(), || house.kept().unwrap().contains("203.0.113.9"));
}

#[test]
fn a_folder_that_cannot_be_written_costs_the_keeping_only() {
    let house = House::new(&[addresses(&["203.0.113.9"])]);
    fs::create_dir(house.folder.path().join("wechat-addresses.new")).unwrap();
    let list = house.open();
    let published = list.published();
    house.keep_until(list, || published.networks().is_some());
    assert_eq!((house.known.get(), house.kept()), (1, None));
}

#[test]
fn a_new_app_secret_is_used_at_once() {
    let house = House::new(&[addresses(&["203.0.113.9"])]);
    let list = house.open();
    let callers = list.callers();
    let mut sent = false;
    house.keep_until(list, || {
        if !sent && house.known.get() == 1 {
            callers.send_replace(Caller { app_secret: AppSecret::new("rotated"), ..caller() });
            sent = true;
        }
        house.wechat.asked().iter().any(|request| request.contains(r#""secret":"rotated""#))
    });
}

#[test]
fn retries_come_later_each_time_and_at_least_every_hour() {
    let waits: Vec<u64> = (1..=12).map(|failures| Pace::DAILY.retry(failures).as_secs()).collect();
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]);
    assert_eq!(Pace::DAILY.retry(u32::MAX).as_secs(), 3600);
}
