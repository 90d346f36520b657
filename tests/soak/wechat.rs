//! WeChat: batches of claims of one user and one second, a connection for each push, five seconds of patience, three
//! re-deliveries of the same bytes, and a network that now and then loses an answer. Beside it somebody who forges pushes.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    checker::{Attempt, Outcome},
    now,
    plan::Dice,
    support::{
        unix_seconds,
        wechat::{Account, Mode, Push, claim},
    },
};

/// Senders at a time, each with users of its own.
const SENDERS: u64 = 64;
const USERS_PER_SENDER: u64 = 40;
const PATIENCE: Duration = Duration::from_secs(5);
const RE_DELIVERIES: usize = 3;
/// Where a connection is refused, WeChat comes again later; here sooner, or a short run would see few re-deliveries.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// A batch of each sender per this time, on average.
const PACE_MS: u64 = 1000;
/// Now and then everything comes at once.
const BURST_EVERY: u64 = 20;
/// Of a hundred claims so many have a forged one before them.
const FORGED: u64 = 3;

/// Pushes under way.
pub struct WeChat {
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<Sent>>,
}

/// Every attempt.
#[derive(Debug, Default)]
pub struct Sent {
    pub genuine: Vec<Attempt>,
    pub forged: Vec<Attempt>,
}

impl WeChat {
    /// Starts to send.
    pub fn start(to: SocketAddr, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let senders = (0..SENDERS).map(|number| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || Sender::new(to, number, seed).run(&stop))
        });
        Self { senders: senders.collect(), stop }
    }

    /// Lets each sender finish its batch; gives every attempt.
    pub fn join(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Sent::default();
        for sender in self.senders {
            let sent = sender.join().unwrap();
            all.genuine.extend(sent.genuine);
            all.forged.extend(sent.forged);
        }
        all
    }
}

struct Sender {
    to: SocketAddr,
    number: u64,
    account: Account,
    dice: Dice,
    sent: Sent,
    claims: u64,
}

impl Sender {
    fn new(to: SocketAddr, number: u64, seed: u64) -> Self {
        let dice = Dice::new(seed ^ (number + 1).wrapping_mul(0x0100_0001));
        Self { to, number, account: Account::of(Mode::Secure), dice, sent: Sent::default(), claims: 0 }
    }

    fn run(mut self, stop: &AtomicBool) -> Sent {
        let begun = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            // All senders' bursts fall together: every `BURST_EVERY` seconds, for one second.
            let burst = begun.elapsed().as_secs() % BURST_EVERY == BURST_EVERY - 1;
            let user = format!("oSoakUser{:04}{:04}", self.number, self.dice.below(USERS_PER_SENDER));
            let second = unix_seconds();
            for _ in 0..=self.dice.below(4) {
                if self.dice.below(100) < FORGED {
                    self.forge(&user, second);
                }
                let code = self.next_code();
                let push = self.account.push(&claim(&user, &code, second));
                self.deliver(&push, &user, &code);
            }
            let pause = if burst { PACE_MS / 8 } else { PACE_MS };
            std::thread::sleep(Duration::from_millis(pause / 2 + self.dice.below(pause)));
        }
        self.sent
    }

    fn next_code(&mut self) -> String {
        self.claims += 1;
        format!("{:04}{:08}", self.number, self.claims)
    }

    /// One push, and its re-deliveries until it is answered `success`.
    fn deliver(&mut self, push: &Push, user: &str, code: &str) {
        for again in 0..=RE_DELIVERIES {
            // Of a hundred first sendings one is cut off in flight, and two are answered and delivered again all the same.
            let luck = if again == 0 { self.dice.below(100) } else { 99 };
            let sent = now();
            let outcome = if luck == 0 { hang_up(self.to, push) } else { post(self.to, push) };
            let (code, user) = (code.to_owned(), user.to_owned());
            self.sent.genuine.push(Attempt { code, user, sent, done: now(), outcome });
            match outcome {
                Outcome::Success if !(1..=2).contains(&luck) => return,
                Outcome::Success | Outcome::HungUp | Outcome::TimedOut => {}
                Outcome::Refused(_) | Outcome::Broken => std::thread::sleep(RETRY_AFTER),
            }
        }
    }

    /// A claim that WeChat never signed: by who does not know the token, or by who saw a genuine push and keeps its query.
    fn forge(&mut self, user: &str, second: i64) {
        let code = self.next_code();
        let claim = claim(user, &code, second);
        let seen = self.account.push("<xml></xml>");
        let push = match self.dice.below(3) {
            0 => Account { token: "guessedtoken", ..self.account.clone() }.push(&claim),
            1 => Push { body: self.account.push(&claim).body, ..seen },
            _ => Push { body: claim.into_bytes(), ..seen },
        };
        let sent = now();
        let outcome = post(self.to, &push);
        self.sent.forged.push(Attempt { code, user: user.to_owned(), sent, done: now(), outcome });
    }
}

fn open(to: SocketAddr, push: &Push) -> std::io::Result<TcpStream> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE.saturating_sub(begun.elapsed()).max(Duration::from_millis(1))))?;
    let head = format!(
        "POST {} HTTP/1.1\r\nUser-Agent: Mozilla/4.0\r\nAccept: */*\r\nHost: 127.0.0.1\r\nPragma: no-cache\r\n\
         Connection: close\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
        push.target,
        push.body.len()
    );
    stream.write_all(&[head.as_bytes(), &push.body].concat())?;
    Ok(stream)
}

fn post(to: SocketAddr, push: &Push) -> Outcome {
    let mut answer = String::new();
    match open(to, push).and_then(|mut stream| stream.read_to_string(&mut answer)) {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Outcome::TimedOut,
        Err(_) => return Outcome::Broken,
    }
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    match status {
        Some(200) if answer.ends_with("\r\n\r\nsuccess") => Outcome::Success,
        Some(status) => Outcome::Refused(status),
        None => Outcome::Broken,
    }
}

/// The push leaves, and the connection ends before its answer.
fn hang_up(to: SocketAddr, push: &Push) -> Outcome {
    match open(to, push) {
        Ok(_) => Outcome::HungUp,
        Err(_) => Outcome::Broken,
    }
}
