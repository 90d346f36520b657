//! Looks at the Kafka cluster beside the service, and logs what is wrong in the words of `cardhook check`: once the brokers
//! answer, and again when Kafka goes away. Does not depend on the delivery's producers, and holds up nothing.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use crate::{
    cluster,
    config::Config,
    delivery::Delivery,
    finding::{Finding, Findings, Level},
};

/// How often it asks whether to look.
const TURN: Duration = Duration::from_millis(500);
/// Between two looks, while the brokers do not answer or Kafka is away.
const APART: Duration = Duration::from_mins(1);

/// The thread. After `end` it stops by itself within some seconds.
#[derive(Debug)]
pub(super) struct ClusterWatch {
    ended: Arc<AtomicBool>,
    gone: mpsc::Receiver<()>,
}

impl ClusterWatch {
    /// `None` without brokers.
    pub(super) fn start(config: &Config, delivery: &Delivery) -> io::Result<Option<Self>> {
        if config.kafka.brokers.is_empty() {
            return Ok(None);
        }
        let ended = Arc::new(AtomicBool::new(false));
        let (config, delivery, end) = (config.clone(), delivery.clone(), Arc::clone(&ended));
        let (end_of_thread, gone) = mpsc::channel();
        std::thread::Builder::new().name("kafka-look".into()).spawn(move || {
            watch(&config, &delivery, &end);
            drop(end_of_thread);
        })?;
        Ok(Some(Self { ended, gone }))
    }

    /// Tells it to end.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Waits for the end, at most so long. Blocks.
    pub(super) fn wait(self, limit: Duration) {
        let _ = self.gone.recv_timeout(limit);
    }
}

fn watch(config: &Config, delivery: &Delivery, ended: &AtomicBool) {
    let (mut known, mut looked, mut was_up) = (Vec::new(), None, true);
    while !ended.load(Ordering::Relaxed) {
        let up = delivery.health().kafka.unwrap_or(true);
        // Before a broker was reached the producer says why.
        let due = looked.map_or(up, |(at, answered): (Instant, bool)| at.elapsed() >= APART && !(answered && up));
        if due || looked.is_some() && was_up && !up {
            let begun = Instant::now();
            let mut findings = Findings::default();
            // librdkafka took the same properties for the producer.
            let answered = cluster::look(config, &mut findings, &|| ended.load(Ordering::Relaxed)).unwrap_or(true);
            // Why nobody answers is said by the producer.
            if answered {
                known = log(&findings, &known);
            }
            looked = Some((begun, answered));
        }
        was_up = up;
        std::thread::sleep(TURN);
    }
}

/// Logs what is wrong and was not before. Returns what is wrong.
fn log(findings: &Findings, known: &[Finding]) -> Vec<Finding> {
    let wrong: Vec<Finding> = findings.iter().filter(|finding| finding.level > Level::Ok).cloned().collect();
    for finding in wrong.iter().filter(|finding| !known.contains(finding)) {
        let Finding { subject: key, found, cure, .. } = finding;
        tracing::warn!(key, found, cure, "Kafka is not as it should be");
    }
    wrong
}
