//! A WeChat for unit tests: an HTTP server on a real port that answers from a list and remembers what it was asked.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use super::{Api, AppSecret, Caller};

/// What a leak would show.
pub(crate) const SECRETS: [&str; 2] = ["LEAKappsecret", "LEAKaccesstoken"];

/// One answer.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// 200 with this body.
    Body(String),
    /// These bytes, and the connection is held for a while.
    Bytes(&'static str, Duration),
    /// The connection is closed unanswered.
    Nothing,
}

/// Answers for as long as the test runs; the last answer of each path is given again and again.
#[derive(Debug, Clone)]
pub(crate) struct FakeWeChat {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    tokens: VecDeque<Answer>,
    addresses: VecDeque<Answer>,
    asked: Vec<String>,
}

/// A token, valid for two hours.
pub(crate) fn token() -> Answer {
    Answer::Body(format!(r#"{{"access_token":"{}","expires_in":7200}}"#, SECRETS[1]))
}

/// A list of addresses.
pub(crate) fn addresses(list: &[&str]) -> Answer {
    Answer::Body(serde_json::json!({ "ip_list": list }).to_string())
}

/// A refusal.
pub(crate) fn refusal(errcode: i64, errmsg: &str) -> Answer {
    Answer::Body(serde_json::json!({ "errcode": errcode, "errmsg": errmsg }).to_string())
}

impl FakeWeChat {
    /// Answers with these in turn.
    pub(crate) fn new(tokens: &[Answer], addresses: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = State { tokens: tokens.to_vec().into(), addresses: addresses.to_vec().into(), asked: Vec::new() };
        let fake = Self { address: listener.local_addr().unwrap(), state: Arc::new(Mutex::new(state)) };
        let serving = fake.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serving.serve(stream.unwrap());
            }
        });
        fake
    }

    /// The API as a caller sees it who means this server.
    pub(crate) fn api(&self) -> Api {
        let base = format!("http://{}", self.address).parse().unwrap();
        // The machine's own proxy has no part in this.
        Api::through(reqwest::Client::builder().no_proxy(), base, caller()).unwrap()
    }

    /// The addresses of the next answers, in place of those that are left.
    pub(crate) fn now_answers(&self, addresses: &[Answer]) {
        self.state().addresses = addresses.to_vec().into();
    }

    /// Every request so far: its first line and its body.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let (mut request, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            match line.trim_end() {
                "" => break,
                line if request.is_empty() => line.clone_into(&mut request),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        request.push_str(&String::from_utf8(body).unwrap());
        let answer = self.next(request);
        // A client that has had enough hangs up.
        let _ = match answer {
            Answer::Body(body) => {
                let length = body.len();
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/plain\r\n";
                stream.get_mut().write_all(format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes())
            }
            Answer::Bytes(bytes, held) => {
                let written = stream.get_mut().write_all(bytes.as_bytes());
                // Ends early when the client hangs up.
                let _ = stream.get_mut().set_read_timeout(Some(held));
                let _ = stream.read(&mut [0]);
                written
            }
            Answer::Nothing => Ok(()),
        };
    }

    fn next(&self, request: String) -> Answer {
        let mut state = self.state();
        let answers = if request.contains("/cgi-bin/stable_token") { &mut state.tokens } else { &mut state.addresses };
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        state.asked.push(request);
        answer.unwrap()
    }
}

/// In whose name the tests call.
pub(crate) fn caller() -> Caller {
    Caller { app_id: "wx0123456789abcdef".to_owned(), app_secret: AppSecret::new(SECRETS[0]) }
}
