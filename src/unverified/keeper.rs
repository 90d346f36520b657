//! The thread that writes, and the handle that answers hand pushes to without waiting.
//!
//! Does not depend on how many an account may hand over: its caller bounds that.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use prometheus_client::metrics::gauge::Gauge;

use super::{Bounds, frame::Push, ring::Ring};
use crate::clock;

/// Frames that wait for the thread at most; beyond, a push is not kept.
const WAITING: usize = 2048;
/// Their bytes.
const WAITING_BYTES: u64 = 8 << 20;
/// Between two looks at the window and at what a replay has published, and from an append to its fsync.
const TICK: Duration = Duration::from_secs(1);
/// A failing disk is told once in this time.
const QUIET: Duration = Duration::from_mins(1);

/// Hands pushes over; cheap to clone.
#[derive(Debug, Clone)]
pub struct Sender {
    frames: SyncSender<Option<Vec<u8>>>,
    waiting: Arc<Waiting>,
    kept: Gauge,
}

/// What the thread has not taken yet.
#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicU64,
    frames: AtomicI64,
}

/// The running thread; whoever started it stops it.
#[derive(Debug)]
pub struct Keeper {
    sender: Sender,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Starts the thread for the folder of a spool that this process has locked. What earlier runs left is read there: a
    /// start does not wait for it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(spool: &Path, bounds: Bounds, kept: Gauge) -> io::Result<Self> {
        let (frames, queue) = mpsc::sync_channel(WAITING);
        let sender = Sender { frames, waiting: Arc::default(), kept };
        let (waiting, kept) = (Arc::clone(&sender.waiting), sender.kept.clone());
        let thread = Thread { spool: spool.to_owned(), bounds, waiting, kept, queue };
        let thread = std::thread::Builder::new().name("unverified".into()).spawn(move || thread.run())?;
        Ok(Self { sender, thread })
    }

    /// For the listener.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Writes what waits, and ends. Blocks.
    pub fn stop(self) {
        if self.sender.frames.send(None).is_ok() {
            // One that panicked has said so.
            let _ = self.thread.join();
        }
    }
}

impl Sender {
    /// Hands a push over, where there is room: nothing waits, and nothing is said of one that is not kept.
    pub fn offer(&self, account: &str, query: &str, body: &[u8], received_at_ms: i64) {
        let Some(frame) = (Push { received_at_ms, account, query, body }).encode() else { return };
        let bytes = frame.len() as u64;
        let before = self.waiting.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.waiting.frames.fetch_add(1, Ordering::Relaxed);
        if before + bytes > WAITING_BYTES || self.frames.try_send(Some(frame)).is_err() {
            self.waiting.taken(bytes);
        }
    }

    /// About how many are kept, those that were only just handed over among them.
    #[must_use]
    pub fn kept(&self) -> i64 {
        self.kept.get() + self.waiting.frames.load(Ordering::Relaxed)
    }
}

impl Waiting {
    fn taken(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.frames.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Thread {
    spool: PathBuf,
    bounds: Bounds,
    waiting: Arc<Waiting>,
    kept: Gauge,
    queue: Receiver<Option<Vec<u8>>>,
}

impl Thread {
    fn run(self) {
        let mut complaint = Complaint::default();
        let mut ring = match Ring::open(&self.spool, self.bounds) {
            Ok(ring) => ring,
            Err(error) => {
                tracing::error!(%error, "unverified pushes are not kept: what earlier runs left cannot be read");
                return;
            }
        };
        let mut ticked = None::<Instant>;
        loop {
            if ticked.is_none_or(|ticked| ticked.elapsed() >= TICK) {
                ticked = Some(Instant::now());
                ring.sync();
                ring.forget(clock::unix_millis());
                complaint.hear(ring.look_for_marks());
                self.kept.set(i64::try_from(ring.kept()).unwrap_or(i64::MAX));
            }
            match self.queue.recv_timeout(TICK) {
                Ok(Some(frame)) => {
                    if complaint.hear(ring.append(&frame)) == Some(true) {
                        self.kept.inc();
                    }
                    self.waiting.taken(frame.len() as u64);
                }
                Ok(None) | Err(RecvTimeoutError::Disconnected) => return ring.sync(),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// Tells of failures, at a limited rate.
#[derive(Default)]
struct Complaint(Option<Instant>);

impl Complaint {
    fn hear<T>(&mut self, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                if self.0.is_none_or(|told| told.elapsed() >= QUIET) {
                    self.0 = Some(Instant::now());
                    tracing::warn!(%error, "an unverified push cannot be kept");
                }
                None
            }
        }
    }
}
