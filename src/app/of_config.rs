//! The configuration in the terms of the parts that do not know it: an account of the listener's, who may call, the delivery's
//! settings. Opens and starts nothing.

use std::sync::Arc;

use anyhow::Context as _;

use crate::{
    config::{self, Config, Source, UpstreamFailure},
    delivery::Settings,
    event::Encoding,
    http,
    metrics::Metrics,
    telemetry::traces::Traces,
};

/// Who may call, and which proxies are believed. `wechat`: the addresses that WeChat publishes, where they are asked for.
pub(super) fn sources(config: &Config, wechat: Option<http::Published>) -> http::Sources {
    let allow_from = config.server.allow_from.iter().filter_map(|source| match source {
        Source::WeChat => None,
        Source::Network(network) => Some(*network),
    });
    http::Sources { allow_from: allow_from.collect(), wechat, trusted_proxies: config.server.trusted_proxies.clone() }
}

/// An account as the listener serves it. `index`: its place in the configuration.
///
/// # Errors
/// When TLS to its upstream cannot be set up.
pub(super) fn account(index: usize, account: &config::Account, metrics: &Metrics) -> anyhow::Result<http::Account> {
    let name: Arc<str> = account.name.as_str().into();
    // At 0 for every account, as all counters are.
    let counters = metrics.of_upstream(&name);
    let upstream = account.upstream.as_ref().map(|upstream| {
        let settings = http::UpstreamSettings {
            url: upstream.url.clone(),
            others: account.other.forwards(),
            cards: upstream.cards,
            on_failure: match upstream.on_failure {
                UpstreamFailure::Fail => http::OnFailure::Fail,
                UpstreamFailure::Success => http::OnFailure::Success,
            },
            max_in_flight: upstream.max_in_flight,
        };
        http::Upstream::new(&name, settings, counters).context("TLS cannot be set up").map(Arc::new)
    });
    Ok(http::Account {
        upstream: upstream.transpose()?,
        name,
        path: account.path.clone(),
        account_id: account.account_id.clone(),
        credentials: account.credentials.clone(),
        max_age: account.max_age,
        other: if account.other.publishes() { http::Other::Publish } else { http::Other::Ignore },
        index,
    })
}

/// What the delivery is started with; a console's probe is not among it.
pub(super) fn settings(config: &Config, encodings: [Encoding; 3], traces: Traces) -> Settings {
    let kafka = &config.kafka;
    let producer = (!kafka.brokers.is_empty()).then(|| kafka.client_properties());
    Settings {
        path: config.spool.path.clone(),
        max_bytes: config.spool.max_bytes,
        answer_after: config.delivery.answer_after,
        ack_timeout: config.delivery.ack_timeout,
        dedup_window: config.dedup.window,
        dedup_max_bytes: config.dedup.max_bytes,
        accounts: config
            .accounts
            .iter()
            .map(|account| (account.name.clone(), account.credentials.mode.name()))
            .collect(),
        producer,
        encodings,
        traces,
        probe: None,
        topics: [&kafka.topic, &kafka.dlq_topic, &kafka.other_topic].map(|topic| topic.as_str().into()),
    }
}
