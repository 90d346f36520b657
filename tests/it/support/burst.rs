//! Many events at once, and what must have come of them.

use std::{
    collections::{HashMap, HashSet},
    iter::{Skip, StepBy},
    net::SocketAddr,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{
    consume::Record,
    eventually,
    http::Connection,
    unix_seconds,
    wechat::{Account, Mode, claim},
};

/// Connections at a time.
const SENDERS: usize = 16;

/// Claims under way: of many users at once, each user's one after the other.
pub struct Burst {
    answered: Arc<AtomicUsize>,
    senders: Vec<JoinHandle<Vec<Claim>>>,
}

/// One claim and its answer.
#[derive(Debug)]
pub struct Claim {
    /// Its card code, which no other claim has; of one user they ascend.
    pub code: String,
    pub status: u16,
    pub success: bool,
    pub took: Duration,
}

impl Burst {
    /// Starts to send `each` claims of each of `users`, over keep-alive connections, in secure mode. A sender stops when
    /// its connection breaks.
    pub fn start(to: SocketAddr, users: usize, each: usize) -> Self {
        Self::of(0..users, each, to)
    }

    /// As `start`, of these users: another burst of the same ones would send the same codes.
    pub fn of(users: Range<usize>, each: usize, to: SocketAddr) -> Self {
        let answered = Arc::new(AtomicUsize::new(0));
        let senders = (0..SENDERS).map(|sender| {
            let answered = Arc::clone(&answered);
            let users = users.clone().skip(sender).step_by(SENDERS);
            std::thread::spawn(move || send(to, &users, each, &answered))
        });
        Self { senders: senders.collect(), answered }
    }

    /// Waits until that many claims are answered.
    pub fn wait_answered(&self, count: usize) {
        eventually("the burst is answered", Duration::from_mins(2), || {
            (self.answered.load(Ordering::Relaxed) >= count).then_some(())
        });
    }

    /// Waits for the end.
    pub fn join(self) -> Vec<Claim> {
        self.senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    }
}

fn send(to: SocketAddr, users: &StepBy<Skip<Range<usize>>>, each: usize, answered: &AtomicUsize) -> Vec<Claim> {
    let account = Account::of(Mode::Secure);
    let now = unix_seconds();
    let mut claims = Vec::new();
    let Ok(mut connection) = Connection::open(to) else { return claims };
    for turn in 0..each {
        for user in users.clone() {
            let code = format!("{user:06}{turn:06}");
            let push = account.push(&claim(&format!("oBurstUser{user:018}"), &code, now));
            let Ok(answer) = connection.post(&push.target, &push.body) else { return claims };
            answered.fetch_add(1, Ordering::Relaxed);
            claims.push(Claim { code, status: answer.status, success: answer.is_success(), took: answer.took });
        }
    }
    claims
}

/// The codes that were answered `success`.
pub fn accepted(claims: &[Claim]) -> HashSet<String> {
    claims.iter().filter(|claim| claim.success).map(|claim| claim.code.clone()).collect()
}

/// The longest that an answer took.
pub fn slowest(claims: &[Claim]) -> Duration {
    claims.iter().map(|claim| claim.took).max().unwrap()
}

/// The codes on the topic; panics when one stands there twice, or a user's codes do not ascend.
pub fn codes_in_order(records: &[Record]) -> HashSet<String> {
    let mut last: HashMap<String, String> = HashMap::new();
    let mut codes = HashSet::new();
    for record in records {
        let (user, code) = (record.key.clone().unwrap(), record.text("code"));
        assert_eq!(user, record.text("openid"));
        assert!(codes.insert(code.clone()), "{code} stands twice");
        if let Some(before) = last.insert(user, code.clone()) {
            assert!(before < code, "{code} stands behind {before}");
        }
    }
    codes
}
