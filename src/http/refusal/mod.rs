//! What a refusal says to the operator (contract §2.3): counted each time, found out for a bounded number a second, logged at
//! most once in 10 s an account and cause; and the push handed over to be kept.
//!
//! The sender learns nothing of it. Does not depend on how an answer is made, and changes none.

mod connection;
mod diagnosis;
pub(super) mod limit;
mod path;

use std::{
    borrow::Cow,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use actix_http::{Method, RequestHead, header};

pub(super) use connection::{NoHttp, OPENING};
use diagnosis::{Finding, Refused, of_age, of_body, of_query, of_signature, query_cause};
use limit::{Limited, Rate};
use path::UnknownPaths;

use super::{
    answer::Answer,
    endpoints::{Endpoint, Endpoints},
    receive::Unreadable,
    source::Sources,
};
use crate::{
    clock,
    console::{self, Observer, Seen, What},
    metrics::{Cause, Metrics, QUARANTINED},
    protocol::{Query, begins_as_xml},
    unverified,
};

/// Refusals of a signature whose cause is found out, a second and at once, for all accounts; beyond, the last finding of the
/// account is taken for theirs.
const FOUND_OUT: (u64, u64) = (20, 40);
/// Unverified pushes that an account may have kept, a second and at once (contract §3.2).
const KEPT: (u64, u64) = (20, 1000);

/// What is remembered of an account's refusals.
#[derive(Debug)]
pub(super) struct OfAccount {
    lines: [Limited; Cause::ALL.len()],
    /// By the place of the reason in [`QUARANTINED`].
    quarantined: [Limited; QUARANTINED.len()],
    /// The cause that was found last where a signature was refused: its place in [`Cause::ALL`].
    found: AtomicUsize,
    kept: Rate,
}

impl Default for OfAccount {
    fn default() -> Self {
        Self {
            lines: std::array::from_fn(|_| Limited::default()),
            quarantined: std::array::from_fn(|_| Limited::default()),
            found: AtomicUsize::new(Cause::Token as usize),
            kept: Rate::new(KEPT.0, KEPT.1),
        }
    }
}

/// Listens to every refusal of the public listener.
#[derive(Debug)]
pub(super) struct Refusals {
    endpoints: Endpoints,
    began: Instant,
    found_out: Rate,
    unverified: Option<unverified::Sender>,
    observer: Option<Observer>,
    paths: UnknownPaths,
}

/// A request that got an answer.
pub(super) struct Request<'a> {
    pub(super) head: &'a RequestHead,
    /// Without `?`.
    pub(super) query: &'a str,
    /// Empty where it was not read.
    pub(super) body: &'a [u8],
    /// Whom to ask where it comes from.
    pub(super) sources: &'a Sources,
}

impl Refusals {
    pub(super) fn new(
        endpoints: Endpoints,
        metrics: &Metrics,
        unverified: Option<unverified::Sender>,
        observer: Option<Observer>,
    ) -> Self {
        let paths = UnknownPaths::new(metrics);
        Self {
            endpoints,
            began: Instant::now(),
            found_out: Rate::new(FOUND_OUT.0, FOUND_OUT.1),
            unverified,
            observer,
            paths,
        }
    }

    /// Takes note of an answer, if it is a refusal.
    pub(super) fn note(&self, endpoint: &Endpoint, request: &Request<'_>, answer: &Answer) {
        if matches!(answer, Answer::Ignored | Answer::MethodNotAllowed) {
            return;
        }
        let is_get = request.head.method == Method::GET;
        let refused = Refused {
            is_get,
            query: request.query,
            body: request.body,
            is_encoded: request.head.headers.contains_key(header::CONTENT_ENCODING),
            now_ms: clock::unix_millis(),
        };
        // A push that a redirect made a GET is none.
        if is_get && refused.query.contains("echostr=") {
            endpoint.metrics.greeted(matches!(answer, Answer::Echo(_)), refused.now_ms);
        }
        let mut found = None;
        let cause = self.cause(endpoint, &refused, answer, &mut found);
        if let Some(observer) = &self.observer {
            let found = found.as_ref().map(|finding| finding.found.clone());
            observe(observer, endpoint, request, answer, cause.map(|cause| (cause, found)), refused.now_ms);
        }
        let Some(cause) = cause else { return };
        endpoint.metrics.refused(cause);
        if !is_get && matches!(answer, Answer::Forbidden | Answer::Stale | Answer::Ahead | Answer::Damaged) {
            self.keep(endpoint, &refused, answer);
        }
        if let Some(since) = endpoint.refusals.lines.get(cause as usize).and_then(|line| line.due(self.since_ms())) {
            let finding = found.or_else(|| finding(endpoint, &refused, answer));
            self.log(endpoint, request, finding, since);
        }
    }

    /// The cause, and the finding where it had to be made for that.
    fn cause(
        &self,
        endpoint: &Endpoint,
        refused: &Refused<'_>,
        answer: &Answer,
        found: &mut Option<Finding>,
    ) -> Option<Cause> {
        Some(match answer {
            Answer::Visitor if refused.query.is_empty() => Cause::NoQuery,
            Answer::Visitor => Cause::MissingParameter,
            Answer::BadQuery(error) => query_cause(refused, *error),
            Answer::Damaged | Answer::BrokenBody => Cause::BodyChanged,
            Answer::Stale => Cause::Stale,
            Answer::Ahead => Cause::Clock,
            Answer::ForbiddenSource => Cause::Source,
            Answer::TooLarge => Cause::TooLarge,
            Answer::Timeout => Cause::Slow,
            Answer::Forbidden if self.found_out.take(self.since_ms().saturating_mul(1000)) => {
                let others = self.endpoints.accounts();
                let finding = found.insert(of_signature(refused, &endpoint.account(), others));
                endpoint.refusals.found.store(finding.cause as usize, Ordering::Relaxed);
                finding.cause
            }
            Answer::Forbidden => {
                Cause::ALL.get(endpoint.refusals.found.load(Ordering::Relaxed)).copied().unwrap_or(Cause::Token)
            }
            Answer::Safe(..)
            | Answer::Ignored
            | Answer::Echo(_)
            | Answer::NotFound
            | Answer::MethodNotAllowed
            | Answer::Overloaded(_) => return None,
        })
    }

    fn log(&self, endpoint: &Endpoint, request: &Request<'_>, finding: Option<Finding>, since: u64) {
        // One whose cause was only taken from another one's finding has nothing to say.
        let Some(Finding { cause, found, mut cure }) = finding else { return };
        let account = endpoint.account();
        if let (Cause::Token | Cause::TokenOfAnotherAccount | Cause::ClearPush, Some(unverified)) =
            (cause, &self.unverified)
        {
            cure = Cow::Owned(format!(
                "{cure}; {} unverified pushes are kept, and `cardhook replay --unverified --config FILE` publishes those that \
                 verify then",
                unverified.kept()
            ));
        }
        let (source, published_source) = request.sources.of(request.head);
        let source = source.map(tracing::field::display);
        tracing::warn!(
            account = %account.name,
            cause = cause.label(),
            since,
            source,
            published_source,
            %found,
            %cure,
            "request refused"
        );
    }

    /// What has the form of a push is handed over to be kept.
    fn keep(&self, endpoint: &Endpoint, refused: &Refused<'_>, answer: &Answer) {
        let Some(unverified) = &self.unverified else { return };
        let has_form = || {
            (begins_as_xml(refused.body) || *answer == Answer::Damaged)
                && Query::parse(refused.query).is_ok_and(|query| {
                    query.timestamp.is_some()
                        && query.nonce.is_some()
                        && (query.signature.is_some() || query.msg_signature.is_some())
                })
        };
        // First, so that a flood costs no more than this.
        if endpoint.refusals.kept.take(self.since_ms().saturating_mul(1000)) && has_form() {
            unverified.offer(&endpoint.account().name, refused.query, refused.body, refused.now_ms);
        }
    }

    /// A push is to be quarantined.
    pub(super) fn quarantined(&self, endpoint: &Endpoint, why: &Unreadable) {
        let place = QUARANTINED.iter().position(|reason| *reason == why.reason);
        let line = place.and_then(|place| endpoint.refusals.quarantined.get(place));
        if let Some(since) = line.and_then(|line| line.due(self.since_ms())) {
            let account = endpoint.account();
            let Unreadable { reason, detail } = why;
            let cause = detail.split_once(": ").map(|(cause, _)| cause).filter(|cause| *cause == ENCRYPTED_PUSH);
            tracing::warn!(account = %account.name, reason, cause, since, detail, "push quarantined");
        }
    }

    /// A request to a path that no account has.
    pub(super) fn unknown_path(&self, path: &str) {
        self.paths.note(path, &self.endpoints, self.since_ms());
    }

    fn since_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Tells the console of a handshake, or of a refusal with its cause and what was found.
fn observe(
    observer: &Observer,
    endpoint: &Endpoint,
    request: &Request<'_>,
    answer: &Answer,
    refused: Option<(Cause, Option<Cow<'static, str>>)>,
    at_ms: i64,
) {
    let (source, published_source) = request.sources.of(request.head);
    let what = match (refused, answer.result()) {
        (Some((cause, found)), Some(result)) => What::Refused(console::Refused {
            result,
            cause,
            found,
            is_handshake: request.head.method == Method::GET && request.query.contains("echostr="),
            source,
            published_source,
        }),
        (None, _) if matches!(answer, Answer::Echo(_)) => What::Handshake(source),
        _ => return,
    };
    observer.offer(Seen { account: endpoint.index, at_ms, what });
}

/// With which a quarantine's detail begins where an account in plaintext mode gets encrypted pushes.
const ENCRYPTED_PUSH: &str = "encrypted_push";

/// For a line that is due. A wrong signature's finding was made with its cause, or is not made at all.
fn finding(endpoint: &Endpoint, refused: &Refused<'_>, answer: &Answer) -> Option<Finding> {
    Some(match answer {
        Answer::BadQuery(error) => of_query(refused, *error),
        Answer::Visitor if refused.query.is_empty() => {
            of_query(refused, crate::protocol::QueryError::Missing("timestamp"))
        }
        Answer::Visitor => Finding::new(
            Cause::MissingParameter,
            "the query has none of WeChat's parameters: somebody opened the URL in a browser, or a proxy replaces the query",
            "where it is WeChat's request, let the proxy pass the query on",
        ),
        Answer::Damaged => of_body(refused.body, true),
        Answer::BrokenBody => of_body(refused.body, false),
        Answer::Stale | Answer::Ahead => of_age(refused, &endpoint.account()),
        Answer::ForbiddenSource => Finding::new(
            Cause::Source,
            "its source is not in server.allow_from",
            "where a proxy stands before this server, it must set X-Forwarded-For and be named in server.trusted_proxies; else \
             add the network to server.allow_from",
        ),
        Answer::TooLarge => Finding::new(
            Cause::TooLarge,
            "the body is larger than server.max_body_bytes",
            "WeChat's pushes take a few KiB: look at who sends it; raise server.max_body_bytes only for WeChat's own",
        ),
        Answer::Timeout => Finding::new(
            Cause::Slow,
            "the body was not whole 3 s after the head",
            "look at the network, and whether a proxy passes the body on as it arrives; let it read the whole body first",
        ),
        Answer::Forbidden
        | Answer::Safe(..)
        | Answer::Ignored
        | Answer::Echo(_)
        | Answer::NotFound
        | Answer::MethodNotAllowed
        | Answer::Overloaded(_) => return None,
    })
}
