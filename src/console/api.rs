//! `api/v1/`: what the console remembers, as JSON. GET only; nothing is kept by caches.

use std::collections::BTreeMap;

use actix_web::{
    HttpResponse, Resource,
    http::{
        Method, StatusCode,
        header::{ALLOW, CACHE_CONTROL},
    },
    web,
};
use serde::{Deserialize, Serialize};

use super::{
    Console,
    answers::{Events, Figures, Problem, QuarantineRows, RefusedRows, Status},
    funnel::Over,
    series::Window,
    state::{ROWS, State},
    stream,
};
use crate::{clock, metrics::CallbackResult};

/// Rows of `events` where nothing is said, and at most.
const LIMIT: (usize, usize) = (50, 200);

/// The API's resources, to be put under `/api/v1`.
pub(crate) fn routes(config: &mut web::ServiceConfig) {
    let get = |path: &str, route: actix_web::Route| -> Resource {
        let not_allowed = web::route().to(async || {
            let mut refusal = problem(StatusCode::METHOD_NOT_ALLOWED, "the API is read-only", "use GET");
            refusal.headers_mut().insert(ALLOW, actix_web::http::header::HeaderValue::from_static("GET"));
            refusal
        });
        web::resource(path).route(route.method(Method::GET)).default_service(not_allowed)
    };
    config
        .service(get("/status", web::route().to(status)))
        .service(get("/series", web::route().to(series)))
        .service(get("/events", web::route().to(events)))
        .service(get("/events/{id}", web::route().to(event)))
        .service(get("/funnel", web::route().to(funnel)))
        .service(get("/refused", web::route().to(refused)))
        .service(get("/quarantine", web::route().to(quarantine)))
        .service(get("/stream", web::route().to(stream::open)))
        .app_data(web::QueryConfig::default().error_handler(|error, _| {
            let refusal = problem(
                StatusCode::BAD_REQUEST,
                &error.to_string(),
                "schemas/console-api.json lists the parameters of each path",
            );
            actix_web::error::InternalError::from_response(error, refusal).into()
        }))
        .default_service(web::route().to(async || {
            problem(StatusCode::NOT_FOUND, "there is no such path", "schemas/console-api.json lists them")
        }));
}

fn json(answer: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("x-content-type-options", "nosniff"))
        .json(answer)
}

/// An answer that is an error.
pub(crate) fn problem(status: StatusCode, error: &str, hint: &str) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("x-content-type-options", "nosniff"))
        .json(Problem { error: error.to_owned(), hint: hint.to_owned() })
}

async fn status(console: web::Data<Console>) -> HttpResponse {
    let now_ms = clock::unix_millis();
    let state = console.state();
    let snapshot = &state.snapshot;
    let answered_by = ["kafka", "disk", "none"].into_iter().zip(state.answered_by.minutes(60, now_ms));
    json(&Status {
        version: env!("CARGO_PKG_VERSION"),
        started_at: console.started_at,
        now: now_ms,
        verdict: state.hints.verdict(),
        checks: snapshot.checks,
        figures: Figures::of(&state, now_ms),
        accounts: state.accounts.iter().map(|account| account.status(now_ms)).collect(),
        kafka: snapshot.kafka.clone(),
        spool: snapshot.spool.clone(),
        dedup: snapshot.dedup.clone(),
        allow_list: if snapshot.allow_list_known { "known" } else { "unknown" },
        answered_by: answered_by.collect::<BTreeMap<_, _>>(),
        dropped: console.metrics.observer_dropped.get(),
        hints: state.hints.all(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeriesQuery {
    #[serde(default)]
    window: Window,
}

async fn series(query: web::Query<SeriesQuery>, console: web::Data<Console>) -> HttpResponse {
    let series = console.state().rings.series(query.window, usize::MAX);
    json(&series)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    account: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    result: Option<String>,
    before: Option<u64>,
    limit: Option<usize>,
}

async fn events(query: web::Query<EventsQuery>, console: web::Data<Console>) -> HttpResponse {
    let limit = query.limit.unwrap_or(LIMIT.0).min(LIMIT.1);
    if limit == 0 {
        let hint = format!("use 1 to {}; without it {} rows are shown", LIMIT.1, LIMIT.0);
        return problem(StatusCode::BAD_REQUEST, "limit is 0", &hint);
    }
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (event_type, result) = (given(&query.event_type), given(&query.result));
    if result.as_ref().is_some_and(|result| !CallbackResult::ALL.iter().any(|known| known.label() == *result)) {
        let hint = "use accepted, duplicate, quarantined or overloaded; what was refused stands in refused";
        return problem(StatusCode::BAD_REQUEST, "there is no such result", hint);
    }
    let state = console.state();
    let Ok(account) = of_account(query.account.as_deref(), &state) else { return no_account() };
    let matching = state.events.iter().rev().filter(|kept| {
        query.before.is_none_or(|before| kept.number < before)
            && account.is_none_or(|account| kept.account == account)
            && event_type.as_ref().is_none_or(|wanted| kept.sight.event_type == Some(wanted.as_str()))
            && result.as_ref().is_none_or(|wanted| kept.result.label() == wanted)
    });
    let mut rows: Vec<_> = matching.take(limit + 1).map(|kept| kept.row(state.name(kept.account))).collect();
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.number);
    json(&Events { events: rows, next })
}

async fn event(id: web::Path<String>, console: web::Data<Console>) -> HttpResponse {
    let state = console.state();
    let found = state.events.iter().rev().find(|kept| kept.sight.event_id.to_string() == *id);
    match found {
        Some(kept) => {
            let has_kafka = state.snapshot.checks.kafka.is_some();
            let published = state.positions.get(&kept.sight.event_id);
            json(&kept.detail(state.name(kept.account), published, state.snapshot.spool.oldest, has_kafka))
        }
        None => problem(
            StatusCode::NOT_FOUND,
            "the console keeps the last 500 pushes, and this one is not among them",
            "look for its event_id in the topic: cardhook tail --config FILE --from-beginning --json | grep ID",
        ),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FunnelQuery {
    account: Option<String>,
    #[serde(default)]
    window: Over,
}

async fn funnel(query: web::Query<FunnelQuery>, console: web::Data<Console>) -> HttpResponse {
    let state = console.state();
    match of_account(query.account.as_deref(), &state) {
        Ok(account) => json(&state.channels.top(query.window, account, clock::unix_millis())),
        Err(NoAccount) => no_account(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountQuery {
    account: Option<String>,
}

async fn refused(query: web::Query<AccountQuery>, console: web::Data<Console>) -> HttpResponse {
    let state = console.state();
    let Ok(wanted) = of_account(query.account.as_deref(), &state) else { return no_account() };
    let accounts = state.accounts.iter().enumerate();
    let accounts = accounts.filter(|(place, _)| wanted.is_none_or(|wanted| wanted == *place));
    let mut rows: Vec<_> = accounts.flat_map(|(_, account)| account.refusals.iter().cloned()).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.at));
    rows.truncate(ROWS);
    json(&RefusedRows { refused: rows })
}

async fn quarantine(console: web::Data<Console>) -> HttpResponse {
    let rows = console.state().quarantine.iter().rev().cloned().collect();
    json(&QuarantineRows { quarantine: rows })
}

/// The account that was asked for, if one was; the error: there is none of this name.
fn of_account(name: Option<&str>, state: &State) -> Result<Option<usize>, NoAccount> {
    match name.filter(|name| !name.is_empty()) {
        Some(name) => state.account(name).map(Some).ok_or(NoAccount),
        None => Ok(None),
    }
}

struct NoAccount;

fn no_account() -> HttpResponse {
    problem(StatusCode::NOT_FOUND, "no account has this name", "status lists the accounts")
}
