//! From an accepted event to an answer and to Kafka: one thread owns every pending record, and disk and broker report to it.
//!
//! `submission` is what is handed in and answered, `inbox` where it waits; `coordinator` is the thread; `pending` its decisions,
//! as pure code, with the promise as a table; `next_commit`, `nonces` and `retention` what it keeps for the store; `store` the
//! spool on its own threads; `broker` the producers; `status` what others may ask; `probe` what the console sees; `watch` ends the process with a thread.
//! Does not depend on HTTP, and not on what an event means: it sees records, ids and times.

mod broker;
mod coordinator;
mod inbox;
mod next_commit;
mod nonces;
mod pending;
mod probe;
mod retention;
mod status;
mod store;
mod submission;
mod watch;

use std::{
    hash::RandomState,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::timeout_at};

pub use broker::{
    ADVERTISED_CURE, Complaint, Complaints, MISSING, NO_WRITE, NO_WRITE_ON_IT, kafka_headers, producer_properties,
    refusal, unreachable_address, why_unpublished,
};
pub use probe::{Broker, LastError, Probe, Published};
#[doc(hidden)]
pub use store::bench;
pub use store::{
    Counters, FolderError, Memory, Reader, Report, SpoolError, Spooled, Stored, Verified, each_page,
    network_file_system, spool_folder, take_out, volatile_file_system,
};
pub use submission::{AnswerAfter, Binding, Health, Lane, Overloaded, Safe, Settings, Submission};

use crate::{
    clock,
    metrics::{Metrics, ReasonLabels},
};
use broker::{Connect, Links};
use coordinator::{Coordinator, DeadLetters, Known, Lanes, Observer, Place, Records, Spooling};
use inbox::{Inbox, Reply};
use next_commit::NextCommit;
use pending::{Amount, Limits, Pending, Rules};
use retention::Seqs;
use status::Status;
use store::{Opened, Store};

/// What a topic's records take of memory before they are left on disk, and what its producer has at most.
const LANE: Amount = Amount { records: 2048, bytes: 4 * 1024 * 1024 };
/// A record without an ack is stored after so long.
const STORE_AFTER: Duration = Duration::from_millis(50);
/// Ids in memory: about seven megabytes. Those that the store lacks are many only while the disk fails.
const IDS: Limits = Limits { held: 65_536, due: 65_536 };
/// How long a stop waits, beyond its limit, for what the disk does, and for the producers' threads.
const GRACE: Duration = Duration::from_secs(1);

/// Why a delivery cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The spool cannot be opened.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// librdkafka refuses a property: `kafka.options` is wrong.
    #[error("the Kafka producer cannot be made: {0}")]
    Producer(#[from] rdkafka::error::KafkaError),
    /// The system gives no thread.
    #[error("no thread for the delivery: {0}")]
    Thread(#[from] std::io::Error),
}

/// The handle to the running delivery: cheap to clone, used from every HTTP worker.
#[derive(Debug, Clone)]
pub struct Delivery {
    inbox: Arc<Inbox>,
    status: Arc<Status>,
    metrics: Metrics,
    answer_after: AnswerAfter,
    has_kafka: bool,
}

/// The running delivery's threads; whoever started it stops it.
#[derive(Debug)]
pub struct Running {
    inbox: Arc<Inbox>,
    coordinator: JoinHandle<()>,
    ended: mpsc::Receiver<Ended>,
}

/// What the coordinator gives back.
type Ended = (Store, Option<Links>);

impl Delivery {
    /// Opens the spool and starts the threads. What the last run left goes out first.
    ///
    /// # Errors
    /// When the spool cannot be opened or the producer's properties are refused.
    pub fn start(settings: Settings, metrics: Metrics) -> Result<(Self, Running), StartError> {
        let options = settings.producer.as_deref();
        let connect = options.map(|options| {
            let config = producer_properties(options, settings.answer_after);
            let (topics, encodings) = (settings.topics.clone(), settings.encodings.clone());
            Arc::new(broker::Kafka { config, topics, encodings, probe: settings.probe.clone() }) as Arc<dyn Connect>
        });
        Self::start_with(settings, metrics, connect)
    }

    fn start_with(
        settings: Settings,
        metrics: Metrics,
        connect: Option<Arc<dyn Connect>>,
    ) -> Result<(Self, Running), StartError> {
        let answer_after = if connect.is_some() { settings.answer_after } else { AnswerAfter::Disk };
        metrics.spool_capacity_bytes.set(settings.max_bytes.cast_signed());
        metrics.kafka_up.set(0);
        let inbox = Arc::new(Inbox::default());
        let reports = Arc::clone(&inbox);
        let (store, opened) = Store::start(&settings, metrics.clone(), Arc::new(move |report| reports.store(report)))?;
        let mut links = connect.map(|connect| {
            // Counted from 0, so that an alarm on the rate sees the first one.
            for reason in broker::REASONS {
                drop(metrics.publish_errors.get_or_create(&ReasonLabels { reason }));
            }
            let reports = Arc::clone(&inbox);
            Links::new(connect, Arc::new(move |report| reports.broker(report)), answer_after)
        });
        let (has_kafka, now) = (links.is_some(), Instant::now());
        let mut lanes = lanes(&settings, answer_after, has_kafka, &opened);
        // The events' producer connects at once: a wrong property is found now, and the first event does not wait.
        if let Some(links) = &mut links {
            if let Err(error) = links.connect(Lane::Events, pending::Route::Batch) {
                store.close(GRACE);
                return Err(error.into());
            }
            lanes.get(Lane::Events).connected(pending::Route::Batch);
        }
        let status = Arc::new(Status::new(now, opened.status));
        let pending = opened.last_pending.into_iter().max().map_or(0, |seq| seq.0);
        let records = Records {
            answer_after,
            has_kafka,
            lanes,
            seqs: Seqs::new(opened.counters.last_seq, pending, now, clock::unix_millis()),
            known: known(opened),
            next: NextCommit::default(),
            disk_works: true,
            spool_full: false,
            observer: Observer::new(&settings, metrics.clone()),
            dead_letters: DeadLetters::new(answer_after, settings.accounts),
            keys: RandomState::new(),
        };
        let spooling = Spooling::new(answer_after);
        let coordinator = Coordinator::new(Arc::clone(&inbox), Arc::clone(&status), records, spooling, store, links);
        let delivery = Self { inbox, status, metrics, answer_after, has_kafka };
        let running = Running::spawn(Arc::clone(&delivery.inbox), coordinator)?;
        Ok((delivery, running))
    }

    /// Makes one record safe and says how, waiting for what `answer_after` asks, until `deadline` at the latest. The record
    /// is handed over now; the future, which is small, only waits.
    ///
    /// # Errors
    /// When it is not safe: no durable place, or too late.
    pub fn submit(
        &self,
        submission: Submission,
        deadline: Instant,
    ) -> impl Future<Output = Result<Safe, Overloaded>> + use<> {
        let (to, answer) = oneshot::channel();
        let handed_over = self.inbox.submit(submission, Reply::new(to));
        async move {
            handed_over?;
            match timeout_at(deadline.into(), answer).await {
                Ok(Ok(answered)) => answered,
                // The service has stopped.
                Ok(Err(_)) => Err(Overloaded::NoDurablePlace),
                Err(_) => Err(Overloaded::Late),
            }
        }
    }

    /// For `/readyz`. Never waits for disk or network.
    #[must_use]
    pub fn health(&self) -> Health {
        let hangs = self.status.hangs(Instant::now());
        let spool = self.status.spool() && !hangs;
        let kafka = self.has_kafka.then(|| self.status.kafka_up());
        let durable = match self.answer_after {
            AnswerAfter::KafkaOnly => kafka.unwrap_or(false),
            AnswerAfter::Kafka | AnswerAfter::Disk => spool || kafka.unwrap_or(false),
        };
        Health { spool, kafka, durable: durable && !hangs }
    }

    /// Refreshes what changes without an event: the age of the oldest pending record.
    pub fn refresh_gauges(&self) {
        let oldest = self.status.oldest_ms();
        let age_ms = if oldest == 0 { 0 } else { (clock::unix_millis() - oldest).max(0) };
        #[expect(clippy::cast_precision_loss, reason = "an age in milliseconds fits in 52 bits")]
        self.metrics.spool_oldest_seconds.set(age_ms as f64 / 1000.0);
    }
}

/// Without brokers nothing is kept in memory: what is stored is answered.
fn lanes(settings: &Settings, policy: AnswerAfter, has_kafka: bool, opened: &Opened) -> Lanes {
    let memory = if has_kafka { LANE } else { Amount { records: 0, bytes: 0 } };
    let rules = Rules { policy, ack_timeout: settings.ack_timeout, store_after: STORE_AFTER, memory, in_flight: LANE };
    Lanes::new(opened.last_pending.map(|last| Pending::new(rules, last)))
}

fn known(opened: Opened) -> Known {
    // What has no event time (0) is always the store's to decide.
    let mut ids = pending::Memory::new(opened.newest.max(store::NO_EVENT_TIME), IDS);
    for (id, known) in opened.ahead {
        ids.learn(id.event_time, (id.account, id.event_id), Place::of(known));
    }
    Known::new(ids)
}

impl Running {
    fn spawn(inbox: Arc<Inbox>, coordinator: Coordinator) -> Result<Self, StartError> {
        let (end, ended) = mpsc::sync_channel(1);
        let coordinator = watch::spawn("coordinator", move || {
            let _ = end.send(coordinator.run());
        })?;
        Ok(Self { inbox, coordinator, ended })
    }

    /// Sends what waits in memory, at most until `limit`; then stores the rest and closes the spool. What is not acknowledged
    /// by then stays in the spool and goes out at the next start. Blocks, for a second more than `limit` at most where the
    /// disk hangs.
    pub fn stop(self, limit: Duration) {
        let until = Instant::now() + limit + GRACE;
        self.inbox.stop(Instant::now() + limit);
        let left = || until.saturating_duration_since(Instant::now());
        let Ok((store, links)) = self.ended.recv_timeout(left()) else {
            return tracing::warn!("the delivery does not end; it is left as it is");
        };
        // It cannot have panicked: that ends the process.
        let _ = self.coordinator.join();
        if let Some(links) = links {
            links.end(GRACE / 2);
        }
        store.close(left().max(GRACE / 4));
    }
}

#[cfg(test)]
mod tests;
