//! The real binary with a generated configuration.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{
    eventually,
    faults::Faults,
    http::{Answer, get},
    kafka::Kafka,
    wechat::{Account, Mode},
};

/// Long enough for a loaded machine of two cores; nothing waits that long when all is well.
const PATIENCE: Duration = Duration::from_mins(1);

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_cardhook");

/// A folder with a configuration, a spool and nothing running.
pub struct Setup {
    folder: TempDir,
    sections: BTreeMap<&'static str, String>,
    accounts: String,
    /// What serves: the binary under test, unless another one is set.
    pub binary: PathBuf,
}

/// The topics of one test.
#[derive(Debug, Clone)]
pub struct Topics {
    pub events: String,
    pub dlq: String,
    pub other: String,
}

impl Topics {
    /// Creates three topics of the test's own; that of the events has three partitions.
    pub fn create(kafka: &Kafka) -> Self {
        Self {
            events: kafka.create_topic("events", 3),
            dlq: kafka.create_topic("dlq", 1),
            other: kafka.create_topic("other", 1),
        }
    }
}

impl Setup {
    /// Three accounts, one per mode, and no broker.
    pub fn without_brokers() -> Self {
        let folder = tempfile::Builder::new().prefix("cardhook-test").tempdir().unwrap();
        let spool = format!("path = {:?}\n", folder.path().join("spool").display().to_string());
        let sections = BTreeMap::from([
            ("server", "listen = \"127.0.0.1:0\"\n".to_owned()),
            ("admin", "listen = \"127.0.0.1:0\"\n".to_owned()),
            ("kafka", "brokers = []\n".to_owned()),
            ("spool", spool),
        ]);
        let setup = Self { folder, sections, accounts: String::new(), binary: BINARY.into() };
        Mode::ALL.into_iter().fold(setup, |setup, mode| setup.account(&Account::of(mode), ""))
    }

    /// Three accounts, one per mode, and a broker with the topics.
    pub fn new(kafka: &Kafka, topics: &Topics) -> Self {
        Self::at(&kafka.bootstrap(), topics)
    }

    /// As [`Self::new`], with the broker's address.
    pub fn at(broker: &str, topics: &Topics) -> Self {
        let mut setup = Self::without_brokers();
        let Topics { events, dlq, other } = topics;
        let section =
            format!("brokers = [{broker:?}]\ntopic = {events:?}\ndlq_topic = {dlq:?}\nother_topic = {other:?}\n");
        setup.sections.insert("kafka", section);
        setup
    }

    /// Adds a line of TOML to a section.
    pub fn set(mut self, section: &'static str, line: &str) -> Self {
        writeln!(self.sections.entry(section).or_default(), "{line}").unwrap();
        self
    }

    /// Lines of TOML in place of all that a section has.
    pub fn reset(mut self, section: &'static str, lines: &str) -> Self {
        self.sections.insert(section, format!("{lines}\n"));
        self
    }

    /// Adds an account, with further lines of TOML.
    pub fn account(mut self, account: &Account, lines: &str) -> Self {
        let Account { name, mode, token, aes_key, app_id } = account;
        let mode = mode.name();
        write!(self.accounts, "[[account]]\nname = {name:?}\nmode = {mode:?}\ntoken = {token:?}\n").unwrap();
        if mode != "plaintext" {
            write!(self.accounts, "aes_key = {aes_key:?}\napp_id = {app_id:?}\n").unwrap();
        }
        writeln!(self.accounts, "{lines}").unwrap();
        self
    }

    /// No accounts.
    pub fn without_accounts(mut self) -> Self {
        self.accounts.clear();
        self
    }

    /// The account that `with` describes, changed in place of the test account of its mode.
    pub fn replace_account(self, account: &Account, lines: &str) -> Self {
        let others = Mode::ALL.into_iter().filter(|mode| *mode != account.mode);
        others
            .fold(self.without_accounts().account(account, lines), |setup, mode| setup.account(&Account::of(mode), ""))
    }

    /// Where everything of this setup is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the spool is.
    pub fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    /// Writes the configuration and tells where.
    pub fn write(&self) -> PathBuf {
        let mut text = String::new();
        for (section, lines) in &self.sections {
            write!(text, "[{section}]\n{lines}\n").unwrap();
        }
        text += &self.accounts;
        let path = self.folder.path().join("cardhook.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `cardhook serve`, once it is ready.
    pub fn serve(&self) -> Service {
        let service = self.serve_unready();
        service.wait_ready();
        service
    }

    /// `cardhook serve`, once it listens.
    pub fn serve_unready(&self) -> Service {
        self.serve_with(|_| {})
    }

    /// `cardhook serve`, started as `prepare` makes it, once it listens.
    pub fn serve_with(&self, prepare: impl FnOnce(&mut Command)) -> Service {
        Service::start(&self.binary, &self.write(), prepare)
    }

    /// `cardhook serve` on a machine with faults, once it listens.
    pub fn serve_under(&self, faults: &Faults) -> Service {
        self.serve_with(|command| faults.apply_to(command))
    }
}

/// A command of cardhook that ends by itself.
pub fn run(args: &[&str]) -> Output {
    command(Path::new(BINARY)).args(args).stdin(Stdio::null()).output().unwrap()
}

fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    // Nothing of the machine's own settings may reach the tests.
    command.env_clear().env("RUST_BACKTRACE", "1");
    command
}

/// A running `cardhook serve`; killed when dropped.
pub struct Service {
    child: Child,
    log: Arc<Mutex<String>>,
    /// The listener that WeChat reaches.
    pub public: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
}

impl Service {
    fn start(binary: &Path, config: &Path, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = command(binary);
        prepare(&mut command);
        let mut child = command
            .args(["serve", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (listening, listens) = mpsc::channel();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, written) = (BufReader::new(child.stderr.take().unwrap()).lines(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let (Some(public), Some(admin)) = (address(&line, "public"), address(&line, "admin")) {
                    let _ = listening.send((public, admin));
                }
                let mut log = written.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let Ok((public, admin)) = listens.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            panic!("cardhook does not listen:\n{}", log.lock().unwrap());
        };
        Self { child, log, public, admin }
    }

    /// Waits for `/readyz`.
    pub fn wait_ready(&self) {
        eventually("/readyz answers 200", PATIENCE, || {
            get(self.admin, "/readyz").ok().filter(|answer| answer.status == 200)
        });
    }

    /// One page of the admin listener.
    pub fn admin(&self, target: &str) -> Answer {
        get(self.admin, target).unwrap()
    }

    /// The sum of a metric's series whose labels contain `labels`, whole numbers each; 0 when there is none.
    pub fn metric(&self, name: &str, labels: &str) -> u64 {
        let text = self.admin("/metrics").body;
        let series = text.lines().filter_map(|line| line.strip_prefix(name));
        let series = series.filter(|rest| rest.starts_with([' ', '{']) && rest.contains(labels));
        series.filter_map(|rest| rest.rsplit(' ').next()).map(|value| value.parse::<u64>().unwrap()).sum()
    }

    /// Waits until the spool holds no pending record.
    pub fn wait_drained(&self) {
        eventually("the spool drains", PATIENCE, || (self.metric("cardhook_spool_records", "") == 0).then_some(()));
    }

    /// Waits until Kafka counts as up or as away.
    pub fn wait_kafka(&self, up: bool) {
        let what = if up { "Kafka counts as up" } else { "Kafka counts as away" };
        eventually(what, PATIENCE, || (self.metric("cardhook_kafka_up", "") == u64::from(up)).then_some(()));
    }

    /// Waits until the log holds this: its lines are read a moment after they are written.
    pub fn wait_says(&self, text: &str) {
        eventually(&format!("the log says {text:?}"), PATIENCE, || self.log().contains(text).then_some(()));
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, SIGINT, …
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// SIGKILL, and waits for the end: a crash.
    pub fn crash(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end, at most `limit`.
    pub fn stop(mut self, limit: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(limit)
    }

    /// Waits for the process's end, at most `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        eventually("the process ends", limit, || self.child.try_wait().unwrap())
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("cardhook's log:\n{}", self.log());
        }
    }
}

/// The address that a line of the log gives for `key`, as text or as JSON.
fn address(line: &str, key: &str) -> Option<SocketAddr> {
    let (as_text, as_json) = (format!("{key}="), format!("\"{key}\":\""));
    let (_, rest) = line.split_once(&as_text).or_else(|| line.split_once(&as_json))?;
    rest.split([' ', '"']).next()?.parse().ok()
}
