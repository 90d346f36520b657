//! The table of contract §2, row by row.

use std::time::Duration;

use super::{CLAIM, House, account, body, request, signed, status};
use crate::http::{Account, Other, Published};

const ACCEPTED: &str = "cardhook_callbacks_total{account=\"shop\",result=\"accepted\"} 1\n";

/// Everything but the date.
fn dateless(answer: &str) -> String {
    answer.split_inclusive("\r\n").filter(|line| !line.starts_with("date:")).collect()
}

#[test]
fn an_unknown_path_is_404_whatever_the_method_and_whatever_it_resembles() {
    let house = House::open();
    for path in
        ["/", "/wechat/shop/", "/wechat//shop", "/wechat/%73hop", "/Wechat/shop", "/livez", "/metrics", "/readyz"]
    {
        for method in ["GET", "POST", "PUT"] {
            let answer = house.asks(method, path, "");
            assert_eq!((status(&answer), body(&answer)), ("404", ""), "{method} {path}");
            assert!(answer.contains("content-length: 0\r\n"), "{answer}");
        }
    }
}

#[test]
fn a_body_that_is_not_read_does_not_hide_the_answer() {
    let house = House::open();
    let large = "x".repeat(60_000);
    assert_eq!(status(&house.asks("POST", "/nowhere", &large)), "404");
    assert_eq!(status(&house.asks("PUT", "/wechat/shop", &large)), "405");
    let handshake = house.asks("GET", &signed("&echostr=5836"), &large);
    assert_eq!((status(&handshake), body(&handshake)), ("200", "5836"));
}

#[test]
fn another_method_is_405_and_told_which_are_allowed() {
    let house = House::open();
    for method in ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        let answer = house.asks(method, &signed("&echostr=1"), "");
        assert_eq!(status(&answer), "405", "{method}");
        assert!(answer.contains("allow: GET, POST\r\n"), "{answer}");
        assert!(answer.contains("content-length: 0\r\n"), "{answer}");
    }
}

#[test]
fn bytes_that_are_no_http_are_400_and_nothing_of_them_comes_back() {
    let house = House::open();
    let answer = house.says("nonsense-to-be-found\r\n\r\n");
    assert_eq!(status(&answer), "400");
    assert!(!answer.contains("nonsense"));
}

#[test]
fn a_missing_or_malformed_parameter_is_400_and_named() {
    let house = House::open();
    for (target, named) in [
        ("/wechat/shop".to_owned(), "missing"),
        (format!("{}&nonce=42", signed("")), "nonce"),
        (signed("&openid="), "openid"),
        (signed("&openid=%ZZfindme"), "openid"),
    ] {
        let answer = house.asks("POST", &target, CLAIM);
        assert_eq!(status(&answer), "400", "{target}");
        assert!(body(&answer).contains(named), "{answer}");
        assert!(!answer.contains("findme"), "{answer}");
    }
}

#[test]
fn every_failed_verification_gets_one_and_the_same_answer() {
    let house = House::open();
    let wrong = "/wechat/shop?signature=0123456789012345678901234567890123456789&timestamp=1700000000&nonce=42";
    let answers = [
        house.asks("POST", wrong, CLAIM),
        house.asks("POST", &wrong.replace("=0123", "=X"), ""),
        house.asks("POST", &wrong.replace("signature", "msg_signature"), CLAIM),
        house.asks("GET", &format!("{wrong}&echostr=1"), ""),
    ];
    for answer in &answers {
        assert_eq!(status(answer), "403");
        assert_eq!(dateless(answer), dateless(&answers[0]));
    }
}

#[test]
fn a_stale_push_and_a_foreign_source_get_the_answer_of_a_wrong_signature() {
    let house = House::open();
    let wrong = house.asks("POST", &signed("").replace("signature=", "signature=0"), CLAIM);
    let aged = Account { max_age: Some(Duration::from_hours(1)), ..account(Other::Ignore) };
    let house = House::for_callers(aged, &["101.226.0.0/16"]);
    let asks = |source: &str| house.says(&request("POST", &signed(""), CLAIM, source));
    let from_wechat = "connection: close\r\nx-forwarded-for: 203.0.113.9, 101.226.0.1\r\n";
    let from_elsewhere = "connection: close\r\nx-forwarded-for: 101.226.0.1, 203.0.113.9\r\n";
    assert_eq!(dateless(&asks(from_wechat)), dateless(&wrong));
    assert!(house.metrics.text().contains("result=\"stale\"} 1\n"));
    for source in [from_elsewhere, "connection: close\r\n"] {
        assert_eq!(dateless(&asks(source)), dateless(&wrong), "{source}");
    }
    assert!(house.metrics.text().contains("result=\"forbidden_source\"} 2\n"));
}

#[test]
fn what_comes_from_an_allowed_network_is_accepted() {
    let house = House::for_callers(account(Other::Ignore), &["2001:db8::/32", "127.0.0.0/8"]);
    assert_eq!(status(&house.asks("POST", &signed(""), CLAIM)), "200");
}

#[test]
fn until_wechats_networks_are_known_anyone_may_call_and_then_only_they_and_those_named() {
    let published = Published::default();
    let house = House::for_wechat(&published, &["198.51.100.7/32"]);
    let asks = |source: &str| {
        let headers = format!("connection: close\r\nx-forwarded-for: 1.2.3.4, {source}\r\n");
        house.says(&request("POST", &signed(""), CLAIM, &headers))
    };
    assert_eq!(status(&asks("203.0.113.9")), "200", "nothing is known yet");
    published.learn(&["101.226.0.0/16", "2001:db8::/32", "203.0.113.8/32"].map(|network| network.parse().unwrap()));
    for source in ["101.226.3.4", "2001:db8::5", "203.0.113.8", "198.51.100.7"] {
        assert_eq!(status(&asks(source)), "200", "{source}");
    }
    let wrong = house.asks("POST", &signed("").replace("signature=", "signature=0"), CLAIM);
    for source in ["203.0.113.9", "101.227.0.1", "2001:db9::5", "unknown"] {
        assert_eq!(dateless(&asks(source)), dateless(&wrong), "{source}");
    }
    published.learn(&["203.0.113.9/32".parse().unwrap()]);
    assert_eq!((status(&asks("203.0.113.9")), status(&asks("101.226.3.4"))), ("200", "403"));
}

#[test]
fn a_handshake_is_answered_with_the_echostr_byte_for_byte() {
    let house = House::open();
    let answer = house.asks("GET", &signed("&echostr=%3Cb%3E+5836%2B%E5%8D%A1"), "");
    assert_eq!((status(&answer), body(&answer)), ("200", "<b>+5836+卡"));
    assert!(answer.contains("content-type: text/plain\r\n"), "{answer}");
    assert!(answer.contains("content-length: 12\r\n"), "{answer}");
    assert!(house.metrics.text().contains("result=\"handshake\"} 1\n"));
}

#[test]
fn a_card_event_is_accepted_once_and_its_re_delivery_is_a_duplicate() {
    let house = House::open();
    for _ in 0..3 {
        let answer = house.asks("POST", &signed("&openid=o1"), CLAIM);
        assert_eq!((status(&answer), body(&answer)), ("200", "success"));
    }
    let text = house.metrics.text();
    assert!(text.contains(ACCEPTED), "{text}");
    assert!(text.contains("result=\"duplicate\"} 2\n"), "{text}");
    assert!(text.contains("cardhook_events_total{account=\"shop\",event_type=\"card.received\"} 1\n"), "{text}");
    assert!(text.contains("cardhook_answer_seconds_count{answered_by=\"disk\"} 3\n"), "{text}");
}

#[test]
fn what_is_verified_and_unreadable_is_success_and_quarantined_once() {
    let house = House::open();
    for _ in 0..2 {
        let answer = house.asks("POST", &signed(""), "<xml><never></closed></xml>");
        assert_eq!((status(&answer), body(&answer)), ("200", "success"));
    }
    let text = house.metrics.text();
    assert!(text.contains("result=\"quarantined\"} 1\n"), "{text}");
    assert!(text.contains("result=\"duplicate\"} 1\n"), "{text}");
}

#[test]
fn another_event_under_the_same_timestamp_and_nonce_is_success_and_quarantined() {
    let house = House::open();
    for event in ["user_get_card", "user_del_card"] {
        let answer = house.asks("POST", &signed(""), &CLAIM.replace("user_get_card", event));
        assert_eq!((status(&answer), body(&answer)), ("200", "success"));
    }
    let text = house.metrics.text();
    assert!(text.contains(ACCEPTED) && text.contains("result=\"quarantined\"} 1\n"), "{text}");
    assert!(text.contains("event_type=\"card.deleted\"} 0\n"), "{text}");
}

#[test]
fn a_message_that_is_no_card_event_is_success() {
    for (other, event) in [(Other::Ignore, "0\n"), (Other::Publish, "1\n")] {
        let house = House::with(other, None, 1 << 30);
        let answer = house.asks("POST", &signed(""), &CLAIM.replace("user_get_card", "VIEW").replace("Card", "Thing"));
        assert_eq!((status(&answer), body(&answer)), ("200", "success"));
        let text = house.metrics.text();
        assert!(text.contains("result=\"other\"} 1\n"), "{text}");
        assert!(text.contains(&format!("event_type=\"other\"}} {event}")), "{text}");
    }
}

#[test]
fn pipelined_and_chunked_pushes_are_each_answered() {
    let house = House::open();
    let chunked = format!(
        "POST {} HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        signed(""),
        &CLAIM[..5],
        CLAIM.len() - 5,
        &CLAIM[5..],
    );
    let answer = house.says(&format!("{chunked}{}", request("POST", &signed(""), CLAIM, "connection: close\r\n")));
    assert_eq!(answer.matches("success").count(), 2, "{answer}");
}

#[test]
fn http_1_0_and_expect_100_continue_are_served() {
    let house = House::open();
    let old = format!("GET {} HTTP/1.0\r\n\r\n", signed("&echostr=77"));
    assert!(house.says(&old).ends_with("\r\n\r\n77"));
    let expecting = request("POST", &signed(""), CLAIM, "expect: 100-continue\r\nconnection: close\r\n");
    let answer = house.says(&expecting);
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"), "{answer}");
}

#[test]
fn without_a_durable_place_a_push_is_503_and_the_handshake_still_answered() {
    let house = House::with(Other::Ignore, None, 0);
    let answer = house.asks("POST", &signed(""), CLAIM);
    assert_eq!((status(&answer), body(&answer)), ("503", ""));
    assert!(answer.contains("retry-after: 5\r\n"), "{answer}");
    assert!(house.metrics.text().contains("result=\"overloaded\"} 1\n"));
    assert_eq!(status(&house.asks("POST", &signed(""), "<xml><never></closed></xml>")), "503");
    assert_eq!(status(&house.asks("GET", &signed("&echostr=1"), "")), "200");
}
