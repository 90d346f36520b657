//! OpenTelemetry traces of pushes: one span for the request, one for its storing, one for its publishing, of one trace.
//!
//! Off unless OpenTelemetry's standard variables ask for it (`config` judges that); its own SDK reads them, gathers spans in a
//! bounded queue and sends them from a thread of its own. A collector that is away costs spans, never a push. Nothing personal
//! stands in a span: no openid, code, query or body.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{
        Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, TraceFlags, TracerProvider as _,
    },
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter as Export},
};

use crate::{clock, event::Record};

/// W3C's header of a trace: on a request, and on a record.
pub const TRACEPARENT: &str = "traceparent";

/// How long a stop waits for the spans that are not sent yet.
const FLUSH: Duration = Duration::from_secs(2);

/// A handle that makes spans, or does nothing where no traces are sent.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<SdkTracer>);

/// What sends the spans, until it is stopped.
#[derive(Debug)]
pub struct Exporting(SdkTracerProvider);

impl Exporting {
    /// Sends what is left, within two seconds. Blocks.
    pub fn stop(self) {
        if let Err(error) = self.0.shutdown_with_timeout(FLUSH) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

impl Traces {
    /// Sends spans where the environment's OTLP endpoint is.
    ///
    /// # Errors
    /// When the SDK cannot use what stands in the environment.
    pub fn start() -> Result<(Self, Exporting), ExporterBuildError> {
        let exporter =
            Reporting { exporter: SpanExporter::builder().with_http().build()?, fails: AtomicBool::new(false) };
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
        let tracer = provider.tracer(env!("CARGO_CRATE_NAME"));
        Ok((Self(Some(tracer)), Exporting(provider)))
    }

    /// The span of a request, `None` where no traces are sent: `asked` is not called then.
    #[must_use]
    pub fn request(&self, asked: impl FnOnce() -> Asked) -> Option<Box<Request>> {
        let tracer = self.0.as_ref()?;
        let Asked { method, route, account, parent } = asked();
        let name = format!("{method} {route}");
        let attributes = [
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route),
            KeyValue::new("cardhook.account", account),
        ];
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes(attributes);
        let parent = parent.as_deref().map(context).unwrap_or_default();
        Some(Box::new(Request(builder.start_with_context(tracer, &parent))))
    }

    /// The record was handed to the spool at `since`, and is fsynced now.
    pub fn stored(&self, record: &Record, since: Instant) {
        self.step(record, since, SpanKind::Internal, || ("store".into(), Vec::new()));
    }

    /// The record was handed to the producer at `since`, and the brokers have acknowledged it now.
    pub fn published(&self, record: &Record, since: Instant, place: &Place<'_>) {
        let span = || {
            let mut attributes = vec![
                KeyValue::new("messaging.system", "kafka"),
                KeyValue::new("messaging.operation.name", "send"),
                KeyValue::new("messaging.operation.type", "send"),
                KeyValue::new("messaging.destination.name", place.topic.to_owned()),
                KeyValue::new("messaging.destination.partition.id", place.partition.to_string()),
                KeyValue::new("messaging.kafka.offset", place.offset),
            ];
            if let Some(id) = record.headers.get("ce_id") {
                attributes.push(KeyValue::new("messaging.message.id", id.to_owned()));
            }
            (format!("send {}", place.topic).into(), attributes)
        };
        self.step(record, since, SpanKind::Producer, span);
    }

    /// A span of a record's trace that began at `since` and ends now. `span` gives its name and attributes.
    fn step(
        &self,
        record: &Record,
        since: Instant,
        kind: SpanKind,
        span: impl FnOnce() -> (Cow<'static, str>, Vec<KeyValue>),
    ) {
        let Some(tracer) = &self.0 else { return };
        let Some(parent) = record.headers.get(TRACEPARENT).map(context) else { return };
        if !parent.span().span_context().is_sampled() {
            return;
        }
        let began = now().checked_sub(since.elapsed()).unwrap_or_else(now);
        let (name, attributes) = span();
        let builder = SpanBuilder::from_name(name).with_kind(kind).with_start_time(began).with_attributes(attributes);
        builder.start_with_context(tracer, &parent).end();
    }
}

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

/// What a request's span says from its beginning.
#[derive(Debug)]
pub struct Asked {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The account's configured path.
    pub route: String,
    /// The account's name.
    pub account: String,
    /// The request's `traceparent`, where who sent it is believed.
    pub parent: Option<String>,
}

/// The span of a request that is not answered yet.
#[derive(Debug)]
pub struct Request(opentelemetry_sdk::trace::Span);

impl Request {
    /// What goes onto the record as `traceparent`: its later spans belong to this one.
    #[must_use]
    pub fn traceparent(&self) -> String {
        let context: &SpanContext = self.0.span_context();
        let flags = context.trace_flags() & TraceFlags::SAMPLED;
        format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), flags.to_u8())
    }

    /// The push is delivered: as an event of this type (`card.received`, `other`), or to the quarantine.
    pub fn delivers(&mut self, event_type: Option<&'static str>) {
        self.0.set_attribute(KeyValue::new("cardhook.event_type", event_type.unwrap_or("quarantined")));
    }

    /// It is answered. `result` is the label of `cardhook_callbacks_total`, `answered_by` that of `cardhook_answer_seconds`.
    pub fn answered(mut self, status: u16, result: Option<&'static str>, answered_by: &'static str) {
        self.0.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        self.0.set_attribute(KeyValue::new("cardhook.answered_by", answered_by));
        if let Some(result) = result {
            self.0.set_attribute(KeyValue::new("cardhook.result", result));
        }
        if status >= 500 {
            self.0.set_status(Status::error(""));
        }
        self.0.end();
    }
}

/// Who sends them: `cardhook`, unless the environment names the service.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let of_environment = Resource::builder().with_attribute(version.clone()).build();
    let named =
        of_environment.get(&"service.name".into()).is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    if named {
        return of_environment;
    }
    Resource::builder().with_attribute(version).with_service_name(env!("CARGO_PKG_NAME")).build()
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(clock::unix_micros())
}

/// What a `traceparent` says; one that does not read is none.
fn context(traceparent: &str) -> Context {
    struct One<'a>(&'a str);
    impl Extractor for One<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            (key == TRACEPARENT).then_some(self.0)
        }
        fn keys(&self) -> Vec<&str> {
            vec![TRACEPARENT]
        }
    }
    TraceContextPropagator::new().extract_with_context(&Context::new(), &One(traceparent))
}

/// Says once that spans cannot be sent, and once that they can again. Its text is the HTTP library's: a URL, no data.
#[derive(Debug)]
struct Reporting {
    exporter: SpanExporter,
    fails: AtomicBool,
}

impl Export for Reporting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exported = self.exporter.export(batch).await;
        let failed = self.fails.swap(exported.is_err(), Ordering::Relaxed);
        match &exported {
            Err(_) if failed => {}
            Err(error) => tracing::warn!(%error, "traces cannot be sent; spans are dropped until they can"),
            Ok(()) if failed => tracing::info!("traces are sent again"),
            Ok(()) => {}
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
