//! Requests that nobody means well: a right answer, bounded memory, and no push of anybody else's held up.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit, setrlimit};

use crate::support::{
    Lacks,
    cardhook::{Service, Setup},
    http::get,
    skip,
    wechat::{Account, Mode, Push, fixture},
};

const IDLE: usize = 10_000;
/// Per idle connection: its task and what actix keeps of its buffers, 21 KB measured.
const BYTES_EACH: u64 = 28 * 1024;

fn push() -> Push {
    Account::of(Mode::Secure).push(&fixture("user_get_card"))
}

/// Sends bytes and reads to the end: every status line that came.
fn statuses(service: &Service, bytes: &[u8]) -> Vec<String> {
    let mut stream = TcpStream::connect(service.public).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // A server that has refused already may close before all is sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    answer.split("HTTP/1.1 ").skip(1).map(|rest| rest[..3].to_owned()).collect()
}

fn post(push: &Push, headers: &str) -> Vec<u8> {
    let mut request = format!("POST {} HTTP/1.1\r\nHost: x\r\n{headers}\r\n", push.target).into_bytes();
    request.extend_from_slice(&push.body);
    request
}

fn resident(service: &Service) -> u64 {
    service.metric("process_resident_memory_bytes", "")
}

/// What systemd gives a service that says nothing of it.
fn with_few_files(command: &mut Command) {
    let cardhook = command.get_program().to_owned();
    *command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 1024; exec \"$0\" \"$@\""]).arg(cardhook).env_clear();
}

/// Open files that this process, and thereby the service, may have; as many as it may are taken.
fn files() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    maximum.unwrap_or(u64::MAX)
}

#[test]
fn a_burst_of_connections_waits_while_none_is_accepted() {
    let allowed: usize = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
    let burst = 1000.min(allowed);
    let service = Setup::without_brokers().serve();
    service.signal(Signal::STOP);
    let waiting: Vec<_> =
        (0..burst).map(|_| TcpStream::connect_timeout(&service.public, Duration::from_secs(5))).collect();
    service.signal(Signal::CONT);
    assert_eq!(waiting.iter().filter(|connection| connection.is_ok()).count(), burst);
}

#[test]
fn ten_thousand_idle_connections_hold_up_no_push_and_cost_little_memory() {
    let files = files();
    if files < IDLE as u64 + 1000 {
        let few = format!("this machine allows {files} open files, and ten thousand connections take more");
        return skip(Lacks::OfTheMachine(&few));
    }
    let service = Setup::without_brokers().serve_with(with_few_files);
    service.wait_ready();
    assert!(push().post(service.public).is_success());
    let before = resident(&service);
    let idle: Vec<TcpStream> = (0..IDLE).map(|_| kept_alive(&service)).collect();
    let answer = push().post(service.public);
    assert!(answer.is_success() && answer.took < Duration::from_secs(1), "{answer:?}");
    let (open, grown) = (service.metric("process_open_fds", ""), resident(&service).saturating_sub(before));
    println!("{open} open files, {before} bytes before, {grown} more; a push took {:?}", answer.took);
    assert!(open > IDLE as u64, "{open} open files");
    assert!(grown < IDLE as u64 * BYTES_EACH, "{grown} bytes for {IDLE} connections");
    drop(idle);
}

/// A connection that has had an answer: it is not timed out as a late head while the others are opened.
fn kept_alive(service: &Service) -> TcpStream {
    let mut stream = TcpStream::connect(service.public).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 404");
    stream
}

/// CPU time of the service so far, as the kernel counts it.
fn cpu_seconds(service: &Service) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", service.id())).unwrap();
    let behind_name = stat.rsplit_once(") ").unwrap().1;
    let ticks: u64 = behind_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    ticks / 100
}

#[test]
fn a_service_out_of_open_files_neither_spins_nor_goes_deaf() {
    let service = Setup::without_brokers().serve();
    assert!(push().post(service.public).is_success());
    let few = Some(service.metric("process_open_fds", "") + 20);
    prlimit(Pid::from_raw(service.id().cast_signed()), Resource::Nofile, Rlimit { current: few, maximum: few })
        .unwrap();
    let before = cpu_seconds(&service);
    // More than it can accept; those that wait in the kernel's queue are accepted as the first ones are timed out.
    let idle: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(service.public).unwrap()).collect();
    let began = Instant::now();
    let answer = push().post(service.public);
    assert!(answer.is_success(), "{answer:?}");
    assert!(began.elapsed() > Duration::from_secs(2), "it waited for a file: {answer:?}");
    service.wait_says("Error accepting connection");
    assert!(cpu_seconds(&service) - before < 2, "{} s of CPU", cpu_seconds(&service) - before);
    drop(idle);
    let answer = push().post(service.public);
    assert!(answer.is_success() && answer.took < Duration::from_secs(2), "{answer:?}");
}

#[test]
fn a_huge_head_is_refused_and_not_kept() {
    let service = Setup::without_brokers().serve();
    assert!(push().post(service.public).is_success());
    let before = resident(&service);
    let long = format!("X-Long: {}\r\n", "x".repeat(4 << 20));
    let many = "X-Many: x\r\n".repeat(100_000);
    for headers in [&long, &many].repeat(10) {
        let answers = statuses(&service, &post(&push(), headers));
        assert!(answers.iter().all(|status| status.starts_with('4')), "{answers:?}");
    }
    let grown = resident(&service).saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes for 50 MB of heads");
    assert!(push().post(service.public).is_success());
}

#[test]
fn fifty_pipelined_pushes_get_fifty_answers() {
    let service = Setup::without_brokers().serve();
    let last = |number| if number == 49 { "Connection: close\r\n" } else { "" };
    let requests = (0..50).map(|number| {
        let push = push();
        post(&push, &format!("{}Content-Length: {}\r\n", last(number), push.body.len()))
    });
    assert_eq!(statuses(&service, &requests.collect::<Vec<_>>().concat()), vec!["200"; 50]);
}

#[test]
fn a_request_of_two_lengths_is_400_and_what_it_hides_is_no_request() {
    let service = Setup::without_brokers().serve();
    let hidden = post(&push(), &format!("Content-Length: {}\r\n", push().body.len()));
    for headers in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: 4\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 0x4\r\n",
        "Content-Length: -4\r\n",
        "Content-Length: 4 4\r\n",
        "Content-Length: \r\n",
        "Content-Length: 18446744073709551620\r\n",
        "Content-Length : 4\r\n",
        "Content-Length\t: 4\r\n",
        "X: y\rContent-Length: 4\r\n",
        "X: y\0\r\nContent-Length: 4\r\n",
        "Content-Length: +4\r\n",
        "Content-Length: 4, 4\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length: 4\r\n Transfer-Encoding: chunked\r\n",
    ] {
        let smuggling = Push { body: [b"0\r\n\r\n", hidden.as_slice()].concat(), ..push() };
        assert_eq!(statuses(&service, &post(&smuggling, headers)), ["400"], "{headers}");
    }
    assert_eq!(service.metric("cardhook_callbacks_total", "accepted"), 0);
}

#[test]
fn a_chunk_that_is_none_is_400_and_what_follows_is_no_request() {
    let service = Setup::without_brokers().serve();
    let hidden = post(&push(), &format!("Content-Length: {}\r\n", push().body.len()));
    for chunk in [
        "0x4\r\nabcd\r\n0\r\n\r\n",
        "-4\r\nabcd\r\n0\r\n\r\n",
        "+4\r\nabcd\r\n0\r\n\r\n",
        "4\r\nabcdX0\r\n\r\n",
        "4 4\r\nabcd\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "g\r\n\r\n",
        "10000000000000004\r\nabcd\r\n0\r\n\r\n",
    ] {
        let smuggling = Push { body: [chunk.as_bytes(), &hidden].concat(), ..push() };
        assert_eq!(statuses(&service, &post(&smuggling, "Transfer-Encoding: chunked\r\n")), ["400"], "{chunk:?}");
    }
    assert_eq!(service.metric("cardhook_callbacks_total", "accepted"), 0);
}

#[test]
fn a_path_is_what_is_written_and_nothing_that_it_may_mean() {
    let service = Setup::without_brokers().serve();
    let query = push().target.split_once('?').unwrap().1.to_owned();
    for path in [
        "/wechat/x/../secure",
        "/wechat/./secure",
        "/wechat/secure/.",
        "//wechat/secure",
        "/wechat%2fsecure",
        "/wechat/%2e/secure",
        "/wechat/%2e%2e/wechat/secure",
        "/wechat/secure/",
        "/wechat/secure//",
        "/wechat/secur%65",
        "/WECHAT/SECURE",
        "wechat/secure",
        "*",
        "127.0.0.1:80",
        "/wechat/secure%00",
        "/wechat/secure;a=b",
        "/wechat\\secure",
        "/wechat/secure%3f",
        "/../metrics",
        "/metrics",
    ] {
        let answer = get(service.public, &format!("{path}?{query}&echostr=1")).unwrap();
        assert!([400, 404].contains(&answer.status), "{path}: {answer:?}");
        assert_eq!(answer.body, "", "{path}");
    }
}

#[test]
fn a_request_as_a_proxy_gets_it_is_the_same_request() {
    let service = Setup::without_brokers().serve();
    let push = push();
    let absolute = Push { target: format!("http://wechat.example:80{}", push.target), ..push };
    assert!(absolute.post(service.public).is_success());
    let elsewhere = Push { target: absolute.target.replace("/wechat/secure", "/wechat/nobody"), ..absolute };
    assert_eq!(elsewhere.post(service.public).status, 404);
}
