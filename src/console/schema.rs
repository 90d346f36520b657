//! The API as an `OpenAPI` 3.1 document, made of the types that it answers with.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use super::{
    answers::{Events, HintList, NewEvents, Problem, QuarantineRows, RefusedRows, Status, Tick},
    event::EventDetail,
    funnel::{Funnel, Over},
    series::{Series, Window},
};

/// The document that stands in `schemas/console-api.json`.
#[must_use]
pub fn api_schema() -> Value {
    let mut types = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .for_serialize()
        .into_generator();
    let account =
        || query("account", "An account's name; all accounts where it is not given.", &json!({"type": "string"}));
    let window = of::<Window>(&mut types);
    let over = of::<Over>(&mut types);
    let text = || json!({"type": "string"});
    let number = || json!({"type": "integer", "minimum": 1});
    let event_parameters = [
        account(),
        query("type", "An event type, such as card.received.", &text()),
        query("result", "accepted, duplicate, quarantined or overloaded.", &text()),
        query("before", "Only pushes with a smaller number.", &number()),
        query(
            "limit",
            "At most so many; 50 where it is not given.",
            &json!({"type": "integer", "minimum": 1, "maximum": 200}),
        ),
    ];
    let id = json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}});
    let paths = [
        ("/status", "How everything is.", vec![], of::<Status>(&mut types)),
        (
            "/series",
            "Counts and latencies over time.",
            vec![query("window", "How far back.", &window)],
            of::<Series>(&mut types),
        ),
        ("/events", "The last 500 pushes, masked.", event_parameters.to_vec(), of::<Events>(&mut types)),
        ("/events/{id}", "One push, masked.", vec![id], of::<EventDetail>(&mut types)),
        (
            "/funnel",
            "Cards by channel.",
            vec![account(), query("window", "Over which time.", &over)],
            of::<Funnel>(&mut types),
        ),
        ("/refused", "The last refused requests.", vec![account()], of::<RefusedRows>(&mut types)),
        ("/quarantine", "The last quarantined pushes.", vec![], of::<QuarantineRows>(&mut types)),
    ];
    let problem = of::<Problem>(&mut types);
    let mut documented = serde_json::Map::new();
    for (path, summary, parameters, answer) in paths {
        documented.insert(
            path.to_owned(),
            operation(summary, &parameters, &json!({"application/json": {"schema": answer}}), &problem),
        );
    }
    let messages = [of::<Tick>(&mut types), of::<NewEvents>(&mut types), of::<HintList>(&mut types)];
    let summary = "Server-sent events: `tick` once a second, `event` for new pushes, `hint` when the hints change, `bye` at a stop. \
                   The data of each is one of these, in this order; that of `bye` is empty. At most 32 streams, then 503.";
    let stream = json!({"text/event-stream": {"schema": {"oneOf": messages}}});
    documented.insert("/stream".to_owned(), operation(summary, &[], &stream, &problem));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "cardhook's console",
            "version": "1",
            "description": "Read-only, on the admin listener. With admin.token set, every request needs it as a Bearer token. \
                            Times are Unix milliseconds unless said otherwise. Fields are added within v1 and never changed.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{}, {"token": []}],
        "paths": documented,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": types.take_definitions(true),
        },
    })
}

fn of<T: JsonSchema>(types: &mut SchemaGenerator) -> Value {
    types.subschema_for::<T>().to_value()
}

fn query(name: &str, description: &str, schema: &Value) -> Value {
    json!({"name": name, "in": "query", "description": description, "schema": schema})
}

fn operation(summary: &str, parameters: &[Value], content: &Value, problem: &Value) -> Value {
    let problem =
        json!({"description": "What is wrong, and what to do.", "content": {"application/json": {"schema": problem}}});
    json!({"get": {
        "summary": summary,
        "parameters": parameters,
        "responses": {"200": {"description": "The answer.", "content": content}, "default": problem},
    }})
}
