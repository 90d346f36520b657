//! The process metrics under their standard names, read from the kernel at each scrape.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};
use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

/// See the module. What the kernel does not tell is left out.
#[derive(Debug)]
pub(super) struct Process {
    started_at: f64,
}

impl Process {
    #[expect(clippy::cast_precision_loss, reason = "Unix milliseconds fit 52 bits for ages")]
    pub(super) fn new(started_at_ms: i64) -> Self {
        Self { started_at: started_at_ms as f64 / 1000.0 }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        put(&mut encoder, "process_cpu_seconds", "User and system CPU time", &ConstCounter::new(cpu_seconds()))?;
        put(&mut encoder, "process_start_time_seconds", "Start, Unix seconds", &ConstGauge::new(self.started_at))?;
        if let Some(bytes) = resident_bytes() {
            put(&mut encoder, "process_resident_memory_bytes", "Resident memory", &ConstGauge::new(bytes))?;
        }
        if let Some(count) = open_fds() {
            put(&mut encoder, "process_open_fds", "Open file descriptors", &ConstGauge::new(count))?;
        }
        if let Some(limit) = max_fds() {
            put(&mut encoder, "process_max_fds", "Limit of open file descriptors", &ConstGauge::new(limit))?;
        }
        Ok(())
    }
}

fn put(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    metric: &dyn EncodeMetric,
) -> Result<(), std::fmt::Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

#[expect(clippy::cast_precision_loss, reason = "a metric")]
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = resident.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Less the one that reads the folder.
fn open_fds() -> Option<i64> {
    let count = std::fs::read_dir("/proc/self/fd").ok()?.count();
    i64::try_from(count).ok()?.checked_sub(1)
}

/// `None` where there is no limit.
fn max_fds() -> Option<i64> {
    i64::try_from(getrlimit(Resource::Nofile).current?).ok()
}
