//! A collector of traces and logs on a socket of its own: it takes OTLP over HTTP as protobuf, and keeps what it was told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
pub use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest,
        trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse},
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1 as otlp,
};
use prost::Message;
use tokio::{net::TcpListener, task::JoinHandle};

/// A span as it was told, with ids in hex digits.
#[derive(Debug, Clone)]
pub struct Span {
    /// Who tells.
    pub service: String,
    /// Its name.
    pub name: String,
    /// What it is to others.
    pub kind: SpanKind,
    /// Whether it has failed.
    pub has_failed: bool,
    /// Its trace.
    pub trace_id: String,
    /// Its id.
    pub span_id: String,
    /// The span that it is part of; empty for a root.
    pub parent: String,
    /// What is said of it.
    pub attributes: BTreeMap<String, String>,
    /// Traces and spans that it has to do with.
    pub links: Vec<(String, String)>,
    /// When it began and ended, in nanoseconds since 1970.
    pub time: (u64, u64),
}

/// A log line as it was told.
#[derive(Debug, Clone)]
pub struct Record {
    /// Who tells.
    pub service: String,
    /// The message.
    pub body: String,
    /// The level.
    pub severity: String,
    /// Its trace; empty, if it is of none.
    pub trace_id: String,
    /// What is said beside the message.
    pub attributes: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Told {
    spans: Vec<Span>,
    records: Vec<Record>,
}

/// The collector. It ends when it is dropped.
#[derive(Debug)]
pub struct Collector {
    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be.
    pub endpoint: String,
    told: Arc<Mutex<Told>>,
    server: JoinHandle<()>,
}

impl Collector {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    pub async fn start() -> Self {
        let told = Arc::<Mutex<Told>>::default();
        let router = Router::new().route("/v1/traces", post(traces)).route("/v1/logs", post(logs));
        Self::serve(router.with_state(Arc::clone(&told)), told).await
    }

    /// One that takes all and keeps nothing, for measurements.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    pub async fn sink() -> Self {
        Self::serve(Router::new().fallback(async |_: Bytes| StatusCode::OK), Arc::default()).await
    }

    /// One that refuses a span and a line of each request, and takes the others.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    pub async fn picky() -> Self {
        let refusal = ExportTracePartialSuccess { rejected_spans: 1, error_message: "one too many".to_owned() };
        // Answers about logs have the same shape.
        let answer = ExportTraceServiceResponse { partial_success: Some(refusal) }.encode_to_vec();
        Self::serve(Router::new().fallback(async move |_: Bytes| answer.clone()), Arc::default()).await
    }

    async fn serve(router: Router, told: Arc<Mutex<Told>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("a server") });
        Self { endpoint, told, server }
    }

    /// All spans that were told so far.
    ///
    /// # Panics
    ///
    /// Never.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.told.lock().expect("no panic").spans.clone()
    }

    /// All log lines that were told so far.
    ///
    /// # Panics
    ///
    /// Never.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.told.lock().expect("no panic").records.clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn traces(State(told): State<Arc<Mutex<Told>>>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
    for of_resource in request.resource_spans {
        let service = service(of_resource.resource.as_ref());
        let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
        told.lock().expect("no panic").spans.extend(spans.map(|span| told_span(&service, &span)));
    }
    StatusCode::OK
}

async fn logs(State(told): State<Arc<Mutex<Told>>>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportLogsServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
    for of_resource in request.resource_logs {
        let service = service(of_resource.resource.as_ref());
        let records = of_resource.scope_logs.into_iter().flat_map(|of_scope| of_scope.log_records);
        let records = records.map(|record| Record {
            service: service.clone(),
            body: text(record.body.as_ref()),
            severity: record.severity_text,
            trace_id: hex(&record.trace_id),
            attributes: attributes(&record.attributes),
        });
        told.lock().expect("no panic").records.extend(records);
    }
    StatusCode::OK
}

fn told_span(service: &str, span: &otlp::Span) -> Span {
    Span {
        service: service.to_owned(),
        name: span.name.clone(),
        kind: span.kind(),
        has_failed: span.status.as_ref().is_some_and(|status| status.code() == otlp::status::StatusCode::Error),
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        attributes: attributes(&span.attributes),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        time: (span.start_time_unix_nano, span.end_time_unix_nano),
    }
}

fn service(resource: Option<&Resource>) -> String {
    let attributes = resource.map(|resource| attributes(&resource.attributes)).unwrap_or_default();
    attributes.get("service.name").cloned().unwrap_or_default()
}

fn attributes(of: &[KeyValue]) -> BTreeMap<String, String> {
    of.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref()))).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
