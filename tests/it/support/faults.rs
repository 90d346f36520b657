//! Faults of the machine for one process: a slow or failing fsync, pages that a failed fsync lost, and a wall clock that
//! jumps; and a name whose address changes. `faults.c` does it, loaded before the C library; this is its handle.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// The numbers of `faults.c`, in its order.
const SYNC_DELAY_US: u64 = 0;
const SYNC_ERRNO: u64 = 1;
const SYNCS_FAILED: u64 = 2;
const CLOCK_OFFSET_MS: u64 = 3;
const LOSE_PAGES: u64 = 4;
const SYNC_ERRNO_OF: u64 = 5;
const NAME_OCTET: u64 = 6;
const SYNCS: u64 = 7;

/// Sets the faults of the process that runs under them.
#[derive(Debug)]
pub struct Faults {
    library: PathBuf,
    shared: PathBuf,
    numbers: File,
}

impl Faults {
    /// Compiles the library into `folder`; no fault is set.
    pub fn new(folder: &Path) -> Self {
        let (library, shared) = (folder.join("faults.so"), folder.join("faults"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/faults.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]).arg(&library).args([source, "-ldl"]);
        assert!(compiler.status().unwrap().success(), "cc compiles {source}");
        let numbers = File::options().read(true).write(true).create(true).truncate(true).open(&shared).unwrap();
        numbers.set_len(4096).unwrap();
        Self { library, shared, numbers }
    }

    /// Puts a command under these faults.
    pub fn apply_to(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("TESTS_FAULTS_OF_CARDHOOK", &self.shared);
    }

    /// Every fsync takes this much longer from now on.
    pub fn sync_delay(&self, delay: Duration) {
        self.set(SYNC_DELAY_US, i64::try_from(delay.as_micros()).unwrap());
    }

    /// Every fsync fails with this errno from now on; `None`: works again.
    pub fn sync_error(&self, errno: Option<i32>) {
        self.set(SYNC_ERRNO, errno.unwrap_or(0).into());
    }

    /// Only the fsync of a database itself fails, not that of its log.
    pub fn only_of_databases(&self) {
        self.set(SYNC_ERRNO_OF, 1);
    }

    /// From now on a failed fsync loses what was written since the last one, as a kernel may: the next one succeeds without it.
    pub fn lose_pages(&self) {
        self.set(LOSE_PAGES, 1);
    }

    /// How many have failed so far.
    pub fn syncs_failed(&self) -> i64 {
        self.get(SYNCS_FAILED)
    }

    /// How many there were so far, failed or not.
    #[allow(dead_code, reason = "benches/load measures with it")]
    pub fn syncs(&self) -> i64 {
        self.get(SYNCS)
    }

    /// The process's wall clock is this much ahead (or, negative, behind) from now on.
    pub fn clock_offset_ms(&self, offset: i64) {
        self.set(CLOCK_OFFSET_MS, offset);
    }

    /// The name `app.test` is this address of 127.0.0.0/24 from now on; `None`: no name server answers.
    pub fn app_test_is(&self, octet: Option<u8>) {
        self.set(NAME_OCTET, octet.map_or(-1, i64::from));
    }

    fn get(&self, place: u64) -> i64 {
        let mut bytes = [0; 8];
        self.numbers.read_exact_at(&mut bytes, place * 8).unwrap();
        i64::from_ne_bytes(bytes)
    }

    fn set(&self, place: u64, number: i64) {
        self.numbers.write_all_at(&number.to_ne_bytes(), place * 8).unwrap();
    }
}
