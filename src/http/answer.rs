//! Every answer of the public listener and its row in the table of contract §2.
//!
//! The one place that maps errors to HTTP. Nothing of a request stands in an answer but the handshake's echostr.

use actix_http::{Response, StatusCode, header};
use bytes::Bytes;

use crate::{
    delivery::{Lane, Overloaded, Safe},
    metrics::{AnsweredBy, CallbackResult},
    protocol::{QueryError, VerifyError},
};

/// For a person who opens the server URL in a browser. It names no product and no version.
const VISITOR: &str = "This address answers WeChat's servers only. If it is yours: nothing is wrong with it so far, and the log of \
     the service behind it says why a request was refused. 此地址只应答微信服务器的请求。如果它是你的：到这里一切正常，请求被拒绝的原因见其后服务的日志。\n";

/// What a callback is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// 200 `success`: what was pushed is safe.
    Safe(Lane, Safe),
    /// 200 `success`: not a card event, and the account ignores the others.
    Ignored,
    /// 200: the handshake's echostr, byte for byte.
    Echo(String),
    /// 400: a parameter is missing or malformed.
    BadQuery(QueryError),
    /// 400, a page: somebody opened the URL in a browser.
    Visitor,
    /// 400: a push for whose body nobody vouches is empty or cut; WeChat shall send it again.
    Damaged,
    /// 400: the body ended early, or its transfer coding is broken.
    BrokenBody,
    /// 403, the same for all four: the signature is wrong.
    Forbidden,
    /// 403: older than `max_age`.
    Stale,
    /// 403: from the future.
    Ahead,
    /// 403: not from `server.allow_from`.
    ForbiddenSource,
    /// 404: no account has this path.
    NotFound,
    /// 405: neither GET nor POST.
    MethodNotAllowed,
    /// 413: over `server.max_body_bytes`.
    TooLarge,
    /// 408: the body was not whole in time.
    Timeout,
    /// 503: the push is not safe, WeChat shall send it again.
    Overloaded(Overloaded),
}

impl From<QueryError> for Answer {
    fn from(error: QueryError) -> Self {
        Self::BadQuery(error)
    }
}

impl From<VerifyError> for Answer {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Query(error) => Self::BadQuery(error),
            VerifyError::Signature => Self::Forbidden,
        }
    }
}

impl Answer {
    /// The label of `cardhook_callbacks_total`; `None` for what the contract does not count.
    pub(super) fn result(&self) -> Option<CallbackResult> {
        Some(match self {
            Self::Safe(_, Safe { duplicate: true, .. }) => CallbackResult::Duplicate,
            Self::Safe(Lane::Events, _) => CallbackResult::Accepted,
            Self::Safe(Lane::Dlq | Lane::Parked, _) => CallbackResult::Quarantined,
            Self::Safe(Lane::Other, _) | Self::Ignored => CallbackResult::Other,
            Self::Echo(_) => CallbackResult::Handshake,
            Self::BadQuery(_) | Self::Visitor | Self::Damaged | Self::BrokenBody => CallbackResult::BadRequest,
            Self::Forbidden => CallbackResult::BadSignature,
            Self::Stale | Self::Ahead => CallbackResult::Stale,
            Self::ForbiddenSource => CallbackResult::ForbiddenSource,
            Self::TooLarge => CallbackResult::TooLarge,
            Self::Timeout => CallbackResult::Timeout,
            Self::Overloaded(_) => CallbackResult::Overloaded,
            Self::NotFound | Self::MethodNotAllowed => return None,
        })
    }

    /// The label of `cardhook_answer_seconds`.
    pub(super) fn answered_by(&self) -> AnsweredBy {
        match self {
            Self::Safe(_, Safe { by_kafka: true, .. }) => AnsweredBy::Kafka,
            Self::Safe(_, Safe { by_kafka: false, .. }) => AnsweredBy::Disk,
            Self::Ignored
            | Self::Echo(_)
            | Self::BadQuery(_)
            | Self::Visitor
            | Self::Damaged
            | Self::BrokenBody
            | Self::Forbidden
            | Self::Stale
            | Self::Ahead
            | Self::ForbiddenSource
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::TooLarge
            | Self::Timeout
            | Self::Overloaded(_) => AnsweredBy::Nothing,
        }
    }

    /// The row of contract §2.
    pub(super) fn into_response(self) -> Response<Bytes> {
        match self {
            Self::Safe(..) | Self::Ignored => text(StatusCode::OK, Bytes::from_static(b"success")),
            Self::Echo(echostr) => text(StatusCode::OK, Bytes::from(echostr)),
            Self::BadQuery(error) => text(StatusCode::BAD_REQUEST, Bytes::from(error.to_string())),
            Self::BrokenBody => text(StatusCode::BAD_REQUEST, Bytes::from_static(b"the body is broken")),
            Self::Visitor => {
                let mut response = text(StatusCode::BAD_REQUEST, Bytes::from_static(VISITOR.as_bytes()));
                let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
                response.headers_mut().insert(header::CONTENT_TYPE, plain);
                response
            }
            Self::Damaged => text(StatusCode::BAD_REQUEST, Bytes::from_static(b"the body is not whole")),
            Self::Forbidden | Self::Stale | Self::Ahead | Self::ForbiddenSource => {
                text(StatusCode::FORBIDDEN, Bytes::from_static(b"forbidden"))
            }
            Self::NotFound => bare(StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => {
                let mut response = bare(StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, POST"));
                response
            }
            Self::TooLarge => bare(StatusCode::PAYLOAD_TOO_LARGE),
            Self::Timeout => bare(StatusCode::REQUEST_TIMEOUT),
            Self::Overloaded(_) => {
                let mut response = bare(StatusCode::SERVICE_UNAVAILABLE);
                response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
                response
            }
        }
    }
}

fn text(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = bare(status).set_body(body);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    response
}

fn bare(status: StatusCode) -> Response<Bytes> {
    Response::with_body(status, Bytes::new())
}
