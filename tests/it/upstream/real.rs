//! Real applications that were not written here: behind cardhook each gives byte for byte the answer that it gives without.

use std::{
    collections::HashSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use super::*;
use crate::support::{
    application::{Library, RealApplication},
    burst::codes_in_order,
    cardhook::Topics,
    consume::records,
    kafka::shared_broker,
    secured::Secured,
    wechat::claim,
};

/// Directly and through cardhook, the same push.
fn same_answer(library: Library) {
    let application = RealApplication::start(library, &secure());
    let url = format!("http://{}/wechat", application.address);
    let (_setup, service) = serve(&url, "forward_cards = true");
    for (xml, encrypted) in [
        (text("你好 & <goodbye>"), true),
        (event("subscribe", ""), true),
        (event("CLICK", "V1001_TODAY"), true),
        (fixture("user_get_card"), true),
        (fixture("user_del_card"), false),
    ] {
        let push = secure().push(&xml);
        let directly = Push { target: push.target.replace("/wechat/secure", "/wechat"), body: push.body.clone() };
        let directly = directly.post(application.address);
        let behind = push.post(service.public);
        assert_eq!(directly.status, 200, "{library:?} {xml}: {directly:?}");
        let of =
            |answer: &Answer| (answer.status, answer.header("content-type").map(str::to_owned), answer.body.clone());
        assert_eq!(of(&behind), of(&directly), "{library:?} {xml}");
        // co-wechat encrypts all that it says.
        let encrypts = encrypted || matches!(library, Library::CoWechat);
        assert_eq!(behind.body.contains("<Encrypt>"), encrypts, "{library:?} {xml}: {}", behind.body);
    }
    assert_eq!(count(&service, "answered"), 5);
    assert_eq!(application.said().matches("user_get_card").count(), 2, "{}", application.said());
}

#[test]
fn an_application_on_wechatpy_answers_behind_cardhook_as_it_does_without() {
    same_answer(Library::Wechatpy);
}

#[test]
fn an_application_on_co_wechat_answers_behind_cardhook_as_it_does_without() {
    same_answer(Library::CoWechat);
}

/// The walk of the README: WeChat's URL is changed to cardhook's, and back, under traffic.
#[test]
fn moving_in_front_of_an_application_and_back_loses_no_push() {
    let kafka = shared_broker();
    let topics = Topics::create(kafka);
    let application = RealApplication::start(Library::Wechatpy, &secure());
    let url = format!("http://{}/wechat", application.address);
    let setup = Setup::new(kafka, &topics);
    let setup = forwarding(setup, &url, "other = \"forward\"\nforward_cards = true");
    let service = setup.serve();
    service.wait_kafka(true);

    // WeChat's server URL: what every push reads that begins.
    let direct = (application.address, "/wechat");
    let server_url = Mutex::new(direct);
    let (stop, through_cardhook) = (AtomicBool::new(false), Mutex::new(HashSet::new()));
    let (texts, codes) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let (mut texts, mut codes) = (Vec::new(), HashSet::new());
            for number in 0_u32.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let (content, code) = (format!("walk{number:06}"), format!("{number:012}"));
                for xml in [text(&content), claim("oUpstreamWalker0000000000001", &code, unix_seconds())] {
                    let push = secure().push(&xml);
                    // As WeChat does: the same again until it is answered.
                    let delivered = (0..4).any(|_| {
                        let (address, path) = *server_url.lock().unwrap();
                        let target = push.target.replace("/wechat/secure", path);
                        let answer = Push { target, body: push.body.clone() }.post(address);
                        if answer.status == 200 && address == service.public && xml.contains(&code) {
                            through_cardhook.lock().unwrap().insert(code.clone());
                        }
                        answer.status == 200
                    });
                    assert!(delivered, "{xml}");
                }
                texts.push(content);
                codes.insert(code);
            }
            (texts, codes)
        });
        for url in [(service.public, "/wechat/secure"), direct] {
            std::thread::sleep(Duration::from_millis(500));
            *server_url.lock().unwrap() = url;
        }
        std::thread::sleep(Duration::from_millis(500));
        stop.store(true, Ordering::SeqCst);
        sender.join().unwrap()
    });
    service.wait_drained();
    assert!(service.stop(Duration::from_secs(10)).success());
    let said = application.said();
    for content in &texts {
        assert!(said.contains(content.as_str()), "{content} never reached the application");
    }
    assert_eq!(said.matches("user_get_card").count(), codes.len());
    let published = codes_in_order(&records(kafka, &topics.events));
    assert!(published.len() > 5 && published.len() < codes.len(), "{} of {}", published.len(), codes.len());
    assert_eq!(published, through_cardhook.into_inner().unwrap());
}

#[test]
fn an_application_behind_tls_is_reached_with_a_certificate_that_is_trusted_and_not_with_another() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Secured::new(folder.path(), 0);
    let [certificate, key] = certificates.certificate();
    let variables = [("CERTIFICATE", certificate.as_str()), ("KEY", key.as_str())];
    let application = RealApplication::start_with(Library::Wechatpy, &secure(), &variables);
    let url = format!("https://{}/wechat", application.address);
    let setup = forwarding(Setup::without_brokers(), &url, "other = \"forward\"");
    for (authority, status) in [(certificates.authority(), 200), (certificates.stranger(), 502)] {
        let service = setup.serve_with(|command| {
            command.env("SSL_CERT_FILE", &authority);
        });
        service.wait_ready();
        let answer = post(service.public, &text("hello"));
        assert_eq!(answer.status, status, "{}", service.log());
        assert_eq!(answer.body.contains("<Encrypt>"), status == 200);
        if status == 502 {
            says(&service, "certificate verify failed");
        }
    }
}
