//! The README walked through, from the topics to the consumers, with its own commands in its own order.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use tempfile::TempDir;

use super::{
    super::support::{
        eventually,
        http::get,
        kafka::{Kafka, shared_broker},
        project,
    },
    SHOWN, deployed, metrics, read, shell_lines,
};

const CARDHOOK: &str = env!("CARGO_BIN_EXE_cardhook");
/// Long enough for a loaded machine that builds the example first.
const PATIENCE: Duration = Duration::from_mins(3);

#[test]
fn what_the_readme_shows_works_against_a_real_kafka() {
    let kafka = shared_broker();
    let mut walk = Walk::new(kafka);
    let readme = read("README.md");
    for line in shell_lines(&readme) {
        if line.starts_with("cardhook ") || line.starts_with("kcat ") {
            walk.step(&line);
        }
    }
    assert_eq!(walk.steps, ["topics", "check", "serve", "send", "kcat", "tail", "tail"]);

    let exposed = get(walk.admin, "/metrics").unwrap().body;
    let types: String = exposed.split_inclusive('\n').filter(|line| line.starts_with("# TYPE ")).collect();
    let mut exposed = metrics(&types);
    // They appear with the first error and the first handshake.
    exposed.insert("cardhook_publish_errors".to_owned());
    exposed.insert("cardhook_handshake_timestamp_seconds".to_owned());
    assert_eq!(exposed, metrics(&read("docs/metrics.md")));

    let broker = kafka.bootstrap();
    let mut python = Command::new(project("tests/consumers/venv/bin/python"));
    python.args(["-B", "-u"]).arg(project("tests/consumers/readme.py")).arg(&broker);
    assert!(first_line(&mut python).ends_with(" spring-poster"));
    let mut rust = Command::new(env!("CARGO"));
    rust.args(["run", "--quiet", "--locked", "--example", "consume", "--", &broker]);
    assert!(first_line(rust.current_dir(project("."))).ends_with(" \"spring-poster\""));
}

struct Walk {
    folder: TempDir,
    broker: String,
    public: SocketAddr,
    admin: SocketAddr,
    service: Option<Running>,
    steps: Vec<String>,
}

impl Walk {
    fn new(kafka: &Kafka) -> Self {
        let (folder, [public, admin]) = (deployed(&kafka.bootstrap()), free_addresses());
        Self { folder, broker: kafka.bootstrap(), public, admin, service: None, steps: Vec::new() }
    }

    /// Runs a line as it is shown, but for addresses.
    fn step(&mut self, line: &str) {
        let (program, rest) = line.split_once(' ').unwrap();
        let name = if program == "cardhook" { rest.split(' ').next().unwrap() } else { program };
        self.steps.push(name.to_owned());
        match name {
            "serve" => self.serve(line),
            // As the line's comment says: the test's broker is a single one.
            "topics" => drop(self.output(&format!("{line} --replication 1"))),
            "kcat" => {
                let records = self.output(line);
                assert!(records.contains("ce_type=com.qq.weixin.card.received.v1,"), "{records}");
                assert!(records.contains("\"outer_str\":\"spring-poster\""), "{records}");
            }
            "tail" => assert!(self.output(line).contains("spring-poster")),
            _ => drop(self.output(line)),
        }
    }

    fn serve(&mut self, line: &str) {
        self.service = Some(Running(self.shell(&format!("exec {line}")).stderr(Stdio::null()).spawn().unwrap()));
        eventually("cardhook is ready", PATIENCE, || {
            get(self.admin, "/readyz").ok().filter(|answer| answer.status == 200)
        });
    }

    fn output(&self, line: &str) -> String {
        let output = self.shell(line).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn shell(&self, line: &str) -> Command {
        let line = line.replace(SHOWN, &self.broker).replace("cardhook ", &format!("'{CARDHOOK}' "));
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).current_dir(self.folder.path()).stdin(Stdio::null());
        shell.env("CARDHOOK__SERVER__LISTEN", self.public.to_string());
        shell.env("CARDHOOK__ADMIN__LISTEN", self.admin.to_string());
        shell
    }
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first line that a program prints which does not end by itself.
fn first_line(command: &mut Command) -> String {
    let mut running = Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
    let output = BufReader::new(running.0.stdout.take().unwrap());
    let (printed, line) = mpsc::channel();
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| printed.send(line)));
    line.recv_timeout(PATIENCE).expect("it prints a line")
}

/// Addresses that nothing listens on, below the ports that the system gives to clients and the tests' brokers take:
/// `send` reads from the configuration where the service listens, so port 0 would not do.
fn free_addresses() -> [SocketAddr; 2] {
    let first = 10_000 + u16::try_from(std::process::id() % 9_000).unwrap();
    let free = (first..20_000).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let mut free = free.filter(|address| TcpListener::bind(address).is_ok());
    [free.next().unwrap(), free.next().unwrap()]
}
