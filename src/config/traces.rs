//! Whether OpenTelemetry's standard variables ask for traces, and what of them cardhook cannot do.
//!
//! The values that are accepted are read by OpenTelemetry's own SDK. Does not depend on it.

use super::ConfigError;

/// What OpenTelemetry's variables begin with.
const PREFIX: &str = "OTEL_";
/// Traces are sent where the first of these that is set says.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const COMPRESSIONS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const DISABLED: &str = "OTEL_SDK_DISABLED";
/// The one protocol that is spoken.
const PROTOCOL: &str = "http/protobuf";

/// Whether a variable speaks to OpenTelemetry's SDK.
pub(super) fn is_meant(variable: &str) -> bool {
    variable.starts_with(PREFIX)
}

/// Whether traces are sent: where an OTLP endpoint is set, or `OTEL_TRACES_EXPORTER` is `otlp`, and neither
/// `OTEL_SDK_DISABLED` nor `OTEL_TRACES_EXPORTER=none` says otherwise.
pub(super) fn are_sent(variables: &[(String, String)], errors: &mut Vec<ConfigError>) -> bool {
    // An empty value is none, as OpenTelemetry's specification says.
    let set = |wanted: &str| {
        variables.iter().find(|(name, value)| name == wanted && !value.is_empty()).map(|(_, value)| value.as_str())
    };
    let first = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, set(name)?)));
    let exporter = set(EXPORTER);
    if set(DISABLED).is_some_and(|disabled| disabled.eq_ignore_ascii_case("true")) || exporter == Some("none") {
        return false;
    }
    let endpoint = first(ENDPOINTS);
    if endpoint.is_none() && exporter.is_none() {
        return false;
    }
    let mut refuse = |name: &str, problem: &str, cure: &str| errors.push(ConfigError::new(name, problem, cure));
    if exporter.is_some_and(|exporter| exporter != "otlp") {
        refuse(EXPORTER, "is neither otlp nor none", "write otlp: cardhook sends traces over OTLP only");
    }
    // Its value is not shown: a URL can hold a password.
    if let Some((name, url)) = endpoint {
        if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
            refuse(name, "is no URL that begins with http:// or https://", "write it as http://collector:4318");
        } else if url.contains('@') {
            refuse(name, "holds a user or a password", "write them into OTEL_EXPORTER_OTLP_HEADERS");
        }
    }
    if let Some((name, protocol)) = first(PROTOCOLS)
        && protocol != PROTOCOL
    {
        let cure = "write http/protobuf, and the collector's port for it (4318 by default) into the endpoint";
        refuse(name, &format!("{protocol:?} is not spoken"), cure);
    }
    if let Some((name, compression)) = first(COMPRESSIONS)
        && compression != "none"
    {
        refuse(name, &format!("{compression:?} is not done"), "write none, or leave it out");
    }
    true
}
