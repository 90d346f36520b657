//! The event stream: live, bounded, closed at a stop.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::post;
use crate::support::{cardhook::Setup, eventually, wechat::fixture};

const LIMIT: Duration = Duration::from_secs(20);

/// An open stream, read line by line.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(admin: SocketAddr) -> Self {
        let mut tcp = TcpStream::connect(admin).unwrap();
        tcp.set_read_timeout(Some(LIMIT)).unwrap();
        write!(tcp, "GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
        Self(BufReader::new(tcp))
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.0.read_line(&mut line).unwrap_or(0) > 0).then(|| line.trim_end().to_owned())
    }

    /// The first line that begins so.
    fn wait(&mut self, beginning: &str) -> String {
        let until = Instant::now() + LIMIT;
        while Instant::now() < until {
            match self.line() {
                Some(line) if line.starts_with(beginning) => return line,
                Some(_) => {}
                None => break,
            }
        }
        panic!("no line begins with {beginning}");
    }

    fn status(&mut self) -> String {
        self.wait("HTTP/1.1 ")
    }
}

#[test]
fn a_stream_ticks_and_tells_of_a_push() {
    let service = Setup::without_brokers().serve();
    let mut stream = Stream::open(service.admin);
    assert!(stream.status().contains(" 200 "));
    assert_eq!(stream.wait("x-accel-buffering"), "x-accel-buffering: no");
    stream.wait("retry: 3000");
    stream.wait("id: ");
    stream.wait("event: tick");
    let tick: serde_json::Value = serde_json::from_str(&stream.wait("data: ")["data: ".len()..]).unwrap();
    assert!(tick["figures"]["waiting"].is_u64() && tick["point"]["t"][0].is_i64(), "{tick}");
    post(&service, &fixture("user_get_card"));
    stream.wait("event: event");
    let new: serde_json::Value = serde_json::from_str(&stream.wait("data: ")["data: ".len()..]).unwrap();
    assert_eq!((&new["events"][0]["event_type"], &new["omitted"]), (&"card.received".into(), &0.into()));
}

#[test]
fn the_33rd_stream_is_told_to_wait_until_one_has_left() {
    let service = Setup::without_brokers().serve();
    let mut open: Vec<Stream> = (0..32).map(|_| Stream::open(service.admin)).collect();
    for stream in &mut open {
        assert!(stream.status().contains(" 200 "));
    }
    assert_eq!(service.metric("cardhook_console_clients", ""), 32);
    let refused = service.admin("/api/v1/stream");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    drop(open.pop());
    eventually("room for another", LIMIT, || Stream::open(service.admin).status().contains(" 200 ").then_some(()));
}

#[test]
fn a_reader_that_sleeps_is_closed_and_holds_up_nobody() {
    let service = Setup::without_brokers().serve();
    let asleep = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    // Before the connection: the window that it announces depends on it.
    rustix::net::sockopt::set_socket_recv_buffer_size(&asleep, 2048).unwrap();
    rustix::net::connect(&asleep, &service.admin).unwrap();
    let mut sleeper = TcpStream::from(asleep);
    write!(sleeper, "GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    let mut awake = Stream::open(service.admin);
    assert!(awake.status().contains(" 200 "));
    eventually("both", LIMIT, || (service.metric("cardhook_console_clients", "") == 2).then_some(()));
    let closed = Instant::now() + Duration::from_mins(2);
    let mut number = 0;
    let long = "𝕬".repeat(120);
    while service.metric("cardhook_console_clients", "") == 2 {
        assert!(Instant::now() < closed, "the sleeping reader is open after {number} pushes");
        let xml =
            crate::support::wechat::claim("oInventedSleeper0000000000001", &format!("{number:012}"), 1_767_225_600);
        post(&service, &xml.replace("CDATA[harness]", &format!("CDATA[{long}]")));
        awake.wait("event: ");
        number += 1;
    }
    awake.wait("event: tick");
}

#[test]
fn a_stop_says_bye_and_is_not_held_up_by_viewers() {
    let mut service = Setup::without_brokers().serve();
    let mut streams: Vec<Stream> = (0..8).map(|_| Stream::open(service.admin)).collect();
    for stream in &mut streams {
        stream.wait("event: tick");
    }
    let begun = Instant::now();
    service.signal(Signal::TERM);
    for stream in &mut streams {
        stream.wait("event: bye");
    }
    assert!(service.wait(Duration::from_secs(10)).success(), "{}", service.log());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
