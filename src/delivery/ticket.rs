//! What one answer waits for: a ticket that the writer and the forwarder settle and the request awaits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::Poll,
    time::Instant,
};

use futures_util::{future::poll_fn, task::AtomicWaker};

/// How far a ticket is. The order matters: a state is only ever left for a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum State {
    /// Not stored yet.
    Waiting = 0,
    /// Fsynced in the spool; the answer still waits for the broker.
    Stored = 1,
    /// Safe in the spool, and no answer waits any longer.
    SafeOnDisk = 2,
    /// Acknowledged by the broker.
    SafeInKafka = 3,
    /// No durable place.
    Refused = 4,
}

impl State {
    fn of(bits: u8) -> Self {
        match bits & STATE {
            0 => Self::Waiting,
            1 => Self::Stored,
            2 => Self::SafeOnDisk,
            3 => Self::SafeInKafka,
            _ => Self::Refused,
        }
    }
}

/// The state's bits; the bit above them says that the event was known already.
const STATE: u8 = 0x0f;
const DUPLICATE: u8 = 0x10;
/// The request takes the fsynced record as well, and wants to be woken for it.
const LATE: u8 = 0x20;
/// The submission became its quarantine.
const NONCE_REUSED: u8 = 0x40;

/// Shared by one request and whoever settles it: one allocation a request.
#[derive(Debug, Default)]
pub(super) struct Ticket {
    state: AtomicU8,
    waker: AtomicWaker,
}

impl Ticket {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Moves the ticket on and wakes its request. Going back is ignored.
    pub(super) fn settle(&self, state: State) {
        self.advance(|before| (before < state).then_some(state));
    }

    /// No ack is waited for any longer: a stored record is enough, and what is not stored has no durable place.
    pub(super) fn settle_without_ack(&self) {
        self.advance(|before| match before {
            State::Waiting => Some(State::Refused),
            State::Stored => Some(State::SafeOnDisk),
            State::SafeOnDisk | State::SafeInKafka | State::Refused => None,
        });
    }

    fn advance(&self, next: impl Fn(State) -> Option<State>) {
        let before = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |bits| {
            next(State::of(bits)).map(|state| bits & !STATE | state as u8)
        });
        if before.is_ok_and(|bits| next(State::of(bits)) > Some(State::Stored) || bits & LATE != 0) {
            self.waker.wake();
        }
    }

    /// Says that the event was known already. Before [`settle`](Self::settle).
    pub(super) fn mark_duplicate(&self) {
        self.state.fetch_or(DUPLICATE, Ordering::AcqRel);
    }

    pub(super) fn is_duplicate(&self) -> bool {
        self.state.load(Ordering::Acquire) & DUPLICATE != 0
    }

    /// Before [`settle`](Self::settle).
    pub(super) fn mark_nonce_reused(&self) {
        self.state.fetch_or(NONCE_REUSED, Ordering::AcqRel);
    }

    pub(super) fn is_nonce_reused(&self) -> bool {
        self.state.load(Ordering::Acquire) & NONCE_REUSED != 0
    }

    pub(super) fn state(&self) -> State {
        State::of(self.state.load(Ordering::Acquire))
    }

    /// Waits until the ticket is settled beyond `Stored`, or until `limit`; says how far it is then.
    pub(super) fn settled(&self, limit: Instant) -> impl Future<Output = State> {
        self.beyond(State::Stored, limit)
    }

    /// Waits until the record is stored or more, or until `limit`.
    pub(super) fn stored(&self, limit: Instant) -> impl Future<Output = State> {
        self.state.fetch_or(LATE, Ordering::AcqRel);
        self.beyond(State::Waiting, limit)
    }

    async fn beyond(&self, state: State, limit: Instant) -> State {
        let settled = poll_fn(|context| {
            self.waker.register(context.waker());
            if self.state() > state { Poll::Ready(()) } else { Poll::Pending }
        });
        // A time-out is no error here: the state says how far it is.
        let _ = tokio::time::timeout_at(limit.into(), settled).await;
        self.state()
    }
}
