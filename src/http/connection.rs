//! A client's TCP connection with limits on its slowness: a head not whole in time is answered 408, whichever request of
//! the connection it begins; a client that does not read is not read from, and dropped in the end.
//!
//! actix's own head timer covers the first request of a connection only, and nothing of its bounds a client that sends
//! requests without reading answers. This module does not depend on what is asked and answered.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_http::Payload;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::refusal::OPENING;

/// How long a head, and then a body, may take (contract §2).
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

const HEAD_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Whose turn it is on a connection: shared between the connection and the handler of its requests.
pub(super) struct Turn {
    answering: Cell<bool>,
    /// When the head under way must be whole. `None`: none is under way.
    head_due: Cell<Option<Instant>>,
    unread: RefCell<Option<Payload>>,
    /// The connection's first bytes, and how many of them have arrived.
    opening: Cell<([u8; OPENING], usize)>,
}

impl Turn {
    fn new() -> Self {
        Self {
            answering: Cell::new(false),
            head_due: Cell::new(Some(Instant::now() + PATIENCE)),
            unread: RefCell::new(None),
            opening: Cell::new(([0; OPENING], 0)),
        }
    }

    /// A head is whole and its handler begins.
    pub(super) fn begin(&self) {
        self.answering.set(true);
        self.head_due.set(None);
    }

    /// The handler has its answer. `unread` is what it left of the body: while it lives, actix closes the connection
    /// after the answer; dropped, a chunked body would be read to its end, however late that comes.
    pub(super) fn end(&self, unread: Payload) {
        self.unread.replace(Some(unread));
        self.answering.set(false);
    }

    /// Whether a head is under way: begun, and not whole.
    pub(super) fn reads_head(&self) -> bool {
        self.head_due.get().is_some()
    }

    /// The connection's first bytes.
    pub(super) fn opening(&self) -> ([u8; OPENING], usize) {
        self.opening.get()
    }

    fn bytes_arrived(&self, bytes: &[u8]) {
        let (mut opening, so_far) = self.opening.get();
        if so_far < OPENING {
            opening.iter_mut().skip(so_far).zip(bytes).for_each(|(to, from)| *to = *from);
            self.opening.set((opening, OPENING.min(so_far + bytes.len())));
        }
        if !self.answering.get() && self.head_due.get().is_none() {
            self.head_due.set(Some(Instant::now() + PATIENCE));
        }
    }
}

/// See the module.
pub(super) struct Connection {
    tcp: TcpStream,
    turn: Rc<Turn>,
    /// Armed only while something is due, and not touched again until it rings: most heads cost no timer.
    timer: Pin<Box<Sleep>>,
    /// Set while the client does not read: when it is given up.
    write_due: Option<Instant>,
    /// What is left to send of the 408, once a head is overdue.
    farewell: Option<&'static [u8]>,
}

impl Connection {
    pub(super) fn new(tcp: TcpStream) -> Self {
        // Without it the last bytes of a second pipelined answer may wait for the client's delayed ACK; failing is harmless.
        let _ = tcp.set_nodelay(true);
        let timer = Box::pin(sleep_until(Instant::now() + PATIENCE));
        Self { tcp, turn: Rc::new(Turn::new()), timer, write_due: None, farewell: None }
    }

    pub(super) fn turn(&self) -> &Rc<Turn> {
        &self.turn
    }

    /// Whether `due` is over; else the task is woken then, or before.
    fn overdue(&mut self, due: Instant, cx: &mut Context<'_>) -> bool {
        while Instant::now() < due {
            if self.timer.is_elapsed() || self.timer.deadline() > due {
                self.timer.as_mut().reset(due);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return false;
            }
        }
        true
    }

    /// Books the result of a write: a blocked one stops the reading side too.
    fn written(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if written.is_pending() {
            let due = *self.write_due.get_or_insert_with(|| Instant::now() + PATIENCE);
            if self.overdue(due, cx) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        } else if self.write_due.take().is_some() {
            cx.waker().wake_by_ref();
        }
        written
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.farewell.is_some() {
            return Poll::Ready(Ok(()));
        }
        if this.write_due.is_some() {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.tcp).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.turn.bytes_arrived(buf.filled().get(before..).unwrap_or_default());
        } else if read.is_pending()
            && let Some(due) = this.turn.head_due.get()
            && this.overdue(due, cx)
        {
            // An end of the stream, to the dispatcher: it has nothing to answer and shuts down.
            this.farewell = Some(HEAD_TIMEOUT);
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.tcp).poll_write(cx, buf);
        this.written(written, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while let Some(left) = this.farewell.filter(|left| !left.is_empty()) {
            let sent = Pin::new(&mut this.tcp).poll_write(cx, left);
            let sent = ready!(this.written(sent, cx))?;
            this.farewell = left.get(sent..);
        }
        Pin::new(&mut this.tcp).poll_shutdown(cx)
    }
}
