//! What `Debug` prints of a push on its way, and of what a service is built from: it may end in a log or in a panic.

use std::{sync::Arc, time::Duration};

use cardhook::{
    config::Config,
    delivery::{AnswerAfter, Lane, Settings, Submission},
    event::{Event, EventId, Quarantine, Receipt, Record, read},
    protocol::{AesKey, AppId, Callback, Credentials, Document, Mode, Query, Token},
};

use super::{
    hoard::Said,
    traffic::{account, accounts, fixtures, with_openid},
    whole_hoard,
};
use crate::support::cardhook::Setup;

fn credentials(mode: Mode) -> Credentials {
    let [now, before] = [0, 1].map(|age| account(mode, age));
    Credentials {
        mode,
        token: Token::new(now.token),
        previous_token: Some(Token::new(before.token)),
        aes_key: Some(AesKey::parse(now.aes_key).unwrap()),
        previous_aes_key: Some(AesKey::parse(before.aes_key).unwrap()),
        app_id: Some(AppId::new(now.app_id)),
    }
}

fn submission(record: Record) -> Submission {
    Submission {
        lane: Lane::Events,
        account: 0,
        event_id: EventId::of_quarantined("shop", b""),
        event_time: 0,
        received_at_ms: 0,
        record,
        binding: None,
    }
}

/// Every stage of a push, printed.
fn stages(mode: Mode, body: &str) -> Vec<String> {
    let (credentials, push) = (credentials(mode), with_openid(account(mode, 0).push(body)));
    let query = push.target.split_once('?').unwrap().1;
    let mut stages = vec![format!("{credentials:?} {:?}", Document::parse(body.as_bytes()))];
    let mut stage = |printed: String| stages.push(printed);
    let parameters = Query::parse(query).unwrap();
    stage(format!("{parameters:?}"));
    let callback = Callback::new(parameters, &push.body);
    stage(format!("{callback:?}"));
    let verified = callback.verify(&credentials).unwrap();
    stage(format!("{verified:?}"));
    let message = verified.open(&credentials).unwrap();
    stage(format!("{message:?}"));
    let incoming = read(&message, Receipt { account: "shop", account_id: None, received_at_ms: 0 }).unwrap();
    stage(format!("{incoming:?}"));
    let record = match &incoming {
        Event::Card(card) => {
            stage(format!("{:?} {:?} {:?}", card.fields(), card.extra(), card.openid()));
            card.record()
        }
        Event::Other(other) => other.record(),
    };
    stage(format!("{:?}", submission(record)));
    let (account, mode) = ("shop", mode.name());
    let quarantine =
        Quarantine { reason: "decrypt", detail: "", account, mode, received_at_ms: 0, query, body: &push.body };
    stage(format!("{quarantine:?} {:?}", submission(quarantine.record())));
    stages
}

#[test]
fn no_stage_of_a_push_prints_what_is_secret_or_personal() {
    let mut said = Said::default();
    for (mode, body) in Mode::ALL.into_iter().flat_map(|mode| fixtures().into_iter().map(move |body| (mode, body))) {
        for stage in stages(mode, &body) {
            said.hear(format!("{stage:.20}…"), stage);
        }
    }
    assert_eq!(said.betrayed(&whole_hoard()), Vec::<String>::new());
}

#[test]
fn no_configuration_prints_a_secret() {
    let password = format!("sasl_password = {:?}", super::SASL_PASSWORD);
    let options = format!("\"ssl.key.password\" = {:?}", super::KEY_PASSWORD);
    let token = format!("token = {:?}", super::ADMIN_TOKEN);
    let setup = accounts(Setup::without_brokers(), 0, 1);
    let setup = setup.set("kafka", &password).set("kafka.options", &options).set("admin", &token);
    let path = setup.write();
    let config = Config::load(Some(&path), [], &[]).unwrap();
    let settings = Settings {
        path: setup.spool(),
        max_bytes: 1,
        answer_after: AnswerAfter::Kafka,
        ack_timeout: Duration::ZERO,
        dedup_window: Duration::ZERO,
        dedup_max_bytes: 1,
        accounts: Vec::new(),
        producer: Some(config.kafka.client_properties()),
        topics: ["events", "dlq", "other"].map(Arc::from),
        encodings: Default::default(),
        traces: cardhook::telemetry::traces::Traces::default(),
        probe: None,
    };
    let mut said = Said::default();
    said.hear("the configuration", format!("{config:?}"));
    said.hear("the delivery's settings", format!("{settings:?}"));
    said.hear("what check prints", config.effective());
    assert_eq!(said.betrayed(&whole_hoard()), Vec::<String>::new());
}
