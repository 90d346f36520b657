//! From an accepted event to Kafka: append, forward in order while the disk fsyncs, remove after the ack; and what an answer
//! waits for.
//!
//! It refuses to know HTTP and what an event means: it sees records, ids and times.

mod aside;
mod bind;
mod complaint;
mod early;
mod feed;
mod forget;
mod forwarder;
mod inbox;
mod lane;
#[doc(hidden)]
pub mod measure;
mod model;
#[cfg(test)]
mod pending;
mod properties;
mod settle;
mod sink;
mod spool;
mod state;
mod ticket;
mod unsaved;
mod vitals;
mod watch;
mod writer;

use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{self, SyncSender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

pub use complaint::Complaints;
pub use model::{AnswerAfter, Binding, Health, Lane, Overloaded, Safe, Settings, Submission};
pub use properties::producer as producer_properties;
pub use sink::{is_refusal, kafka_headers};
pub use spool::{
    Counters, FolderError, Memory, Page, Reader, Report, SpoolError, Spooled, Stored, Verified, spool_folder, take_out,
    volatile_file_system,
};

use crate::{
    clock,
    metrics::{Metrics, ReasonLabels},
};
use forwarder::Forwarder;
use inbox::{Command, Inbox};
use lane::Shared;
use sink::Connect;
use state::Stop;
use ticket::{State, Ticket};
use vitals::Vitals;
use writer::Writer;

/// Submissions waiting for the writer at most; beyond, the answer is 503.
const COMMANDS: usize = 8192;
/// Their bytes.
const COMMAND_BYTES: u64 = 32 * 1024 * 1024;

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
    commands: SyncSender<Command>,
    lanes: Arc<[Arc<Shared>]>,
    vitals: Arc<Vitals>,
    metrics: Metrics,
    answer_after: AnswerAfter,
    ack_timeout: Duration,
}

/// The running delivery's threads; whoever started it stops it.
#[derive(Debug)]
pub struct Running {
    delivery: Delivery,
    writer: JoinHandle<()>,
    forwarders: Vec<JoinHandle<()>>,
    /// Disconnected once every forwarder has returned.
    drained: mpsc::Receiver<()>,
}

impl Delivery {
    /// Opens the spool, starts the writer and the forwarders. What the last run left goes out first.
    ///
    /// # Errors
    /// When the spool cannot be opened or the producer's properties are refused.
    pub fn start(settings: Settings, metrics: Metrics) -> Result<(Self, Running), StartError> {
        let properties =
            settings.producer.as_deref().map(|options| properties::producer(options, settings.answer_after));
        let encodings = settings.encodings.clone();
        let connect = properties.map(|config| Arc::new(sink::Kafka { config, encodings }) as Arc<dyn Connect>);
        Self::start_with(settings, metrics, connect)
    }

    fn start_with(
        settings: Settings,
        metrics: Metrics,
        connect: Option<Arc<dyn Connect>>,
    ) -> Result<(Self, Running), StartError> {
        let names: Vec<String> = settings.accounts.iter().map(|(name, _)| name.clone()).collect();
        let spool = spool::Spool::open(&settings.path, &names)?;
        let answer_after = if connect.is_some() { settings.answer_after } else { AnswerAfter::Disk };
        let (commands, queue) = mpsc::sync_channel(COMMANDS);
        metrics.spool_capacity_bytes.set(settings.max_bytes.cast_signed());
        metrics.kafka_up.set(i64::from(connect.is_some()));

        let mut forwarders = Vec::new();
        if let Some(connect) = connect {
            // Counted from 0, so that an alarm on the rate sees the first one.
            for reason in sink::REASONS {
                drop(metrics.publish_errors.get_or_create(&ReasonLabels { reason }));
            }
            for (lane, topic) in Lane::FORWARDED.into_iter().zip(&settings.topics) {
                let last = spool.last_of(lane)?;
                let nudge = nudge(commands.clone());
                let shared = Shared::new(lane, Arc::clone(topic), answer_after, metrics.clone(), last, nudge);
                forwarders.push(Forwarder::new(
                    Arc::new(shared),
                    Arc::clone(&connect),
                    spool.reader()?,
                    settings.ack_timeout,
                    spool.account_numbers(),
                    refuse(lane, commands.clone()),
                ));
            }
        }
        // The events' producer connects at once: a wrong property is found now, and the first event does not wait.
        if let Some(events) = forwarders.first_mut() {
            events.connect_now()?;
        }
        let lanes: Vec<_> = forwarders.iter().map(|forwarder| Arc::clone(&forwarder.shared)).collect();
        let vitals = Arc::new(Vitals::new(spool.oldest()?, spool.counters().bytes >= settings.max_bytes));
        let writer = Writer {
            spool,
            inbox: Inbox { commands: queue, vitals: Arc::clone(&vitals) },
            lanes: lanes.clone(),
            accounts: settings.accounts,
            max_bytes: settings.max_bytes,
            forgetter: forget::Forgetter::new(settings.dedup_window, settings.dedup_max_bytes),
            vitals: Arc::clone(&vitals),
            metrics: metrics.clone(),
            unsaved: unsaved::Unsaved::default(),
            looked_at: Instant::now(),
        };
        let ack_timeout = settings.ack_timeout;
        let delivery = Self { commands, lanes: lanes.into(), vitals, metrics, answer_after, ack_timeout };
        let running = Running::spawn(delivery.clone(), writer, forwarders)?;
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
        let waits_until = deadline.min(Instant::now() + self.ack_timeout);
        let handed_over = self.hand_over(submission);
        async move {
            let ticket = handed_over?;
            let mut state = ticket.settled(waits_until).await;
            if state == State::Waiting {
                state = ticket.stored(deadline).await;
            }
            let by_kafka = match state {
                State::SafeInKafka => true,
                // Only `answer_after = "kafka"` moves a ticket to `Stored`: the fsynced record is enough when its wait is over.
                State::SafeOnDisk | State::Stored => false,
                State::Waiting => return Err(Overloaded::Late),
                State::Refused => return Err(Overloaded::NoDurablePlace),
            };
            Ok(Safe { by_kafka, duplicate: ticket.is_duplicate(), nonce_reused: ticket.is_nonce_reused() })
        }
    }

    fn hand_over(&self, submission: Submission) -> Result<Arc<Ticket>, Overloaded> {
        let ticket = Ticket::new();
        let bytes = spool::size_of(&submission.record);
        if self.vitals.queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > COMMAND_BYTES
            || self.commands.try_send(Command::Append(submission, Arc::clone(&ticket))).is_err()
        {
            self.vitals.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Overloaded::NoDurablePlace);
        }
        Ok(ticket)
    }

    /// For `/readyz`. Never waits for disk or network.
    #[must_use]
    pub fn health(&self) -> Health {
        let spool = self.vitals.healthy.load(Ordering::Relaxed) && !self.vitals.full.load(Ordering::Relaxed);
        let kafka = self.lanes.first().map(|events| events.is_up());
        let durable = match self.answer_after {
            AnswerAfter::KafkaOnly => kafka.unwrap_or(false),
            AnswerAfter::Kafka | AnswerAfter::Disk => spool || kafka.unwrap_or(false),
        };
        Health { spool, kafka, durable }
    }

    /// Refreshes what changes without an event: the age of the oldest pending record, and whether Kafka is up.
    pub fn refresh_gauges(&self) {
        if let Some(events) = self.lanes.first() {
            self.metrics.kafka_up.set(i64::from(events.is_up()));
        }
        let oldest = self.vitals.oldest_ms.load(Ordering::Relaxed);
        let age_ms = if oldest == 0 { 0 } else { (clock::unix_millis() - oldest).max(0) };
        #[expect(clippy::cast_precision_loss, reason = "an age in milliseconds fits in 52 bits")]
        self.metrics.spool_oldest_seconds.set(age_ms as f64 / 1000.0);
    }
}

fn nudge(commands: SyncSender<Command>) -> Box<dyn Fn() + Send + Sync> {
    // A full queue wakes the writer as well.
    Box::new(move || drop(commands.try_send(Command::Nudge)))
}

fn refuse(lane: Lane, commands: SyncSender<Command>) -> forwarder::Refuse {
    // Waits for room: the writer never waits for a forwarder. Without a writer the record stays in the spool.
    Box::new(move |item, reason| drop(commands.send(Command::Refused(lane, item, reason))))
}

impl Running {
    fn spawn(delivery: Delivery, writer: Writer, forwarders: Vec<Forwarder>) -> Result<Self, StartError> {
        let (alive, drained) = mpsc::sync_channel::<()>(0);
        let writer = watch::spawn("spool", move || writer.run())?;
        let mut threads = Vec::new();
        for forwarder in forwarders {
            let alive = alive.clone();
            let name = format!("forward-{}", threads.len());
            threads.push(watch::spawn(&name, move || {
                let _alive = alive;
                forwarder.run();
            })?);
        }
        Ok(Self { delivery, writer, forwarders: threads, drained })
    }

    /// Sends what waits in memory, at most until `limit`; then closes the spool. What is not acknowledged by then stays in
    /// the spool and goes out at the next start. Blocks.
    pub fn stop(self, limit: Duration) {
        for lane in self.delivery.lanes.iter() {
            lane.set_stop(Stop::Draining);
        }
        if self.drained.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("the flush ran out of time; what was in flight is sent again at the next start");
        }
        for lane in self.delivery.lanes.iter() {
            lane.set_stop(Stop::Now);
        }
        for forwarder in self.forwarders {
            // It cannot have panicked: that ends the process.
            let _ = forwarder.join();
        }
        if self.delivery.commands.send(Command::Stop).is_ok() {
            let _ = self.writer.join();
        }
    }
}

#[cfg(test)]
mod tests;
