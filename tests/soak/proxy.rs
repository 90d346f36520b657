//! A TCP proxy in front of one broker's listener: it can hold every chunk back, and cut every connection.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// How soon an idle connection notices a cut.
const TICK: Duration = Duration::from_millis(100);

/// Ends with the process.
pub struct Proxy {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    delay_ms: AtomicU64,
    cut: AtomicBool,
}

impl Proxy {
    /// Passes on what comes to `listener`.
    pub fn start(listener: TcpListener, to: SocketAddr) -> Self {
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.cut.load(Ordering::Relaxed) {
                    continue;
                }
                let Ok(broker) = TcpStream::connect(to) else { continue };
                let (Ok(client_out), Ok(broker_out)) = (client.try_clone(), broker.try_clone()) else { continue };
                for (from, to) in [(client, broker_out), (broker, client_out)] {
                    let state = Arc::clone(&shared);
                    std::thread::spawn(move || pass_on(from, to, &state));
                }
            }
        });
        Self { state }
    }

    /// Holds each chunk back from now on; zero passes it on at once.
    pub fn delay(&self, milliseconds: u64) {
        self.state.delay_ms.store(milliseconds, Ordering::Relaxed);
    }

    /// Cuts every connection from now on, or no longer.
    pub fn cut(&self, cut: bool) {
        self.state.cut.store(cut, Ordering::Relaxed);
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, state: &State) {
    let _ = to.set_nodelay(true);
    let _ = from.set_read_timeout(Some(TICK));
    let mut buffer = vec![0; 64 * 1024];
    while !state.cut.load(Ordering::Relaxed) {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                std::thread::sleep(Duration::from_millis(state.delay_ms.load(Ordering::Relaxed)));
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
