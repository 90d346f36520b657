//! The service under test: the real binary on a fixed address, killed, stopped and started again; its log kept with times.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    checker::{Interruption, Window},
    cluster::free_port,
    now,
    support::{
        eventually,
        faults::Faults,
        http::get,
        wechat::{Account, Mode},
    },
};

/// Log lines after which records that were in flight may be sent again (contract §3.1).
const PRODUCER_FAILED: &str = "trying again with a new producer";
const FLUSH_FAILED: &str = "the flush ran out of time";
/// Between these two no answer waits for Kafka.
const AWAY: &str = "Kafka counts as away";
const BACK: &str = "Kafka acknowledges again";
const TOPIC: &str = "topic=events";
/// A stop takes less than this, whatever the broker does (docs/delivery.md).
const STOPS_WITHIN: Duration = Duration::from_secs(10);

pub struct Cardhook {
    config: PathBuf,
    log: Arc<Mutex<Log>>,
    pub public: SocketAddr,
    admin: SocketAddr,
    child: Option<Child>,
    /// What goes wrong with its machine.
    pub faults: Faults,
    /// From the signal that ended it until it was ready again.
    pub down: Vec<Window>,
}

/// Its lines go to a file; what the judge has to know of them stays here.
struct Log {
    file: File,
    /// When producers ended with records in flight.
    endings: Vec<i64>,
    /// When Kafka counted as away; the last may be open.
    away: Vec<Window>,
}

impl Log {
    fn line(&mut self, line: &str) {
        let at = now();
        writeln!(self.file, "{at} {line}").unwrap();
        if line.contains(PRODUCER_FAILED) || line.contains(FLUSH_FAILED) {
            self.endings.push(at);
        }
        if !line.contains(TOPIC) {
            return;
        }
        if line.contains(AWAY) {
            self.away.push(Window(at, i64::MAX));
        } else if line.contains(BACK) {
            self.close(at);
        }
    }

    /// Kafka is back, or nothing of this process is left that could miss it.
    fn close(&mut self, at: i64) {
        if let Some(Window(_, to)) = self.away.last_mut() {
            *to = at.min(*to);
        }
    }
}

impl Cardhook {
    /// Writes the configuration and starts it.
    pub fn start(folder: &Path, spool: &Path, brokers: &[String]) -> Self {
        let [public, admin] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let Account { name, mode, token, aes_key, app_id } = Account::of(Mode::Secure);
        let mode = mode.name();
        let text = format!(
            "[server]\nlisten = \"{public}\"\n[admin]\nlisten = \"{admin}\"\n\
             [[account]]\nname = {name:?}\nmode = {mode:?}\ntoken = {token:?}\naes_key = {aes_key:?}\napp_id = {app_id:?}\n\
             [kafka]\nbrokers = {brokers:?}\ntopic = \"events\"\ndlq_topic = \"dlq\"\nother_topic = \"other\"\n\
             [spool]\npath = {:?}\n",
            spool.display().to_string()
        );
        let config = folder.join("cardhook.toml");
        std::fs::write(&config, text).unwrap();
        let file = File::create(folder.join("cardhook.log")).unwrap();
        let log = Arc::new(Mutex::new(Log { file, endings: Vec::new(), away: Vec::new() }));
        let faults = Faults::new(folder);
        faults.lose_pages();
        let mut cardhook = Self { config, log, public, admin, child: None, faults, down: Vec::new() };
        cardhook.spawn();
        cardhook
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let at = now();
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        self.log.lock().unwrap().endings.push(at);
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let ended = eventually("cardhook stops", STOPS_WITHIN, || child.try_wait().unwrap());
        assert!(ended.success(), "cardhook stopped with {ended}");
    }

    /// Starts it again after [`Self::kill`] or [`Self::stop`], which happened at `since`.
    pub fn restart(&mut self, since: i64) {
        self.spawn();
        self.down.push(Window(since, now()));
    }

    /// Each kill, and what the log says of producers that ended with records in flight.
    pub fn interruptions(&self) -> Vec<Interruption> {
        let log = self.log.lock().unwrap();
        log.endings.iter().map(|at| Interruption::new(*at, &log.away)).collect()
    }

    /// A metric without labels.
    pub fn metric(&self, name: &str) -> Option<u64> {
        let text = get(self.admin, "/metrics").ok()?.body;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    fn spawn(&mut self) {
        let binary =
            std::env::var_os("CARDHOOK_BIN").map_or_else(|| env!("CARGO_BIN_EXE_cardhook").into(), PathBuf::from);
        let mut command = Command::new(binary);
        command.env_clear();
        self.faults.apply_to(&mut command);
        let mut child = command
            .args(["serve", "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::clone(&self.log);
        log.lock().unwrap().close(now());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                log.lock().unwrap().line(&line);
            }
        });
        self.child = Some(child);
        eventually("cardhook is ready", Duration::from_mins(1), || {
            get(self.admin, "/readyz").ok().filter(|answer| answer.status == 200)
        });
    }
}

impl Drop for Cardhook {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
