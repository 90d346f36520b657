//! A real one-node Apache Kafka (`KRaft`) on loopback ports of its own, in a temporary folder.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Condvar, Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{project, secured::Secured};

/// How many brokers of their own the fault tests may have at a time: each takes about 360 MiB and a share of two cores.
static OWN_BROKERS: (Mutex<u32>, Condvar) = (Mutex::new(2), Condvar::new());

/// A broker: killed when dropped, and by its guard when the test process ends in any other way.
pub struct Kafka {
    folder: TempDir,
    ports: [u16; 2],
    secured: Option<Secured>,
    /// Whether the JVM compiles as little as tests want it to.
    short_lived: bool,
    running: Option<Running>,
    _permit: Option<Permit>,
}

struct Running {
    guard: Child,
    /// While this is open the guard lets the broker live.
    lifeline: Option<ChildStdin>,
    /// Reads what the broker prints, or it would stop when nobody does; ends when the broker does.
    output: Option<JoinHandle<()>>,
    pid: Pid,
}

struct Permit;

impl Permit {
    fn take() -> Self {
        let (free, freed) = &OWN_BROKERS;
        *freed.wait_while(free.lock().unwrap(), |free| *free == 0).unwrap() -= 1;
        Self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let (free, freed) = &OWN_BROKERS;
        *free.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += 1;
        freed.notify_one();
    }
}

/// The broker of all tests that do not harm it.
pub fn shared_broker() -> &'static Kafka {
    static SHARED: OnceLock<Kafka> = OnceLock::new();
    SHARED.get_or_init(|| {
        let mut kafka = Kafka::formatted(None, false);
        kafka.run();
        kafka
    })
}

impl Kafka {
    /// Formats and starts a broker of the test's own.
    pub fn start() -> Self {
        let mut kafka = Self::reserve();
        kafka.run();
        kafka
    }

    /// Formats a broker of the test's own and leaves it off: its address is known, nothing listens there.
    pub fn reserve() -> Self {
        Self::formatted(Some(Permit::take()), false)
    }

    /// As [`Self::start`], with the JVM's optimising compiler: for measurements, once it is warm.
    #[allow(dead_code, reason = "benches/load measures with it")]
    pub fn start_as_users_do() -> Self {
        let mut kafka = Self::reserve();
        kafka.short_lived = false;
        kafka.run();
        kafka
    }

    /// The running broker's process id.
    #[allow(dead_code, reason = "benches/load measures with it")]
    pub fn id(&self) -> u32 {
        self.running.as_ref().unwrap().pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// As [`shared_broker`], with a listener of TLS and SCRAM beside the plain one.
    pub fn start_secured() -> Self {
        let mut kafka = Self::formatted(None, true);
        kafka.run();
        kafka
    }

    /// A broker of the test's own that tells clients another host's name in place of its own address.
    pub fn start_advertising(host: &str) -> Self {
        let mut kafka = Self::reserve();
        let properties = kafka.properties().replace(
            &format!("advertised.listeners=PLAINTEXT://127.0.0.1:{}", kafka.ports[0]),
            &format!("advertised.listeners=PLAINTEXT://{host}:{}", kafka.ports[0]),
        );
        assert!(properties.contains(host), "{properties}");
        std::fs::write(kafka.file("server.properties"), properties).unwrap();
        kafka.run();
        kafka
    }

    fn formatted(permit: Option<Permit>, secured: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("cardhook-kafka").tempdir().unwrap();
        let secured = secured.then(|| Secured::new(folder.path(), free_port()));
        let ports = [free_port(), free_port()];
        let kafka = Self { folder, ports, secured, short_lived: true, running: None, _permit: permit };
        std::fs::write(kafka.file("server.properties"), kafka.properties()).unwrap();
        kafka.format("MkU3OEVBNTcwNTJENDM2Qk");
        kafka
    }

    fn format(&self, cluster_id: &str) {
        let users = self.secured.as_ref().map(|_| Secured::users()).unwrap_or_default();
        let mut args = vec!["kafka.tools.StorageTool", "format", "--standalone", "-t", cluster_id];
        args.extend(users.iter().map(String::as_str).chain(["-c"]));
        let output = self.java(&args).stdin(Stdio::null()).output().expect("java runs");
        assert!(output.status.success(), "formatting failed: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Another, empty cluster at the same address. The broker must be off.
    pub fn become_another_cluster(&self) {
        assert!(self.running.is_none(), "the broker runs");
        std::fs::remove_dir_all(self.file("data")).unwrap();
        self.format("NEwzOUZCNjgxNjNGNTQ3Qk");
    }

    /// `host:port`
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }

    /// The listener of [`Self::start_secured`].
    pub fn secured(&self) -> &Secured {
        self.secured.as_ref().expect("the broker has such a listener")
    }

    /// Starts the broker, first time or again, on the same ports and data, and waits until it says that it serves.
    pub fn run(&mut self) {
        assert!(self.running.is_none(), "the broker runs already");
        let java = self.java(&["kafka.Kafka"]);
        // The guard outlives a test process that is killed: its standard input then ends, and it ends the broker.
        let mut guard = Command::new("sh")
            .args(["-c", r#""$@" & echo $!; exec >&-; read -r _; kill -9 $!"#, "guard"])
            .arg(java.get_program())
            .args(java.get_args())
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lifeline = guard.stdin.take();
        let mut output = BufReader::new(guard.stdout.take().unwrap());
        let pid = Pid::from_raw(next_line(&mut output).unwrap().parse().unwrap()).unwrap();
        while let Some(line) = next_line(&mut output) {
            if line.contains("Kafka Server started") {
                let output = Some(std::thread::spawn(move || while next_line(&mut output).is_some() {}));
                self.running = Some(Running { guard, lifeline, output, pid });
                return;
            }
        }
        drop(lifeline);
        let _ = guard.wait();
        panic!("the broker ended before it served; was 127.0.0.1:{:?} taken?", self.ports);
    }

    /// SIGKILL: a crash.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// SIGTERM: an orderly stop.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// SIGSTOP: it keeps its connections and says nothing.
    pub fn suspend(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT after [`Self::suspend`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// A topic of a name of its own, which keeps records of any age.
    pub fn create_topic(&self, kind: &str, partitions: i32) -> String {
        self.create_topic_with(kind, partitions, &[])
    }

    /// The same, with further settings.
    pub fn create_topic_with(&self, kind: &str, partitions: i32, settings: &[(&str, &str)]) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("{kind}.{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.create_topic_named(&name, partitions, settings);
        name
    }

    /// A topic with further settings.
    pub fn create_topic_named(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
        let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let created = self.admin(async |admin, options| admin.create_topics([&topic], options).await);
        assert_eq!(created.unwrap(), [Ok(name.to_owned())]);
    }

    /// This setting in place of all that the topic was created with; it keeps records of any age.
    pub fn set_topic(&self, name: &str, setting: &str, value: &str) {
        let topic = AlterConfig::new(ResourceSpecifier::Topic(name)).set("retention.ms", "-1").set(setting, value);
        let altered = self.admin(async |admin, options| admin.alter_configs([&topic], options).await);
        altered.unwrap().into_iter().for_each(|altered| drop(altered.unwrap()));
    }

    pub fn delete_topic(&self, name: &str) {
        let deleted = self.admin(async |admin, options| admin.delete_topics(&[name], options).await);
        assert_eq!(deleted.unwrap(), [Ok(name.to_owned())]);
    }

    fn admin<T>(&self, asked: impl AsyncFnOnce(AdminClient<DefaultClientContext>, &AdminOptions) -> T) -> T {
        let admin = ClientConfig::new().set("bootstrap.servers", self.bootstrap()).create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(asked(admin, &options))
    }

    fn signal(&self, signal: Signal) {
        let running = self.running.as_ref().expect("the broker runs");
        kill_process(running.pid, signal).unwrap();
    }

    fn end(&mut self, signal: Signal) {
        self.signal(signal);
        let mut running = self.running.take().unwrap();
        running.output.take().unwrap().join().unwrap();
        drop(running);
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// `java … ARGS server.properties`
    fn java(&self, args: &[&str]) -> Command {
        let libs = project("tests/kafka/libs");
        assert!(libs.exists(), "Kafka's jars are missing: run tests/run.sh, which fetches them");
        let mut java = Command::new("java");
        // The optimising compiler would take a core for the first minutes, which is longer than any of these brokers lives.
        if self.short_lived {
            java.arg("-XX:TieredStopAtLevel=1");
        }
        java.args(["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC"])
            .arg(format!("-Dlog4j2.configurationFile={}", project("tests/kafka/log4j2.properties").display()))
            .arg("-cp")
            .arg(libs.join("*"))
            .args(args)
            .arg(self.file("server.properties"));
        java
    }

    fn properties(&self) -> String {
        let [broker, controller] = self.ports;
        let secured = self.secured.as_ref().map(|it| format!(",SASL_SSL://{}", it.bootstrap())).unwrap_or_default();
        let listeners = format!("PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}{secured}");
        let mut text = format!(
            "listeners={listeners}\nadvertised.listeners={listeners}\n\
             controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
             log.dirs={}\n",
            self.file("data").display()
        );
        for (key, value) in [
            ("process.roles", "broker,controller"),
            ("node.id", "1"),
            ("controller.listener.names", "CONTROLLER"),
            ("inter.broker.listener.name", "PLAINTEXT"),
            ("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL"),
            ("auto.create.topics.enable", "false"),
            ("offsets.topic.num.partitions", "1"),
            ("offsets.topic.replication.factor", "1"),
            ("transaction.state.log.replication.factor", "1"),
            ("transaction.state.log.min.isr", "1"),
            ("share.coordinator.state.topic.replication.factor", "1"),
            ("share.coordinator.state.topic.min.isr", "1"),
            ("group.initial.rebalance.delay.ms", "0"),
            // A test waits for compaction: it looks for work every 15 s otherwise.
            ("log.cleaner.backoff.ms", "200"),
        ] {
            writeln!(text, "{key}={value}").unwrap();
        }
        text + &self.secured.as_ref().map(Secured::properties).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.guard.wait();
    }
}

fn next_line(output: &mut BufReader<ChildStdout>) -> Option<String> {
    let mut line = String::new();
    (output.read_line(&mut line).unwrap() > 0).then(|| line.trim_end().to_owned())
}

/// A port that nothing listens on, below those that the system gives to clients: while the broker is off, no connection
/// (least of all cardhook's own attempt to reach it) may sit on its port.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = (std::process::id() + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let port = 20_000 + u16::try_from(number).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            break port;
        }
    }
}
