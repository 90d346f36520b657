//! The spool's folder: may it be written, is it local, does it outlive a restart, is there room?
//!
//! Works beside a running service: the folder's database and lock are not touched.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::Instant,
};

use crate::{
    config::{AnswerAfter, Config},
    delivery::{network_file_system, spool_folder, volatile_file_system},
    finding::Findings,
};

const KEY: &str = "spool.path";

pub(super) fn look(config: &Config, findings: &mut Findings) {
    let path = &config.spool.path;
    let folder = spool_folder(path);
    // A folder that is not there yet is made at the start, in the nearest one that is.
    let Some(there) = folder.ancestors().find(|folder| folder.is_dir()) else {
        findings.fail(
            KEY,
            format_args!("{}: no folder above it exists", path.display()),
            "name a folder on a local disk",
        );
        return;
    };
    match write_and_sync(there) {
        Ok(took) => {
            let made = if there == folder { "" } else { ", made at the start" };
            let (folder, took) = (folder.display(), took.as_secs_f64() * 1000.0);
            findings.ok(KEY, format_args!("{folder}{made}: may be written{}, fsync {took:.1} ms", rights(there)));
            owner(there, findings);
        }
        Err(error) => {
            let cure = match error.kind() {
                io::ErrorKind::ReadOnlyFilesystem => "mount it writable, or name another folder",
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free space on its disk",
                _ => "name a folder that cardhook's user may write (install -d -o USER -m 0700 FOLDER)",
            };
            findings.fail(KEY, format_args!("{}: cannot be written: {error}", there.display()), cure);
            return;
        }
    }
    if let Some(kind) = network_file_system(&folder) {
        findings.fail(
            KEY,
            format_args!("{}: on {kind}, a network's file system: locks and fsync do not hold there", folder.display()),
            "name a folder on a local disk",
        );
    }
    if let Some(kind) = volatile_file_system(&folder) {
        let cure = "mount a volume there, or set delivery.answer_after = \"kafka_only\" (with brokers)";
        if config.delivery.answer_after == AnswerAfter::KafkaOnly {
            findings.ok(KEY, format_args!("on {kind}, and answers wait for Kafka only"));
        } else {
            findings.warn(KEY, format_args!("on {kind}: what waits there is lost with it"), cure);
        }
    }
    room(there, config.spool.max_bytes, findings);
}

/// Whose it is, and its mode.
fn rights(folder: &Path) -> String {
    let Ok(found) = fs::metadata(folder) else { return String::new() };
    let whose = if found.uid() == rustix::process::geteuid().as_raw() { "ours" } else { "another user's" };
    format!(", {whose}, {:04o}", found.mode() & 0o7777)
}

/// That root may write a folder says nothing of the service, which runs as the folder's owner.
fn owner(folder: &Path, findings: &mut Findings) {
    let Ok(owner) = fs::metadata(folder).map(|found| found.uid()) else { return };
    if rustix::process::geteuid().is_root() && owner != 0 {
        let cure = format!("run it as that user: sudo -u '#{owner}' cardhook check …");
        let found = format!("{}: belongs to the user {owner}, and this check runs as root", folder.display());
        findings.warn(
            KEY,
            format_args!("{found}: whether the service may write it, and read its secrets, was not tried"),
            cure,
        );
    }
}

/// How long it takes to write a little and to fsync it. The file is gone afterwards.
fn write_and_sync(folder: &Path) -> io::Result<std::time::Duration> {
    let path = folder.join(format!(".cardhook-check-{}", std::process::id()));
    let begin = Instant::now();
    let outcome = File::create_new(&path).and_then(|mut file| {
        file.write_all(&[0; 4096])?;
        file.sync_all()
    });
    let removed = fs::remove_file(&path);
    outcome.and(removed).map(|()| begin.elapsed())
}

fn room(folder: &Path, wanted: u64, findings: &mut Findings) {
    let Ok(stat) = rustix::fs::statvfs(folder) else { return };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let mib = |bytes: u64| bytes / 1024 / 1024;
    if free < wanted {
        findings.warn(
            "spool.max_bytes",
            format_args!("{} MiB free, and spool.max_bytes is {} MiB", mib(free), mib(wanted)),
            "free space, or lower it: a full disk refuses pushes while Kafka is away",
        );
    } else {
        findings.ok("spool.max_bytes", format_args!("{} MiB free for {} MiB", mib(free), mib(wanted)));
    }
}
