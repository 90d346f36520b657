//! Carries the plan out: one thread for cardhook and its machine, one for the brokers.

use std::{
    fmt::Debug,
    fs::File,
    io::Write as _,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use rustix::{io::Errno, process::Signal};

use super::{
    cardhook::Cardhook,
    checker::Window,
    cluster::Cluster,
    now,
    plan::{BrokerFault, CardhookFault, Step},
};

/// A file system of its own for the spool, small enough to be filled: a tmpfs, which takes root.
pub struct Disk {
    mount: PathBuf,
    mounted: bool,
}

impl Disk {
    /// Room for the backlog of the longest outage, and for the ids that a run of this length remembers.
    pub fn new(mount: PathBuf, length: Duration) -> Self {
        let size = format!("size={}m", 128 + length.as_secs() / 60);
        std::fs::create_dir_all(&mount).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&mount);
        let mounted = rustix::process::geteuid().is_root() && command.status().is_ok_and(|status| status.success());
        if !mounted {
            println!("skipped: a full disk (mounting a tmpfs takes root)");
        }
        Self { mount, mounted }
    }

    pub fn spool(&self) -> PathBuf {
        self.mount.join("spool")
    }

    fn ballast(&self) -> PathBuf {
        self.mount.join("ballast")
    }

    /// Writes until no block is left.
    fn fill(&self) {
        let mut ballast = File::create(self.ballast()).unwrap();
        let mut block = vec![0; 1024 * 1024];
        while !block.is_empty() {
            while ballast.write_all(&block).is_ok() {}
            block.truncate(block.len() / 2);
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("-l").arg(&self.mount).status();
        }
    }
}

/// Faults of cardhook and its machine; gives when the disk took nothing.
pub fn against_cardhook(
    steps: &[Step<CardhookFault>],
    begun: Instant,
    cardhook: &mut Cardhook,
    disk: &Disk,
) -> Vec<Window> {
    let mut failed = Vec::new();
    for step in steps {
        if step.fault == CardhookFault::FillDisk && !disk.mounted {
            println!("  skipped: {:?}", step.fault);
            continue;
        }
        wait_until(begun, step);
        let since = now();
        match step.fault {
            CardhookFault::KillCardhook => cardhook.kill(),
            CardhookFault::StopCardhook => cardhook.stop(),
            CardhookFault::FillDisk => disk.fill(),
            CardhookFault::FailDisk => cardhook.faults.sync_error(Some(Errno::IO.raw_os_error())),
            CardhookFault::SlowDisk(milliseconds) => cardhook.faults.sync_delay(Duration::from_millis(milliseconds)),
            CardhookFault::JumpClock(hours) => cardhook.faults.clock_offset_ms(hours * 3_600_000),
        }
        std::thread::sleep(step.lasts);
        match step.fault {
            CardhookFault::KillCardhook | CardhookFault::StopCardhook => cardhook.restart(since),
            CardhookFault::FillDisk => std::fs::remove_file(disk.ballast()).unwrap(),
            CardhookFault::FailDisk => cardhook.faults.sync_error(None),
            CardhookFault::SlowDisk(_) => cardhook.faults.sync_delay(Duration::ZERO),
            CardhookFault::JumpClock(_) => cardhook.faults.clock_offset_ms(0),
        }
        if matches!(step.fault, CardhookFault::FillDisk | CardhookFault::FailDisk) {
            // It notices that the disk works again at its next attempt to write.
            failed.push(Window(since, now() + 3000));
        }
        over(begun, step);
    }
    failed
}

/// What a client may take to find the leaders again once the cluster is whole, on a loaded machine.
const RECONNECTED_MS: i64 = 5000;

/// Faults of the brokers; gives when the cluster was not whole.
pub fn against_brokers(steps: &[Step<BrokerFault>], begun: Instant, cluster: &Cluster) -> Vec<Window> {
    let mut windows = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        wait_until(begun, step);
        let since = now();
        apply(step.fault, cluster);
        std::thread::sleep(step.lasts);
        lift(step.fault, cluster);
        over(begun, step);
        let next = steps.get(number + 1).map_or(begun.elapsed() + Duration::from_mins(1), |next| next.at);
        while begun.elapsed() < next && !cluster.is_whole() {
            std::thread::sleep(Duration::from_millis(500));
        }
        windows.push(Window(since, now() + RECONNECTED_MS));
    }
    windows
}

fn apply(fault: BrokerFault, cluster: &Cluster) {
    match fault {
        BrokerFault::KillBroker(broker) => cluster.signal(broker, Signal::KILL),
        BrokerFault::StopBroker(broker) => cluster.signal(broker, Signal::TERM),
        BrokerFault::SuspendBroker(broker) => cluster.signal(broker, Signal::STOP),
        BrokerFault::SlowBroker(broker, milliseconds) => cluster.proxy(broker).delay(milliseconds),
        BrokerFault::CutBroker(broker) => cluster.proxy(broker).cut(true),
        BrokerFault::KillAll => (0..3).for_each(|broker| cluster.signal(broker, Signal::KILL)),
        BrokerFault::SuspendAll => (0..3).for_each(|broker| cluster.signal(broker, Signal::STOP)),
        BrokerFault::CutAll => (0..3).for_each(|broker| cluster.proxy(broker).cut(true)),
    }
}

fn lift(fault: BrokerFault, cluster: &Cluster) {
    match fault {
        BrokerFault::KillBroker(broker) | BrokerFault::StopBroker(broker) => cluster.restart(broker),
        BrokerFault::SuspendBroker(broker) => cluster.signal(broker, Signal::CONT),
        BrokerFault::SlowBroker(broker, _) => cluster.proxy(broker).delay(0),
        BrokerFault::CutBroker(broker) => cluster.proxy(broker).cut(false),
        BrokerFault::KillAll => (0..3).for_each(|broker| cluster.restart(broker)),
        BrokerFault::SuspendAll => (0..3).for_each(|broker| cluster.signal(broker, Signal::CONT)),
        BrokerFault::CutAll => (0..3).for_each(|broker| cluster.proxy(broker).cut(false)),
    }
}

fn wait_until<Fault: Debug>(begun: Instant, step: &Step<Fault>) {
    std::thread::sleep(step.at.saturating_sub(begun.elapsed()));
    println!("  {:7.1} s  {:?}", begun.elapsed().as_secs_f64(), step.fault);
}

fn over<Fault: Debug>(begun: Instant, step: &Step<Fault>) {
    println!("  {:7.1} s  over: {:?}", begun.elapsed().as_secs_f64(), step.fault);
}

/// What a plan may still have running when it ends.
pub const SETTLING: Duration = Duration::from_secs(5);
