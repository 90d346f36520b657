//! Carries the plan out: one thread for cardhook and its disk, one for the brokers.

use std::{
    fs::File,
    io::Write as _,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{
    cardhook::Cardhook,
    checker::Window,
    cluster::Cluster,
    now,
    plan::{Fault, Step},
};

/// A file system of its own for the spool, small enough to be filled: a tmpfs, which takes root.
pub struct Disk {
    mount: PathBuf,
    mounted: bool,
}

impl Disk {
    pub fn new(mount: PathBuf) -> Self {
        std::fs::create_dir_all(&mount).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=128m", "tmpfs"]).arg(&mount);
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

/// Faults of cardhook and its disk; gives when the disk was full.
pub fn against_cardhook(steps: &[Step], begun: Instant, cardhook: &mut Cardhook, disk: &Disk) -> Vec<Window> {
    let mut full = Vec::new();
    for step in steps {
        if step.fault == Fault::FillDisk && !disk.mounted {
            println!("  skipped: {:?}", step.fault);
            continue;
        }
        wait_until(begun, step);
        let since = match step.fault {
            Fault::KillCardhook => cardhook.kill(),
            Fault::StopCardhook => cardhook.stop(),
            _ => {
                let since = now();
                disk.fill();
                since
            }
        };
        std::thread::sleep(step.lasts);
        if step.fault == Fault::FillDisk {
            std::fs::remove_file(disk.ballast()).unwrap();
            // It notices the space at its next attempt to write.
            full.push(Window(since, now() + 3000));
        } else {
            cardhook.restart(since);
        }
        over(begun, step);
    }
    full
}

/// Faults of the brokers; gives when one had not the three whole.
pub fn against_brokers(steps: &[Step], begun: Instant, cluster: &Cluster) -> Vec<Window> {
    let mut windows = Vec::new();
    for step in steps {
        wait_until(begun, step);
        let since = now();
        apply(step.fault, cluster);
        std::thread::sleep(step.lasts);
        lift(step.fault, cluster);
        // Brokers that start again take their time, on a loaded machine above all.
        windows.push(Window(since, now() + 20_000));
        over(begun, step);
    }
    windows
}

fn apply(fault: Fault, cluster: &Cluster) {
    match fault {
        Fault::KillBroker(broker) => cluster.signal(broker, Signal::KILL),
        Fault::StopBroker(broker) => cluster.signal(broker, Signal::TERM),
        Fault::SuspendBroker(broker) => cluster.signal(broker, Signal::STOP),
        Fault::SlowBroker(broker, milliseconds) => cluster.proxy(broker).delay(milliseconds),
        Fault::CutBroker(broker) => cluster.proxy(broker).cut(true),
        Fault::KillAll => (0..3).for_each(|broker| cluster.signal(broker, Signal::KILL)),
        Fault::SuspendAll => (0..3).for_each(|broker| cluster.signal(broker, Signal::STOP)),
        Fault::CutAll => (0..3).for_each(|broker| cluster.proxy(broker).cut(true)),
        Fault::KillCardhook | Fault::StopCardhook | Fault::FillDisk => unreachable!("no fault of a broker"),
    }
}

fn lift(fault: Fault, cluster: &Cluster) {
    match fault {
        Fault::KillBroker(broker) | Fault::StopBroker(broker) => cluster.restart(broker),
        Fault::SuspendBroker(broker) => cluster.signal(broker, Signal::CONT),
        Fault::SlowBroker(broker, _) => cluster.proxy(broker).delay(0),
        Fault::CutBroker(broker) => cluster.proxy(broker).cut(false),
        Fault::KillAll => (0..3).for_each(|broker| cluster.restart(broker)),
        Fault::SuspendAll => (0..3).for_each(|broker| cluster.signal(broker, Signal::CONT)),
        Fault::CutAll => (0..3).for_each(|broker| cluster.proxy(broker).cut(false)),
        Fault::KillCardhook | Fault::StopCardhook | Fault::FillDisk => unreachable!("no fault of a broker"),
    }
}

fn wait_until(begun: Instant, step: &Step) {
    std::thread::sleep(step.at.saturating_sub(begun.elapsed()));
    println!("  {:7.1} s  {:?}", begun.elapsed().as_secs_f64(), step.fault);
}

fn over(begun: Instant, step: &Step) {
    println!("  {:7.1} s  over: {:?}", begun.elapsed().as_secs_f64(), step.fault);
}

/// What a plan may still have running when it ends.
pub const SETTLING: Duration = Duration::from_secs(5);
