//! Who may import whom (the architecture's rule), read from the sources.

use std::path::Path;

use crate::support::project;

/// A folder or file of `src`, and what stands there under no circumstances.
struct Layer {
    name: &'static str,
    /// Modules of ours that it may name.
    ours: &'static [&'static str],
    /// Crates that it may not name.
    banned: &'static [&'static str],
}

const LAYERS: [Layer; 15] = [
    Layer {
        name: "protocol",
        ours: &["protocol"],
        banned: &[
            "serde",
            "serde_json",
            "tokio",
            "actix_web",
            "actix_http",
            "actix_server",
            "rdkafka",
            "rusqlite",
            "reqwest",
            "hyper",
            "hyper_util",
            "hyper_tls",
        ],
    },
    Layer {
        name: "event",
        ours: &["protocol", "event"],
        banned: &[
            "tokio",
            "actix_web",
            "actix_http",
            "actix_server",
            "rdkafka",
            "rusqlite",
            "reqwest",
            "hyper",
            "hyper_util",
            "hyper_tls",
        ],
    },
    Layer {
        name: "delivery",
        ours: &["event", "delivery", "metrics", "clock", "telemetry"],
        banned: &["actix_web", "actix_http", "actix_server", "reqwest", "hyper", "hyper_util", "hyper_tls"],
    },
    Layer {
        name: "http",
        ours: &["protocol", "event", "delivery", "unverified", "console", "http", "metrics", "clock", "telemetry"],
        banned: &["rdkafka", "rusqlite"],
    },
    Layer {
        name: "console",
        ours: &["event", "delivery", "console", "mask", "metrics", "clock"],
        banned: &["rdkafka", "rusqlite", "reqwest"],
    },
    Layer {
        name: "wechat_api",
        ours: &["wechat_api", "clock"],
        banned: &["actix_web", "actix_http", "actix_server", "rdkafka", "rusqlite"],
    },
    Layer {
        name: "unverified",
        ours: &["unverified", "clock"],
        banned: &["tokio", "actix_web", "actix_http", "actix_server", "rdkafka", "rusqlite", "reqwest"],
    },
    Layer {
        name: "schema_registry.rs",
        ours: &["schema_registry"],
        banned: &["actix_web", "actix_http", "actix_server", "rdkafka", "rusqlite"],
    },
    Layer {
        name: "config",
        // Their newtypes, and `AnswerAfter`.
        ours: &["protocol", "wechat_api", "delivery", "config"],
        banned: &["tokio", "actix_web", "actix_http", "actix_server", "rusqlite", "reqwest"],
    },
    Layer {
        name: "metrics",
        ours: &["metrics", "clock"],
        banned: &["tokio", "actix_web", "actix_http", "actix_server", "rdkafka", "rusqlite", "reqwest", "hyper"],
    },
    Layer {
        name: "telemetry",
        ours: &["event", "clock", "telemetry"],
        banned: &["tokio", "actix_web", "actix_http", "actix_server", "rdkafka", "rusqlite", "reqwest", "hyper"],
    },
    Layer {
        name: "app",
        ours: &[
            "protocol",
            "event",
            "delivery",
            "http",
            "unverified",
            "console",
            "mask",
            "wechat_api",
            "schema_registry",
            "config",
            "metrics",
            "telemetry",
            "clock",
            "app",
            "cluster",
            "finding",
        ],
        banned: &["rdkafka", "rusqlite", "reqwest", "hyper"],
    },
    Layer {
        name: "cli",
        ours: &[
            "protocol",
            "event",
            "delivery",
            "http",
            "unverified",
            "console",
            "mask",
            "wechat_api",
            "schema_registry",
            "config",
            "metrics",
            "telemetry",
            "clock",
            "app",
            "cli",
            "cluster",
            "finding",
        ],
        banned: &["rusqlite"],
    },
    Layer {
        name: "cluster",
        ours: &["event", "delivery", "config", "clock", "finding", "cluster"],
        banned: &["actix_web", "actix_http", "actix_server", "rusqlite", "reqwest", "hyper"],
    },
    Layer {
        name: "finding.rs",
        ours: &["finding"],
        banned: &["tokio", "actix_web", "actix_http", "actix_server", "rdkafka", "rusqlite", "reqwest", "hyper"],
    },
];

/// Reading the clock and making random bytes, which `protocol` leaves to its callers.
const IMPURE: [&str; 6] = ["SystemTime", "Instant", "jiff", "getrandom", "rand", "env"];

/// What a source of a layer names and may not.
fn breaches(layer: &Layer, source: &str) -> Vec<String> {
    let code = without_comments_and_text(source);
    let words = paths(&code);
    let ours = words.iter().filter(|path| path[0] == "crate" || path[0] == "cardhook");
    let ours = ours.filter(|path| path.get(1).is_some_and(|module| !layer.ours.contains(&module.as_str())));
    let crates = words.iter().filter(|path| layer.banned.contains(&path[0].as_str()));
    let impure =
        words.iter().filter(|path| layer.name == "protocol" && path.iter().any(|part| IMPURE.contains(&part.as_str())));
    ours.chain(crates).chain(impure).map(|path| path.join("::")).collect()
}

/// Every path of the source, `use` trees taken apart: `use crate::{a, b::c}` gives `crate::a` and `crate::b::c`.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    // What stands before each open brace of a `use` tree, and the path that is being read.
    let (mut outer, mut path): (Vec<Vec<String>>, Vec<String>) = (Vec::new(), Vec::new());
    let mut joined = false;
    for token in tokens(code) {
        match token.as_str() {
            "::" => joined = true,
            "{" if joined => {
                outer.push(std::mem::take(&mut path));
                path.clone_from(outer.last().unwrap());
                joined = false;
            }
            "," | "}" if !outer.is_empty() => {
                found.push(std::mem::take(&mut path));
                if token == "}" {
                    outer.pop();
                }
                path = outer.last().cloned().unwrap_or_default();
                joined = false;
            }
            word => {
                let in_tree = outer.last().is_some_and(|before| *before == path);
                if !joined && !in_tree {
                    found.push(std::mem::take(&mut path));
                }
                if word.starts_with(|first: char| first.is_alphabetic() || first == '_') {
                    path.push(word.to_owned());
                }
                joined = false;
            }
        }
    }
    found.push(path);
    found.retain(|path| !path.is_empty());
    found
}

/// Words, `::`, and every other character that is no white space by itself.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let length = if word > 0 {
            word
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        if !token.trim().is_empty() {
            tokens.push(token.to_owned());
        }
        rest = after;
    }
    tokens
}

/// The source without what may speak of anything: comments and string literals, line by line.
fn without_comments_and_text(source: &str) -> String {
    let lines = source.lines().map(|line| {
        let code = line.split("//").next().unwrap_or_default();
        code.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The Rust sources of a layer: a folder, or one file.
fn sources(path: &Path) -> Vec<(String, String)> {
    if path.is_dir() {
        return std::fs::read_dir(path).unwrap().flat_map(|entry| sources(&entry.unwrap().path())).collect();
    }
    let rust = path.extension().is_some_and(|extension| extension == "rs");
    if rust { vec![(path.display().to_string(), std::fs::read_to_string(path).unwrap())] } else { Vec::new() }
}

#[test]
fn no_module_imports_what_its_layer_may_not() {
    for layer in &LAYERS {
        let sources = sources(&project("src").join(layer.name));
        assert!(!sources.is_empty(), "src/{} is gone: is this list out of date?", layer.name);
        for (path, source) in sources {
            let breaches = breaches(layer, &source);
            assert!(breaches.is_empty(), "{path} names {breaches:?}");
        }
    }
}

#[test]
fn a_planted_breach_is_caught_however_it_is_written() {
    let planted = [
        (0, "use crate::event::CardEvent;", "crate::event::CardEvent"),
        (0, "use crate::{\n    protocol::xml,\n    clock,\n};", "crate::clock"),
        (0, "fn now() { std::time::SystemTime::now() }", "std::time::SystemTime::now"),
        (0, "#[derive(serde::Serialize)] struct A;", "serde::Serialize"),
        (1, "use crate::{protocol::{Message, Mode}, delivery::{self, Lane}};", "crate::delivery::self"),
        (2, "fn f() { let _ = actix_web::HttpServer::new; }", "actix_web::HttpServer::new"),
        (0, "use hyper::Uri;", "hyper::Uri"),
        (1, "fn f(_: hyper_util::rt::TokioTimer) {}", "hyper_util::rt::TokioTimer"),
        (2, "use hyper_util::client;", "hyper_util::client"),
        (3, "use rusqlite as database;", "rusqlite"),
        (3, "use crate::app::App;", "crate::app::App"),
        (5, "use crate::protocol::AppId;", "crate::protocol::AppId"),
        (8, "use crate::http::Endpoints;", "crate::http::Endpoints"),
        (9, "use crate::config::Config;", "crate::config::Config"),
        (11, "use crate::cli::run;", "crate::cli::run"),
        (12, "use rusqlite::Connection;", "rusqlite::Connection"),
        (13, "use crate::app::App;", "crate::app::App"),
    ];
    for (layer, source, breach) in planted {
        let found = breaches(&LAYERS[layer], source);
        assert!(found.iter().any(|path| path == breach), "{source}: {found:?}");
    }
}

#[test]
fn what_a_layer_may_import_is_no_breach() {
    let allowed = [
        (0, "// crate::event is above us\nuse std::borrow::Cow;\nuse crate::protocol::{xml::Document, sign};"),
        (1, "use crate::{protocol::Message, event::EventId}; const A: &str = \"rdkafka::producer\";"),
        (2, "use rdkafka::producer::Producer; use crate::{clock, metrics::Metrics};"),
    ];
    for (layer, source) in allowed {
        assert_eq!(breaches(&LAYERS[layer], source), [] as [String; 0], "{source}");
    }
}
