//! Records beside the forwarding: messages that are published too, and card events that go on once they are safe.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::*;
use crate::support::{cardhook::Topics, consume::records, kafka::shared_broker};

#[test]
fn a_message_that_is_published_too_stands_once_on_its_topic_and_goes_on_at_each_delivery() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let application = Application::start(|_| ok());
    let setup = Setup::new(kafka, &topics);
    let service = forwarding(setup, &application.url(), "other = [\"publish\", \"forward\"]").serve();
    let push = secure().push(&text("hello"));
    for _ in 0..3 {
        let answer = push.post(service.public);
        assert_eq!((answer.status, answer.body.as_str()), (200, "<xml>hello</xml>"));
    }
    service.wait_drained();
    let published = records(kafka, &topics.other);
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].text("msg_type"), "text");
    assert_eq!(application.asked().len(), 3);
}

#[test]
fn a_card_event_goes_on_once_it_is_safe_and_a_failing_application_gets_its_second_chance() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let well = Arc::new(AtomicBool::new(false));
    let heals = Arc::clone(&well);
    let application = Application::start(move |_| {
        if heals.load(Ordering::SeqCst) { ok() } else { Reply::Bytes(reply("500 Oh", "text/plain", b"oh")) }
    });
    let setup = Setup::new(kafka, &topics);
    let service = forwarding(setup, &application.url(), "forward_cards = true").serve();
    let push = secure().push(&fixture("user_get_card"));
    assert_eq!(push.post(service.public).status, 502);
    well.store(true, Ordering::SeqCst);
    let answer = push.post(service.public);
    assert_eq!((answer.status, answer.body.as_str()), (200, "<xml>hello</xml>"));
    assert_eq!(application.asked().iter().map(|asked| &asked.body).collect::<Vec<_>>(), [&push.body, &push.body]);
    // Other messages are not its business.
    assert!(post(service.public, &text("hello")).is_success());
    assert_eq!(application.asked().len(), 2);
    service.wait_drained();
    assert_eq!(records(kafka, &topics.events).len(), 1);
    assert_eq!((count(&service, "error_status"), count(&service, "answered")), (1, 1));
    assert_eq!(service.metric("cardhook_callbacks_total", "account=\"secure\",result=\"accepted\""), 1);
    assert_eq!(service.metric("cardhook_callbacks_total", "account=\"secure\",result=\"duplicate\""), 1);
}

#[test]
fn without_forward_cards_no_card_event_reaches_the_application() {
    let application = Application::start(|_| Reply::Hang);
    let (_setup, service) = serve(&application.url(), "");
    assert!(post(service.public, &fixture("user_get_card")).is_success());
    assert_eq!(application.opened(), 0);
}

#[test]
fn a_card_event_that_is_not_safe_does_not_go_on() {
    let application = Application::start(|_| ok());
    let setup = forwarding(Setup::without_brokers(), &application.url(), "forward_cards = true");
    let service = setup.set("spool", "max_bytes = \"64KiB\"").serve();
    // Until the spool is full.
    let answer = (0..2000)
        .map(|number| post(service.public, &fixture("user_get_card").replace("OuterStr", &format!("X{number}"))));
    let (mut forwarded, mut refused) = (0, 0);
    for answer in answer {
        match answer.status {
            200 => forwarded += 1,
            503 => {
                refused += 1;
                break;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(refused, 1);
    assert_eq!(application.asked().len(), forwarded);
}
