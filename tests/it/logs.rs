//! Log lines: JSON that reads, with the fields that `docs/telemetry.md` lists, and no others.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{
    cardhook::Setup,
    eventually,
    http::get,
    project,
    wechat::{Account, Mode, fixture},
};

/// On every line.
const ALWAYS: [&str; 4] = ["timestamp", "level", "target", "message"];

/// The fields of the table of the page.
fn documented() -> BTreeSet<String> {
    let page = std::fs::read_to_string(project("docs/telemetry.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

/// The fields of each `tracing::…!(…)` of the code, and where they are.
fn of_the_code(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            of_the_code(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let code = std::fs::read_to_string(&path).unwrap();
            for level in ["error", "warn", "info", "debug", "trace"] {
                for line in code.split(&format!("tracing::{level}!(")).skip(1) {
                    for field in fields(line) {
                        found.insert(field, path.display().to_string());
                    }
                }
            }
        }
    }
}

/// The names of the fields before the message of a macro's arguments.
fn fields(arguments: &str) -> Vec<String> {
    let (mut fields, mut argument, mut depth, mut quoted) = (Vec::new(), String::new(), 0, false);
    for letter in arguments.chars() {
        match letter {
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted && depth > 0 => depth -= 1,
            ',' | ')' if !quoted && depth == 0 => {
                let written = argument.trim().to_owned();
                argument.clear();
                if written.starts_with('"') {
                    return fields;
                }
                let name = written.split(" = ").next().unwrap().trim_start_matches(['%', '?']);
                if !written.starts_with("target:") {
                    fields.push(name.to_owned());
                }
                continue;
            }
            _ => {}
        }
        argument.push(letter);
    }
    panic!("no message: {arguments:.80}");
}

#[test]
fn the_page_lists_every_field_of_the_code_and_no_other() {
    let mut found = BTreeMap::new();
    of_the_code(&project("src"), &mut found);
    let found: BTreeSet<_> = found.into_keys().chain(ALWAYS.map(str::to_owned)).collect();
    assert_eq!(found, documented());
}

#[test]
fn each_line_is_one_json_object_with_the_fields_of_the_page() {
    let service = Setup::without_brokers().set("log", "format = \"json\"\nlevel = \"trace\"").serve();
    let public = service.public;
    assert!(Account::of(Mode::Secure).post(public, &fixture("user_get_card")).is_success());
    assert!(Account::of(Mode::Secure).post(public, "no XML").is_success());
    assert_eq!(get(public, "/wechat/secure?signature=x&timestamp=1&nonce=2&echostr=3").unwrap().status, 403);
    assert_eq!(get(public, "/wechat/secure/").unwrap().status, 404);
    let expected = ["account", "cause", "found", "cure", "reason", "configured", "result"];
    let seen = eventually("each field is seen", Duration::from_secs(10), || {
        let seen = seen(&service.log());
        ALWAYS.into_iter().chain(expected).all(|field| seen.contains(field)).then_some(seen)
    });
    let documented = documented();
    let unknown: Vec<_> = seen.difference(&documented).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// What reads the log may hang: a container's log driver, a pager, a stopped terminal.
#[test]
fn a_log_that_nobody_reads_holds_up_no_push() {
    let setup = Setup::without_brokers();
    let (unread, log) = io::pipe().unwrap();
    let public = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let setup = setup.reset("server", &format!("listen = \"{public}\""));
    let mut service = Command::new(env!("CARGO_BIN_EXE_cardhook"));
    service.env_clear().args(["serve", "--config"]).arg(setup.write()).stderr(log.try_clone().unwrap());
    let service = Ended(service.spawn().unwrap());
    eventually("it listens", Duration::from_mins(1), || TcpStream::connect(public).ok());
    fill(log);

    // More refusals than there are threads that answer, each with a line: two accounts, and paths near to theirs.
    for _ in 0..2 {
        for path in ["/wechat/secure", "/wechat/plaintext", "/wechat/secure/", "/wechat/plaintext/"] {
            let query = "signature=x&timestamp=1&nonce=2&echostr=3";
            assert!([403, 404].contains(&get(public, &format!("{path}?{query}")).unwrap().status), "{path}");
        }
    }
    let asked = Instant::now();
    assert!(Account::of(Mode::Secure).post(public, &fixture("user_get_card")).is_success());
    assert!(asked.elapsed() < Duration::from_secs(4));
    drop((service, unread));
}

/// Writes into a pipe until it takes no more.
fn fill(mut pipe: io::PipeWriter) {
    rustix::io::ioctl_fionbio(&pipe, true).unwrap();
    for size in [4096, 1] {
        while pipe.write(&vec![b'x'; size]).is_ok() {}
    }
    // The description is the service's too, and it finds a pipe that waits, as it is started with.
    rustix::io::ioctl_fionbio(&pipe, false).unwrap();
}

/// A process that ends with its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The fields of cardhook's own lines: libraries' have their own.
fn seen(log: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        if line["target"].as_str().unwrap().starts_with("cardhook") {
            seen.extend(line.as_object().unwrap().keys().cloned());
        }
    }
    seen
}
