//! `cardhook tail` where the topic's end is no record, on a terminal, and what it prints of events.

use std::{
    io::{Read as _, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use crate::support::{cardhook::run, consume::records, eventually, kafka::shared_broker};

const PATIENCE: Duration = Duration::from_mins(1);

fn event(id: u32, event_type: &str) -> String {
    format!(
        r#"{{"event_id":"e{id}","event_type":"{event_type}","event_time":"2026-08-30T10:24:02Z","event_time_ms":1788085442000,
            "openid":"oUser{id:020}","card_id":"p1","code":"{id:012}","outer_str":"poster"}}"#
    )
}

fn producer(settings: &[(&str, &str)]) -> BaseProducer {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", shared_broker().bootstrap());
    for (name, value) in settings {
        client.set(*name, *value);
    }
    client.create().unwrap()
}

fn put(producer: &BaseProducer, topic: &str, key: &str, value: &str) {
    producer.send(BaseRecord::to(topic).key(key).payload(value)).map_err(|(error, _)| error).unwrap();
}

/// The ids that `tail --until-end` prints of a whole topic.
fn ids(topic: &str) -> Vec<String> {
    let output = run(&tail(topic, &["--until-end", "--json"]));
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events.map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
}

fn tail<'a>(topic: &'a str, flags: &[&'a str]) -> Vec<&'a str> {
    static BROKER: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let broker = BROKER.get_or_init(|| shared_broker().bootstrap());
    [&["tail", "--brokers", broker, "--topic", topic, "--from-beginning"], flags].concat()
}

#[test]
fn until_end_stops_where_a_partition_ends_with_a_transactions_marker_or_an_aborted_transaction() {
    let kafka = shared_broker();
    let [committed, aborted] = ["committed", "aborted"].map(|name| kafka.create_topic(name, 2));
    let producer = producer(&[("transactional.id", "tail-test")]);
    producer.init_transactions(PATIENCE).unwrap();
    for topic in [&committed, &aborted] {
        producer.begin_transaction().unwrap();
        (0..20).for_each(|id| put(&producer, topic, &id.to_string(), &event(id, "card.viewed")));
        producer.commit_transaction(PATIENCE).unwrap();
    }
    producer.begin_transaction().unwrap();
    (20..40).for_each(|id| put(&producer, &aborted, &id.to_string(), &event(id, "card.viewed")));
    producer.flush(PATIENCE).unwrap();
    producer.abort_transaction(PATIENCE).unwrap();
    for topic in [&committed, &aborted] {
        assert_eq!(ids(topic).len(), 20, "{topic}");
    }
}

#[test]
fn until_end_reads_what_compaction_left() {
    let kafka = shared_broker();
    let settings = [("cleanup.policy", "compact"), ("segment.ms", "100"), ("min.cleanable.dirty.ratio", "0.001")];
    let topic = kafka.create_topic_with("compacted", 1, &settings);
    let producer = producer(&[]);
    for id in 0..50 {
        put(&producer, &topic, "one key", &event(id, "card.viewed"));
        producer.flush(PATIENCE).unwrap();
    }
    eventually("compaction takes the older records", PATIENCE, || {
        // A segment is closed by the first record that comes after its time.
        put(&producer, &topic, "one key", &event(50, "card.viewed"));
        producer.flush(PATIENCE).unwrap();
        (records(kafka, &topic).len() < 40).then_some(())
    });
    let left = ids(&topic);
    assert!(left.len() < 40 && left.last().map(String::as_str) == Some("e50"), "{left:?}");
}

/// A command on a terminal of its own, by script(1).
struct Terminal {
    child: Child,
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    fn start(arguments: &[&str], redirect: &str) -> Self {
        // Without exec a dash in between also gets the Ctrl-C, and ends with 130 whatever the command does.
        let line = format!("exec {} {}{redirect}", env!("CARGO_BIN_EXE_cardhook"), arguments.join(" "));
        let mut child = Command::new("script")
            .args(["-qefc", &line, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script runs");
        let (mut output, screen) = (child.stdout.take().unwrap(), Arc::default());
        let written: Arc<Mutex<String>> = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut piece) {
                written.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..length]));
            }
        });
        Self { child, screen }
    }

    fn wait_for(&self, text: &str) {
        eventually(text, PATIENCE, || self.screen.lock().unwrap().contains(text).then_some(()));
    }

    /// Ctrl-C.
    fn interrupt(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    }

    fn ends_well(mut self) -> String {
        let status = eventually("the command ends", PATIENCE, || self.child.try_wait().unwrap());
        let screen = self.screen.lock().unwrap().clone();
        assert!(status.success(), "{status}: {screen}");
        screen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn a_topic_of(count: u32) -> String {
    let topic = shared_broker().create_topic("terminal", 1);
    let producer = producer(&[("queue.buffering.max.messages", "1000000")]);
    for id in 0..count {
        put(&producer, &topic, &id.to_string(), &event(id, "card.received"));
    }
    put(&producer, &topic, "0", &event(count, "card.consumed").replace(&format!("{count:012}"), &format!("{:012}", 0)));
    producer.flush(PATIENCE).unwrap();
    topic
}

#[test]
fn on_a_terminal_the_type_is_in_colour_and_in_a_file_it_is_not() {
    let topic = a_topic_of(1);
    let screen = Terminal::start(&tail(&topic, &["--until-end"]), "").ends_well();
    assert!(screen.contains("\x1b[36mcard.received         \x1b[0m openid="), "{screen:?}");
    assert!(screen.contains("\x1b[32mcard.consumed"), "{screen:?}");
    let output = run(&tail(&topic, &["--until-end"]));
    assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b), "{output:?}");
}

#[test]
fn on_a_terminal_the_funnel_is_drawn_again_while_it_follows_and_is_whole_at_the_end() {
    let topic = a_topic_of(3);
    let mut terminal = Terminal::start(&tail(&topic, &["--funnel"]), "");
    terminal.wait_for("\x1b[H\x1b[J  received");
    terminal.wait_for("        3");
    put_one_more(&topic);
    terminal.wait_for("        4");
    terminal.interrupt();
    let screen = terminal.ends_well();
    let last = screen.rsplit("  received").next().unwrap();
    assert!(last.contains("        4") && last.contains("poster"), "{screen:?}");
}

fn put_one_more(topic: &str) {
    let producer = producer(&[]);
    put(&producer, topic, "one more", &event(77, "card.received"));
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn a_progress_bar_stands_on_the_terminal_while_the_output_goes_to_a_file() {
    let topic = a_topic_of(100_000);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let redirect = format!(" >{}", file.display());
    let screen = Terminal::start(&tail(&topic, &["--until-end", "--json"]), &redirect).ends_well();
    assert!(screen.contains("/100,001 records, "), "{screen:?}");
    assert_eq!(lines(&file), 100_001);
    // Events and a bar on one screen would be unreadable.
    let small = a_topic_of(1);
    let screen = Terminal::start(&tail(&small, &["--until-end"]), "").ends_well();
    assert!(!screen.contains("records, "), "{screen:?}");
}

fn lines(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap().lines().count()
}
