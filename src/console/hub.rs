//! The open event streams: how many there are, what each still has to take, and who has stopped taking it.

use std::{
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;
use rustix::net::{Shutdown, shutdown, sockopt::set_socket_send_buffer_size};
use tokio::sync::mpsc::{self, error::TrySendError};

/// Streams at a time.
pub(super) const CLIENTS: usize = 32;
/// Messages that wait for one client.
const WAITING: usize = 32;
/// What the kernel keeps for one client, bytes: without a bound it would take megabytes before anybody saw a reader that sleeps.
const SEND_BUFFER: usize = 32 * 1024;
/// A client that takes nothing for so long is closed.
const STALLED: Duration = Duration::from_secs(10);

/// How long a stop waits for the streams' last messages to be sent.
const LAST_WORDS: Duration = Duration::from_millis(500);

#[derive(Debug)]
struct Client {
    messages: mpsc::Sender<Bytes>,
    /// Its connection, to be closed under a write that waits.
    socket: Option<Arc<OwnedFd>>,
    full_since: Option<Instant>,
}

/// A handle to all streams.
#[derive(Debug, Clone)]
pub(super) struct Hub {
    clients: Arc<Mutex<Vec<Client>>>,
    count: Gauge,
    open: Arc<AtomicUsize>,
}

/// What one stream still has to send. The stream is open as long as this is there.
#[derive(Debug)]
pub(super) struct Messages {
    receiver: mpsc::Receiver<Bytes>,
    open: Arc<AtomicUsize>,
}

impl Messages {
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        self.receiver.recv().await
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hub {
    pub(super) fn new(count: Gauge) -> Self {
        Self { clients: Arc::default(), count, open: Arc::default() }
    }

    /// One more; `None` when there are too many.
    pub(super) fn join(&self, socket: Option<Arc<OwnedFd>>, greeting: Bytes) -> Option<Messages> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|client| !client.messages.is_closed());
        if clients.len() >= CLIENTS {
            return None;
        }
        if let Some(socket) = &socket {
            // A larger buffer only finds a sleeping reader later.
            let _ = set_socket_send_buffer_size(socket, SEND_BUFFER);
        }
        let (messages, receiver) = mpsc::channel(WAITING);
        // A new channel has room.
        let _ = messages.try_send(greeting);
        clients.push(Client { messages, socket, full_since: None });
        self.show(clients.len());
        self.open.fetch_add(1, Ordering::Relaxed);
        Some(Messages { receiver, open: Arc::clone(&self.open) })
    }

    /// To everybody who has room for it.
    pub(super) fn send(&self, message: &Bytes, now: Instant) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain_mut(|client| match client.messages.try_send(message.clone()) {
            Ok(()) => {
                client.full_since = None;
                true
            }
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(_)) => {
                let stalled = now.duration_since(*client.full_since.get_or_insert(now)) >= STALLED;
                if stalled && let Some(socket) = &client.socket {
                    // It fails where the connection is gone already.
                    let _ = shutdown(socket, Shutdown::Both);
                }
                !stalled
            }
        });
        self.show(clients.len());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Ends every stream, behind a last message.
    pub(super) fn close(&self, last: &Bytes) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        for client in clients.drain(..) {
            // Who has no room for it learns from the end of the stream.
            let _ = client.messages.try_send(last.clone());
        }
        self.show(0);
    }

    /// Waits until every stream has sent its last message; for one whose reader sleeps not longer than [`LAST_WORDS`].
    pub(super) fn wait_closed(&self) {
        let until = Instant::now() + LAST_WORDS;
        while self.open.load(Ordering::Relaxed) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn show(&self, clients: usize) {
        self.count.set(i64::try_from(clients).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_33rd_waits_until_one_has_left() {
        let count = Gauge::default();
        let hub = Hub::new(count.clone());
        let mut open: Vec<_> = (0..CLIENTS).map(|_| hub.join(None, Bytes::new()).unwrap()).collect();
        assert!(hub.join(None, Bytes::new()).is_none());
        assert_eq!(count.get(), 32);
        open.pop();
        assert!(hub.join(None, Bytes::new()).is_some());
    }

    #[test]
    fn who_takes_nothing_for_ten_seconds_is_closed_and_the_others_are_not() {
        let hub = Hub::new(Gauge::default());
        let (asleep, mut awake) = (hub.join(None, Bytes::new()).unwrap(), hub.join(None, Bytes::new()).unwrap());
        let began = Instant::now();
        for second in 0..60 {
            hub.send(&Bytes::from_static(b"x"), began + Duration::from_secs(second));
            while awake.receiver.try_recv().is_ok() {}
        }
        assert!(asleep.receiver.is_closed() || hub.clients.lock().unwrap().len() == 1);
        assert!(!hub.is_empty());
    }
}
