//! A merchant's application behind cardhook: one that answers with given bytes, whatever HTTP they are, and remembers what
//! it was asked; and real ones, from `tests/upstream`.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use super::{project, wechat::Account};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// First line and headers, names in lower case.
    pub head: String,
    pub body: Vec<u8>,
    /// Its number on its connection, from 0.
    pub turn: usize,
}

impl Asked {
    /// Path and query.
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// Every value of a header.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        self.head.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
    }
}

/// What the application does with a request.
pub enum Reply {
    /// These bytes; the connection stays.
    Bytes(Vec<u8>),
    /// These bytes, none perhaps, and the end of the connection.
    Last(Vec<u8>),
    /// Nothing, for as long as the application runs.
    Hang,
}

/// A whole answer with a length.
pub fn reply(status: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

type Answers = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// Serves until it is dropped.
pub struct Application {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    opened: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Application {
    /// On a free port.
    pub fn start(answers: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", answers)
    }

    /// At this address.
    pub fn at(address: &str, answers: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let mut application = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            connections: Arc::default(),
            opened: Arc::default(),
            stopped: Arc::default(),
            accepting: None,
        };
        let answers: Answers = Arc::new(answers);
        let (asked, connections) = (Arc::clone(&application.asked), Arc::clone(&application.connections));
        let (opened, stopped) = (Arc::clone(&application.opened), Arc::clone(&application.stopped));
        application.accepting = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let stream = stream.unwrap();
                connections.lock().unwrap().push(stream.try_clone().unwrap());
                opened.fetch_add(1, Ordering::SeqCst);
                let (answers, asked) = (Arc::clone(&answers), Arc::clone(&asked));
                std::thread::spawn(move || serve(stream, &answers, &asked));
            }
        }));
        application
    }

    /// As `upstream = …` says it.
    pub fn url(&self) -> String {
        format!("http://{}/app", self.address)
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Ends it; every request that it answered.
    pub fn stop(self) -> Vec<Asked> {
        let asked = Arc::clone(&self.asked);
        drop(self);
        asked.lock().unwrap().clone()
    }

    /// Connections so far.
    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn serve(stream: TcpStream, answers: &Answers, asked: &Mutex<Vec<Asked>>) {
    let mut stream = BufReader::new(stream);
    for turn in 0.. {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if !stream.read_line(&mut line).is_ok_and(|read| read > 0) {
                return;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim_end().is_empty() {
                break;
            }
            head.push_str(line.trim_end());
            head.push('\n');
        }
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        let request = Asked { head, body, turn };
        asked.lock().unwrap().push(request.clone());
        match answers(&request) {
            Reply::Bytes(bytes) if stream.get_mut().write_all(&bytes).is_ok() => {}
            Reply::Bytes(_) => return,
            Reply::Last(bytes) => {
                let _ = stream.get_mut().write_all(&bytes);
                let _ = stream.get_mut().shutdown(std::net::Shutdown::Both);
                return;
            }
            // Ends when the other side hangs up, or with the application.
            Reply::Hang => {
                let _ = stream.read(&mut [0]);
                return;
            }
        }
    }
}

/// The real applications of `tests/upstream`.
#[derive(Debug, Clone, Copy)]
pub enum Library {
    /// Flask and wechatpy, Python.
    Wechatpy,
    /// Koa and co-wechat, Node.
    CoWechat,
}

/// A real application; killed when dropped.
pub struct RealApplication {
    child: Child,
    pub address: SocketAddr,
    said: Arc<Mutex<String>>,
}

impl RealApplication {
    /// Knows the account's token and key. Equal pushes get equal bytes.
    pub fn start(library: Library, account: &Account) -> Self {
        Self::start_with(library, account, &[])
    }

    /// With further variables of the environment.
    pub fn start_with(library: Library, account: &Account, variables: &[(&str, &str)]) -> Self {
        let folder = project("tests/upstream");
        let mut command = match library {
            Library::Wechatpy => {
                let mut command = Command::new(folder.join("venv/bin/python"));
                command.arg("-B").arg(folder.join("wechatpy_app.py"));
                command
            }
            Library::CoWechat => {
                let mut command = Command::new("node");
                command.arg(folder.join("cowechat_app.js"));
                command
            }
        };
        command.envs([("TOKEN", account.token), ("AES_KEY", account.aes_key), ("APP_ID", account.app_id)]);
        command.env("FIXED", "1").envs(variables.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("tests/run.sh installs the applications of tests/upstream");
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        output.read_line(&mut first).unwrap();
        let address = first.trim().parse().unwrap_or_else(|_| panic!("{library:?} says {first:?}"));
        let said = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let mut said = heard.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
        Self { child, address, said }
    }

    /// A line for each push that it had.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }
}

impl Drop for RealApplication {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
