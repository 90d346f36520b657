//! What the listener puts up with: sizes, slowness, and its own stop.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use super::{House, body, request, status, to_the_end};

#[test]
fn a_declared_body_over_the_limit_is_413_before_it_is_sent() {
    let house = House::open();
    let head = "POST /wechat/shop HTTP/1.1\r\nhost: test\r\ncontent-length: 65537\r\n\r\n";
    let answer = house.says(head);
    assert_eq!((status(&answer), body(&answer)), ("413", ""));
    assert!(house.metrics.text().contains("result=\"too_large\"} 1\n"));
}

#[test]
fn a_chunked_body_is_413_once_it_is_over_the_limit_and_the_rest_is_not_waited_for() {
    let house = House::open();
    let piece = "x".repeat(0x8001);
    let chunks = format!("8001\r\n{piece}\r\n8001\r\n{piece}\r\n");
    let head = "POST /wechat/shop HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = house.says(&format!("{head}{chunks}"));
    assert_eq!(status(&answer), "413");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[test]
fn a_head_not_whole_after_three_seconds_is_408() {
    let house = House::open();
    let began = Instant::now();
    let answer = house.says("POST /wechat/shop HTTP/1.1\r\nhost: te");
    assert_eq!((status(&answer), body(&answer)), ("408", ""));
    assert!((2_900..3_900).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[test]
fn a_head_that_trickles_is_408_all_the_same() {
    let house = House::open();
    let mut connection = TcpStream::connect(house.public).unwrap();
    let mut trickle = connection.try_clone().unwrap();
    let began = Instant::now();
    let trickling = std::thread::spawn(move || {
        for byte in b"POST /wechat/shop HTTP/1.1\r\n".iter().chain(b"x: ").chain(std::iter::repeat(&b'y')) {
            if trickle.write_all(&[*byte]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let answer = to_the_end(&mut connection);
    assert_eq!((status(&answer), body(&answer)), ("408", ""));
    assert!((2_900..3_900).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    drop(connection);
    trickling.join().unwrap();
}

#[test]
fn a_later_head_of_a_connection_is_408_too() {
    let house = House::open();
    let mut connection = TcpStream::connect(house.public).unwrap();
    connection.write_all(request("GET", "/nowhere", "", "").as_bytes()).unwrap();
    let mut first = [0; 12];
    connection.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 404");
    let began = Instant::now();
    connection.write_all(b"POST /wechat/shop HT").unwrap();
    let rest = to_the_end(&mut connection);
    assert!(rest.contains("HTTP/1.1 408 Request Timeout\r\n"), "{rest}");
    assert!((2_900..3_900).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[test]
fn a_body_not_whole_after_three_seconds_is_408_however_it_trickles() {
    let house = House::open();
    let head = "POST /wechat/shop HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n\r\n<xml>";
    let began = Instant::now();
    let mut connection = TcpStream::connect(house.public).unwrap();
    connection.write_all(head.as_bytes()).unwrap();
    let mut trickle = connection.try_clone().unwrap();
    let trickling = std::thread::spawn(move || {
        while trickle.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let answer = to_the_end(&mut connection);
    assert_eq!((status(&answer), body(&answer)), ("408", ""));
    assert!((2_900..4_900).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert!(house.metrics.text().contains("result=\"timeout\"} 1\n"));
    drop(connection);
    trickling.join().unwrap();
}

#[test]
fn an_idle_connection_between_two_requests_is_not_timed_out_as_a_head() {
    let house = House::open();
    let mut connection = TcpStream::connect(house.public).unwrap();
    for close in ["", "connection: close\r\n"] {
        connection.write_all(request("GET", "/nowhere", "", close).as_bytes()).unwrap();
        let mut first = [0; 12];
        connection.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 404");
        if close.is_empty() {
            // Longer than a head may take; the rest of the first answer is read on the way.
            connection.set_read_timeout(Some(Duration::from_millis(3_500))).unwrap();
            let mut rest = Vec::new();
            assert!(connection.read_to_end(&mut rest).is_err(), "closed: {rest:?}");
        }
    }
}

#[test]
fn a_connection_too_many_waits_until_another_one_closes() {
    let house = House::open();
    let open: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(house.public).unwrap()).collect();
    let mut waiting = TcpStream::connect(house.public).unwrap();
    waiting.write_all(request("GET", "/nowhere", "", "connection: close\r\n").as_bytes()).unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert!(waiting.read(&mut [0]).is_err(), "it is served beside twenty others");
    drop(open);
    assert_eq!(status(&to_the_end(&mut waiting)), "404");
}

#[test]
fn a_stop_refuses_connections_and_does_not_wait_for_idle_ones() {
    let mut house = House::open();
    let mut idle = TcpStream::connect(house.public).unwrap();
    idle.write_all(request("GET", "/nowhere", "", "").as_bytes()).unwrap();
    idle.read_exact(&mut [0; 12]).unwrap();
    let _partial = {
        let mut partial = TcpStream::connect(house.public).unwrap();
        partial.write_all(b"GET /").unwrap();
        partial
    };
    let began = Instant::now();
    house.stop();
    assert!(began.elapsed() < Duration::from_millis(2_500), "{:?}", began.elapsed());
    assert!(TcpStream::connect(house.public).is_err());
}

#[test]
fn a_client_that_does_not_read_is_not_read_from_and_is_dropped() {
    let house = House::open();
    let mut connection = TcpStream::connect(house.public).unwrap();
    connection.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let flood = request("GET", "/nowhere", "", "").repeat(1_000);
    let (began, mut sent) = (Instant::now(), 0);
    let end = loop {
        match connection.write(flood.as_bytes()) {
            Ok(written) => sent += written,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => break error.kind(),
        }
        assert!(sent < 64 << 20, "the server goes on reading");
        assert!(began.elapsed() < Duration::from_secs(15), "the server holds on");
    };
    assert!(matches!(end, std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe), "{end:?}");
}
