//! Three real Kafka brokers (`KRaft`, broker and controller in one JVM each) behind one proxy each.
//!
//! Brokers talk to each other past the proxies, so that a slow or cut connection is cardhook's alone.

use std::{
    fmt::Write as _,
    fs::File,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{
    checker::Record,
    proxy::Proxy,
    support::{eventually, project},
};

pub struct Cluster {
    brokers: Vec<Broker>,
}

/// One of the three.
struct Broker {
    folder: PathBuf,
    proxy: Proxy,
    proxied: SocketAddr,
    child: Mutex<Child>,
}

impl Cluster {
    /// Formats and starts the three, and waits until they serve.
    pub fn start(folder: &Path) -> Self {
        let ports: Vec<[u16; 3]> = (0..3).map(|_| [free_port(), free_port(), free_port()]).collect();
        let voters: Vec<String> =
            ports.iter().enumerate().map(|(node, ports)| format!("{}@127.0.0.1:{}", node + 1, ports[2])).collect();
        let voters = voters.join(",");
        let brokers = ports.iter().enumerate().map(|(node, ports)| {
            let folder = folder.join(format!("broker{node}"));
            std::fs::create_dir_all(&folder).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let proxied = listener.local_addr().unwrap();
            let proxy = Proxy::start(listener, SocketAddr::from(([127, 0, 0, 1], ports[0])));
            let properties = properties(node + 1, *ports, proxied.port(), &voters, &folder);
            std::fs::write(folder.join("server.properties"), properties).unwrap();
            let format = ["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c"];
            let formatted = java(&folder, &format).status().expect("java runs");
            assert!(formatted.success(), "formatting failed: see {}", folder.display());
            let child = Mutex::new(java(&folder, &["kafka.Kafka"]).spawn().unwrap());
            Broker { folder, proxy, proxied, child }
        });
        let cluster = Self { brokers: brokers.collect() };
        for broker in &cluster.brokers {
            eventually("a broker serves", Duration::from_mins(2), || {
                std::fs::read_to_string(broker.folder.join("output"))
                    .ok()?
                    .contains("Kafka Server started")
                    .then_some(())
            });
        }
        cluster
    }

    /// The proxies' addresses.
    pub fn bootstrap(&self) -> Vec<String> {
        self.brokers.iter().map(|broker| broker.proxied.to_string()).collect()
    }

    /// A topic on all three of which two must have each record; it keeps records of any age and shows when they came.
    pub fn create_topic(&self, name: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", self.bootstrap().join(",")).create().unwrap();
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(3))
            .set("retention.ms", "-1")
            .set("min.insync.replicas", "2")
            .set("message.timestamp.type", "LogAppendTime");
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(admin.create_topics([&topic], &options)).unwrap().remove(0).unwrap();
    }

    /// Sends a signal to one broker; one that ends is waited for.
    pub fn signal(&self, broker: usize, signal: Signal) {
        let mut child = self.brokers[broker].child.lock().unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        if signal == Signal::KILL || signal == Signal::TERM {
            child.wait().unwrap();
        }
    }

    /// Starts a broker again that has ended.
    pub fn restart(&self, broker: usize) {
        let broker = &self.brokers[broker];
        *broker.child.lock().unwrap() = java(&broker.folder, &["kafka.Kafka"]).spawn().unwrap();
    }

    /// The connections of cardhook to one broker.
    pub fn proxy(&self, broker: usize) -> &Proxy {
        &self.brokers[broker].proxy
    }

    /// Whether every partition has a leader and all three replicas are in sync.
    pub fn is_whole(&self) -> bool {
        let listed = self.kcat(&["-L", "-J", "-m", "1"]);
        let listed: Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
        let Some(topics) = listed["topics"].as_array() else { return false };
        let partitions = topics.iter().flat_map(|topic| topic["partitions"].as_array().into_iter().flatten());
        let mut in_sync = partitions.map(|partition| partition["isrs"].as_array().map_or(0, Vec::len)).peekable();
        in_sync.peek().is_some() && in_sync.all(|replicas| replicas == 3)
    }

    /// Everything on a topic, read by Debian's kcat: each line's partition, offset, time, key and value.
    pub fn read(&self, topic: &str) -> Vec<Record> {
        let output = self.kcat(&["-C", "-e", "-q", "-J", "-o", "beginning", "-X", "check.crcs=true", "-t", topic]);
        assert!(output.status.success(), "kcat: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(record).collect()
    }

    fn kcat(&self, args: &[&str]) -> Output {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", &self.bootstrap().join(",")]).args(args).stdin(Stdio::null());
        kcat.output().expect("kcat runs")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for broker in &self.brokers {
            let mut child = broker.child.lock().unwrap();
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn record(line: &str) -> Record {
    let line: Value = serde_json::from_str(line).unwrap();
    let value: Value = serde_json::from_str(line["payload"].as_str().unwrap()).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Record {
        partition: line["partition"].as_i64().unwrap(),
        offset: line["offset"].as_i64().unwrap(),
        appended: line["ts"].as_i64().unwrap(),
        key: text(&line["key"]),
        id: text(&value["event_id"]),
        code: text(&value["code"]),
    }
}

/// `java … ARGS server.properties`, its output beside it.
fn java(folder: &Path, args: &[&str]) -> Command {
    let libs = project("tests/kafka/libs");
    assert!(libs.exists(), "Kafka's jars are missing: run tests/run.sh, which fetches them");
    let output = File::options().create(true).append(true).open(folder.join("output")).unwrap();
    let mut java = Command::new("java");
    // As in tests/it/support/kafka.rs: the optimising compiler would take a core for the first minutes.
    java.args(["-Xms128m", "-Xmx288m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        .arg(format!("-Dlog4j2.configurationFile={}", project("tests/kafka/log4j2.properties").display()))
        .arg("-cp")
        .arg(libs.join("*"))
        .args(args)
        .arg(folder.join("server.properties"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(output.try_clone().unwrap())
        .stdout(output);
    java
}

fn properties(node: usize, ports: [u16; 3], proxied: u16, voters: &str, folder: &Path) -> String {
    let [clients, brokers, controllers] = ports;
    let mut text = format!(
        "node.id={node}\n\
         listeners=CLIENTS://127.0.0.1:{clients},BROKERS://127.0.0.1:{brokers},CONTROLLER://127.0.0.1:{controllers}\n\
         advertised.listeners=CLIENTS://127.0.0.1:{proxied},BROKERS://127.0.0.1:{brokers}\n\
         controller.quorum.voters={voters}\n\
         log.dirs={}\n",
        folder.join("data").display()
    );
    for (key, value) in [
        ("process.roles", "broker,controller"),
        ("controller.listener.names", "CONTROLLER"),
        ("inter.broker.listener.name", "BROKERS"),
        ("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,CLIENTS:PLAINTEXT,BROKERS:PLAINTEXT"),
        ("auto.create.topics.enable", "false"),
        ("offsets.topic.num.partitions", "1"),
        ("offsets.topic.replication.factor", "3"),
        ("transaction.state.log.replication.factor", "3"),
        ("transaction.state.log.min.isr", "2"),
        ("share.coordinator.state.topic.replication.factor", "3"),
        ("share.coordinator.state.topic.min.isr", "2"),
        // A broker that hangs is left behind within seconds, or a short plan would see little else.
        ("replica.lag.time.max.ms", "4000"),
        ("broker.session.timeout.ms", "5000"),
        ("broker.heartbeat.interval.ms", "1000"),
    ] {
        writeln!(text, "{key}={value}").unwrap();
    }
    text
}

/// A port that nothing listens on, below those that the system gives to clients.
pub fn free_port() -> u16 {
    // Two runs beside each other begin at different places; by the process's id they would not, each in a namespace of its own.
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(RandomState::new().build_hasher().finish()));
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % 5000;
        let port = 15_000 + u16::try_from(number).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
