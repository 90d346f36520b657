use super::{customer::Customers, *};
use crate::{
    event::{self, Event, EventType, Receipt},
    protocol::{AesKey, AppId, Callback, Credentials, Mode, Query, Token},
};

const CHOICES: Choices<'_> =
    Choices { to_user: "gh_simulated", card_id: "pSIM", outer_str: Some("poster 7"), create_time: 1_790_000_000 };

fn credentials(mode: Mode) -> Credentials {
    Credentials {
        mode,
        token: Token::new("invented"),
        previous_token: None,
        aes_key: Some(AesKey::parse("simulated0simulated0simulated0simulated0abc").unwrap()),
        previous_aes_key: None,
        app_id: Some(AppId::new("wx0123456789abcdef")),
    }
}

fn push(event_type: EventType, mode: Mode) -> Push {
    let customer = Customers::new(7).customer(3);
    let clear = Clear {
        xml: sample(event_type, &customer, &CHOICES).to_xml(),
        to_user: CHOICES.to_user.to_owned(),
        openid: Some(customer.openid),
        timestamp: CHOICES.create_time,
    };
    Push::compose(clear, &credentials(mode), 1)
}

fn received(push: &Push, mode: Mode) -> Event<'static> {
    let callback = Callback::new(Query::parse(&push.query).unwrap(), &push.body);
    let credentials = credentials(mode);
    let message = callback.verify(&credentials).unwrap().open(&credentials).unwrap();
    let receipt = Receipt { account: "shop", account_id: Some(CHOICES.to_user), received_at_ms: 0 };
    let record = match event::read(&message, receipt).unwrap() {
        Event::Card(event) => event.record(),
        Event::Other(message) => message.record(),
    };
    Event::from_record(&record.value, []).unwrap()
}

#[test]
fn every_sample_arrives_as_its_type_in_every_mode() {
    for mode in [Mode::Secure, Mode::Compat, Mode::Plaintext] {
        for event_type in EventType::ALL {
            let Event::Card(event) = received(&push(*event_type, mode), mode) else {
                panic!("{event_type:?} arrived as no card event")
            };
            assert_eq!(event.event_type(), event_type.as_str());
            assert_eq!(event.event_time(), CHOICES.create_time);
        }
    }
}

#[test]
fn a_chosen_outer_str_arrives_where_the_event_has_one() {
    for event_type in [EventType::Received, EventType::Consumed, EventType::Viewed] {
        let Event::Card(event) = received(&push(event_type, Mode::Secure), Mode::Secure) else {
            panic!("{event_type:?} arrived as no card event")
        };
        assert_eq!(event.fields().text("outer_str"), Some("poster 7"));
    }
}

#[test]
fn the_query_has_wechats_order() {
    let names = |mode| {
        let push = push(EventType::Received, mode);
        push.query.split('&').filter_map(|pair| Some(pair.split_once('=')?.0.to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(names(Mode::Plaintext), ["signature", "timestamp", "nonce", "openid"]);
    let sealed = ["signature", "timestamp", "nonce", "openid", "encrypt_type", "msg_signature"];
    assert_eq!(names(Mode::Compat), sealed);
    assert_eq!(names(Mode::Secure), sealed);
}

#[test]
fn an_openid_that_does_not_fit_a_query_is_encoded() {
    let clear = Clear { xml: Vec::new(), to_user: String::new(), openid: Some("o&x=1 é".to_owned()), timestamp: 1 };
    let push = Push::compose(clear, &credentials(Mode::Plaintext), 1);
    assert_eq!(Query::parse(&push.query).unwrap().openid.as_deref(), Some("o&x=1 é"));
}
