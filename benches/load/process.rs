//! What a process has used, from `/proc`.

use std::{fs, time::Duration};

use anyhow::Context as _;

/// `USER_HZ`: the same on every platform of Linux.
const TICKS_PER_SECOND: u32 = 100;

/// CPU time of all threads, user and system.
pub fn cpu(id: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name before the last parenthesis may hold blanks. utime and stime are the 14th and 15th field, the name the 2nd.
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_secs(ticks) / TICKS_PER_SECOND)
}

/// The most memory it had resident, in MiB.
pub fn peak_memory(id: u32) -> anyhow::Result<f64> {
    status(id, "VmHWM:")
}

/// [`peak_memory`] counts from now on (`proc(5)`, `clear_refs`).
pub fn forget_peak_memory(id: u32) -> anyhow::Result<()> {
    Ok(fs::write(format!("/proc/{id}/clear_refs"), "5")?)
}

/// The memory that it has resident now, in MiB.
pub fn memory(id: u32) -> anyhow::Result<f64> {
    status(id, "VmRSS:")
}

fn status(id: u32, field: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context(field.to_owned())?;
    let kib: f64 = line.trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

/// Bytes that it made the kernel write to disks.
pub fn written(id: u32) -> anyhow::Result<u64> {
    let io = fs::read_to_string(format!("/proc/{id}/io"))?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).context("write_bytes")?;
    Ok(line.trim().parse()?)
}
