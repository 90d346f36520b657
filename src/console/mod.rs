//! The console on the admin listener: what arrives, what is refused and why, how the delivery is. It shows and changes nothing.
//!
//! ```text
//! public listener ─offer─▶ Observer (bounded, never waits) ─▶ thread "console" ─▶ State ◀─ api/v1/ ◀─ page
//!                                                                  └────────▶ Hub ─▶ api/v1/stream
//! ```
//!
//! Does not depend on how a push is received, and delivers nothing. Without it nothing of this runs.

mod account;
mod answers;
mod api;
mod counts;
mod event;
mod funnel;
mod hints;
mod hub;
mod observer;
mod page;
mod rotation;
mod schema;
mod series;
mod snapshot;
mod state;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

pub use account::Facts;
pub(crate) use api::problem;
pub(crate) use api::routes;
pub use observer::{MadeWith, Observer, Push, Refused, Seen, Sight, What};
pub(crate) use page::pages;
pub use rotation::SecretFacts;
pub use schema::api_schema;
pub(crate) use stream::Socket;

use self::{
    answers::{Figures, HintList, NewEvents, Tick},
    hub::Hub,
    series::Window,
    snapshot::Look,
    state::State,
};
use crate::{
    clock,
    delivery::{Delivery, Probe, Published},
    metrics::Metrics,
};

/// How often the console looks at what it was told.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// New pushes that a stream gets at each look.
const STREAMED: usize = 2;
/// Callbacks that are taken in under one lock.
const AT_ONCE: usize = 256;

/// A handle to what the console remembers, for the admin listener.
#[derive(Debug, Clone)]
pub struct Console {
    state: Arc<Mutex<State>>,
    hub: Hub,
    metrics: Metrics,
    started_at: i64,
}

/// The console's thread; whoever started it stops it.
#[derive(Debug)]
pub struct Running {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
    hub: Hub,
}

impl Running {
    /// Ends every stream, with its last message sent, and the thread. Blocks for a moment.
    pub fn stop(self) {
        drop(self.stop);
        // One that panicked has nothing left to show.
        let _ = self.thread.join();
        self.hub.wait_closed();
    }
}

impl Console {
    /// Starts the console for these accounts; the delivery has the probe. `draining` is set when a stop begins: the streams end then.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        accounts: Vec<Facts>,
        delivery: Delivery,
        (probe, published): (Probe, Receiver<Published>),
        metrics: &Metrics,
        spool: PathBuf,
        draining: Arc<AtomicBool>,
    ) -> io::Result<(Self, Observer, Running)> {
        let (observer, seen) = Observer::new(metrics);
        let mut look = Look::new(delivery, probe, metrics.clone(), spool);
        let started_at = clock::unix_millis();
        let state = Arc::new(Mutex::new(State::new(accounts, look.now(false, started_at), started_at)));
        let hub = Hub::new(metrics.console_clients.clone());
        let console = Self { state, hub: hub.clone(), metrics: metrics.clone(), started_at };
        let (stop, stopped) = sync_channel(0);
        let watch = Watch { console: console.clone(), seen, published, look, draining, second: 0, messages: 0 };
        let thread = std::thread::Builder::new().name("console".to_owned()).spawn(move || watch.run(&stopped))?;
        Ok((console, observer, Running { stop, thread, hub }))
    }

    /// The account's token and key were exchanged.
    pub fn change_secrets(&self, account: &str, token: SecretFacts, aes_key: Option<SecretFacts>) {
        let mut state = self.state();
        if let Some(account) = state.account(account).and_then(|place| state.accounts.get_mut(place)) {
            account.change_secrets(token, aes_key, clock::unix_millis());
        }
    }

    /// A thread that panicked has left numbers behind, and no broken promise.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread holds.
struct Watch {
    console: Console,
    seen: Receiver<Seen>,
    published: Receiver<Published>,
    look: Look,
    draining: Arc<AtomicBool>,
    /// The last one that was closed.
    second: i64,
    /// Of the stream, so far.
    messages: u64,
}

impl Watch {
    fn run(mut self, stopped: &Receiver<()>) {
        while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            let now_ms = clock::unix_millis();
            let new = self.take();
            if self.draining.load(Ordering::Relaxed) {
                self.console.hub.close(&stream::message(None, "bye", &serde_json::json!({})));
            }
            let second = now_ms.div_euclid(1000);
            let is_watched = !self.console.hub.is_empty();
            if let Some(new) = new.filter(|_| is_watched) {
                self.send("event", &new);
            }
            if second != self.second {
                self.second = second;
                self.tick(now_ms, is_watched);
            }
        }
        self.console.hub.close(&stream::message(None, "bye", &serde_json::json!({})));
    }

    /// Takes in what was told; the pushes that a stream shows of it.
    fn take(&mut self) -> Option<NewEvents> {
        let mut new = 0;
        take_all(&self.console, &self.published, State::published);
        take_all(&self.console, &self.seen, |state, seen| new += usize::from(state.take(seen)));
        let shown = new.min(STREAMED);
        let state = self.console.state();
        let rows = state.events.iter().skip(state.events.len().saturating_sub(shown));
        let events: Vec<_> = rows.map(|kept| kept.row(state.name(kept.account))).collect();
        let omitted = u64::try_from(new - shown).unwrap_or_default();
        (new > 0).then_some(NewEvents { events, omitted })
    }

    fn tick(&mut self, now_ms: i64, is_watched: bool) {
        let snapshot = self.look.now(self.draining.load(Ordering::Relaxed), now_ms);
        let mut state = self.console.state();
        let changed = state.tick(snapshot, now_ms);
        if !is_watched {
            return;
        }
        let hints = changed.then(|| HintList { hints: state.hints.all() });
        let tick = Tick {
            now: now_ms,
            verdict: state.hints.verdict(),
            checks: state.snapshot.checks,
            figures: Figures::of(&state, now_ms),
            point: state.rings.series(Window::Quarter, 1),
        };
        drop(state);
        if let Some(hints) = hints {
            self.send("hint", &hints);
        }
        self.send("tick", &tick);
        if self.second % 15 == 0 {
            self.console.hub.send(&bytes::Bytes::from_static(b": ping\n\n"), Instant::now());
        }
    }

    fn send(&mut self, name: &str, message: &impl serde::Serialize) {
        self.messages += 1;
        self.console.hub.send(&stream::message(Some(self.messages), name, message), Instant::now());
    }
}

/// Takes what waits in a queue, a part of it under each lock.
fn take_all<T>(console: &Console, queue: &Receiver<T>, mut take: impl FnMut(&mut State, T)) {
    loop {
        let mut state = console.state();
        let taken = queue.try_iter().take(AT_ONCE).map(|one| take(&mut state, one)).count();
        if taken < AT_ONCE {
            return;
        }
    }
}

impl Figures {
    fn of(state: &State, now_ms: i64) -> Self {
        let last = state.rings.series(Window::Quarter, 10);
        let accepted: u32 = last.accepted.iter().sum();
        let seconds = u32::try_from(last.t.len()).unwrap_or(1).max(1);
        let spool = &state.snapshot.spool;
        Self {
            accepted_per_second: f64::from(accepted) / f64::from(seconds),
            p99_ms: state.p99(now_ms),
            waiting: spool.records,
            oldest: spool.oldest,
            full_in: spool.full_in,
            refused: state.accounts.iter().map(|account| account.minutes(5, now_ms).refused()).sum(),
        }
    }
}
