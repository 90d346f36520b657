//! Applications that are away, hang, fail or close connections, and what card events see of it.

use std::{
    net::{SocketAddr, TcpListener},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use rustix::process::Signal;

use super::*;
use crate::support::{faults::Faults, wechat::claim};

/// The contract's limit, and what a loaded machine adds.
const ANSWERED: Duration = Duration::from_millis(4500);

/// An address where nobody listens.
fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn away_hanging_and_failing_are_502_or_504_or_success_as_configured_within_four_seconds() {
    let failing = Application::start(|_| Reply::Bytes(reply("503 Busy", "text/html", b"oh")));
    let hanging = Application::start(|_| Reply::Hang);
    let dying = Application::start(|_| Reply::Last(Vec::new()));
    for (url, result, status) in [
        (format!("http://{}/", nowhere()), "refused", 502),
        ("http://no-such-name.invalid/".to_owned(), "refused", 502),
        (dying.url(), "refused", 502),
        (failing.url(), "error_status", 502),
        (hanging.url(), "late", 504),
    ] {
        for (more, status, body) in [("", status, None), ("upstream_failure = \"success\"", 200, Some("success"))] {
            let (_setup, service) = serve(&url, more);
            let answer = post(service.public, &text("hello"));
            assert_eq!(answer.status, status, "{url} {more}: {answer:?}");
            assert_eq!(answer.header("content-type"), Some("text/plain"));
            assert!(body.is_none_or(|body| body == answer.body), "{answer:?}");
            assert!(!answer.body.contains("oh"), "an error page is no reply: {answer:?}");
            assert!(answer.took < ANSWERED, "{answer:?}");
            assert_eq!(count(&service, result), 1, "{url}");
        }
    }
    assert_eq!(dying.asked().len(), 2, "a new connection that dies is not tried again");
}

#[test]
fn a_kept_connection_that_died_loses_no_push() {
    // Every connection carries one answer, and dies under the second push without a word.
    let application = Application::start(|asked| if asked.turn == 0 { ok() } else { Reply::Last(Vec::new()) });
    let (_setup, service) = serve(&application.url(), "");
    let mut connection = Connection::open(service.public).unwrap();
    for number in 0..20 {
        let push = secure().push(&text(&number.to_string()));
        assert_eq!(connection.post(&push.target, &push.body).unwrap().status, 200, "{number}");
    }
    // And one that closes after each answer.
    let application = Application::start(|_| Reply::Last(reply("200 OK", "text/xml", b"bye")));
    let (_setup, service) = serve(&application.url(), "");
    let mut connection = Connection::open(service.public).unwrap();
    for number in 0..100 {
        let push = secure().push(&text(&number.to_string()));
        assert_eq!(connection.post(&push.target, &push.body).unwrap().body, "bye", "{number}");
    }
    assert_eq!(application.asked().len(), 100);
}

#[test]
fn an_application_that_restarts_in_mid_traffic_misses_nothing_since_wechat_delivers_again() {
    let application = Application::start(|_| ok());
    let address = application.address.to_string();
    let (_setup, service) = serve(&application.url(), "");
    let stop = AtomicBool::new(false);
    let mut handled = Vec::new();
    let sent = std::thread::scope(|scope| {
        let senders = [0, 1].map(|sender| {
            let (stop, public) = (&stop, service.public);
            scope.spawn(move || {
                let mut sent = Vec::new();
                for number in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let push = secure().push(&text(&format!("{sender}-{number}")));
                    let limit = Instant::now() + Duration::from_secs(30);
                    while push.post(public).status != 200 {
                        assert!(Instant::now() < limit, "the application is back long since");
                    }
                    sent.push(push.body);
                }
                sent
            })
        });
        let mut application = application;
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(300));
            handled.extend(application.stop());
            std::thread::sleep(Duration::from_millis(200));
            application = Application::at(&address, |_| ok());
        }
        std::thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::SeqCst);
        let sent = senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect::<Vec<_>>();
        handled.extend(application.asked());
        sent
    });
    assert!(sent.len() > 20, "{}", sent.len());
    for body in &sent {
        assert!(handled.iter().any(|asked| asked.body == *body), "a push that was answered 200 and never arrived");
    }
    assert!(count(&service, "refused") > 0, "the application was never away");
}

#[test]
fn a_hanging_application_holds_up_no_card_event_no_stop_and_no_more_requests_than_it_may() {
    let application = Application::start(|_| Reply::Hang);
    let (_setup, mut service) = serve(&application.url(), "upstream_max_in_flight = 3");
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..3)
            .map(|number| {
                scope.spawn({
                    let public = service.public;
                    move || post(public, &text(&number.to_string()))
                })
            })
            .collect();
        eventually("three requests hang", Duration::from_secs(3), || (application.asked().len() == 3).then_some(()));
        let beyond = post(service.public, &text("one too many"));
        assert_eq!(beyond.status, 502);
        assert!(beyond.took < Duration::from_secs(1), "{beyond:?}");
        for number in 0..20 {
            let answer =
                post(service.public, &claim("oUpstreamUser00000000000001", &number.to_string(), unix_seconds()));
            assert!(answer.is_success() && answer.took < Duration::from_secs(1), "{answer:?}");
        }
        assert_eq!(application.asked().len(), 3);
        for answer in waiting {
            let answer = answer.join().unwrap();
            assert!(answer.status == 504 && answer.took < ANSWERED, "{answer:?}");
        }
    });
    // One more hangs while the service stops.
    let public = service.public;
    let last = std::thread::spawn(move || post(public, &text("last")));
    eventually("it hangs", Duration::from_secs(3), || (application.asked().len() == 4).then_some(()));
    let begun = Instant::now();
    service.signal(Signal::TERM);
    assert!(service.wait(Duration::from_secs(10)).success());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(last.join().unwrap().status, 504);
}

#[test]
fn an_upstream_that_leads_back_here_is_found_out() {
    // A proxy in front of cardhook, and the upstream is the proxy: what merchants write who give their public URL.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_setup, service) = serve(&format!("http://{}/wechat/secure", listener.local_addr().unwrap()), "");
    let public = service.public;
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut from, mut to) = (stream.unwrap(), std::net::TcpStream::connect(public).unwrap());
            let (mut back, mut onward) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut onward));
            std::thread::spawn(move || std::io::copy(&mut to, &mut back));
        }
    });
    let answer = post(service.public, &text("round"));
    assert!(answer.status == 502 && answer.took < Duration::from_secs(3), "{answer:?}");
    says(&service, "leads back to this server");
}

/// A cardhook that forwards to `http://app.test:PORT/`, and who says where that is.
fn serve_named(port: u16) -> (Setup, Faults, Service) {
    let url = format!("http://app.test:{port}/");
    let setup = forwarding(Setup::without_brokers(), &url, "other = \"forward\"");
    let faults = Faults::new(setup.folder());
    let service = setup.serve_under(&faults);
    service.wait_ready();
    (setup, faults, service)
}

#[test]
fn a_name_that_leads_elsewhere_is_followed_once_the_old_address_says_no_more() {
    let old = Application::at("127.0.0.2:0", |asked| if asked.turn == 0 { ok() } else { Reply::Hang });
    let new = Application::at(&format!("127.0.0.3:{}", old.address.port()), |_| ok());
    let (_setup, faults, service) = serve_named(old.address.port());
    faults.app_test_is(Some(2));
    let mut connection = Connection::open(service.public).unwrap();
    let mut ask = |content: &str| {
        let push = secure().push(&text(content));
        connection.post(&push.target, &push.body).unwrap().status
    };
    assert_eq!(ask("one"), 200);
    faults.app_test_is(Some(3));
    assert_eq!(ask("two"), 504, "over the kept connection to an address that says no more");
    assert_eq!(ask("three"), 200);
    assert_eq!((old.asked().len(), new.asked().len()), (2, 1));
}

#[test]
fn name_servers_that_do_not_answer_hold_up_neither_card_events_nor_a_stop() {
    let (_setup, faults, mut service) = serve_named(80);
    faults.app_test_is(None);
    let public = service.public;
    std::thread::scope(|scope| {
        let asks: Vec<_> =
            (0..20).map(|number| scope.spawn(move || post(public, &text(&number.to_string())))).collect();
        assert!(post(public, &fixture("user_get_card")).is_success());
        for ask in asks {
            let answer = ask.join().unwrap();
            assert!(answer.status == 504 && answer.took < ANSWERED, "{answer:?}");
        }
    });
    let begun = Instant::now();
    service.signal(Signal::TERM);
    assert!(service.wait(Duration::from_secs(10)).success());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}
