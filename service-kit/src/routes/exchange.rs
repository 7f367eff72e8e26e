//! What surrounds each request: its id, its trace, its metrics and its log line.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use metrics::{Counter, Histogram};

use crate::problem::Cause;
use crate::trace::{Span, TraceContext};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the client spoke with a gateway before this.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A caller's request id is taken over up to this length.
const MAX_REQUEST_ID: usize = 128;

/// Asked by machines every few seconds: spans about that would hide the others.
const PROBES: [&str; 3] = ["/health", "/ready", "/metrics"];

/// The path of what no route is for.
pub(super) const UNMATCHED: &str = "unmatched";

/// While a dependency is down every request fails alike: one line in this time says it.
const OUTAGE_INTERVAL: Duration = Duration::from_secs(1);

/// What is counted where nobody waits for an answer any more: nginx's word for it, which no client ever sees.
const CLIENT_GONE: u16 = 499;

/// The statuses that are answered so often that their counters are kept at hand.
const STATUSES: [u16; 19] =
    [200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 409, 412, 413, 415, 422, CLIENT_GONE, 500, 503, 504];

/// Those that say that we have failed. They are counted from 0.
const FAILURES: [u16; 3] = [500, 503, 504];

/// The metrics of one endpoint. Handles are looked up once: a look-up hashes and allocates labels.
pub(super) struct Recorder {
    method: String,
    path: &'static str,
    /// What its spans are called; none, if it has none.
    span: Option<String>,
    seconds: Histogram,
    requests: [OnceLock<Counter>; STATUSES.len()],
    outage: Mutex<Outage>,
}

/// When an unavailable dependency was last logged for this endpoint, and what was not since.
#[derive(Default)]
struct Outage {
    logged: Option<Instant>,
    unlogged: u64,
}

impl Recorder {
    pub(super) fn new(method: &str, path: &'static str) -> Self {
        let recorder = Self {
            method: method.to_owned(),
            path,
            span: (path != UNMATCHED && !PROBES.contains(&path)).then(|| format!("{method} {path}")),
            seconds: metrics::histogram!(
                "orderflow_http_request_duration_seconds", "method" => method.to_owned(), "route" => path),
            requests: std::array::from_fn(|_| OnceLock::new()),
            outage: Mutex::default(),
        };
        // A counter that appears with its first failure looks to Prometheus as if it had never risen.
        for (slot, _) in STATUSES.iter().enumerate().filter(|(_, status)| FAILURES.contains(status)) {
            recorder.requests[slot].get_or_init(|| recorder.counter(STATUSES[slot]));
        }
        recorder
    }

    fn count(&self, status: u16) {
        match STATUSES.iter().position(|known| *known == status) {
            // Made on first use, so that /metrics does not list what never happened; but for failures, see `new`.
            Some(slot) => self.requests[slot].get_or_init(|| self.counter(status)).increment(1),
            None => self.counter(status).increment(1),
        }
    }

    /// How many failures went unlogged since the last one that was, if another is due.
    fn may_log_outage(&self) -> Option<u64> {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        if outage.logged.is_some_and(|at| at.elapsed() < OUTAGE_INTERVAL) {
            outage.unlogged += 1;
            return None;
        }
        outage.logged = Some(Instant::now());
        Some(std::mem::take(&mut outage.unlogged))
    }

    fn counter(&self, status: u16) -> Counter {
        let (method, status) = (self.method.clone(), status.to_string());
        metrics::counter!(
            "orderflow_http_requests_total", "method" => method, "route" => self.path, "status" => status)
    }
}

/// A body up to this length comes with its head, and is out of the way whether or not somebody reads it.
const SHORT_BODY: u64 = 8 << 10;

/// One request and its answer.
pub(super) struct Exchange {
    started: Instant,
    trace: TraceContext,
    span: Span,
    request_id: HeaderValue,
    has_long_body: bool,
}

impl Exchange {
    /// The caller's request id is kept if it is a plain one; otherwise the trace's id serves.
    pub(super) fn begin(request: &Request, recorder: &Recorder) -> Self {
        let headers = request.headers();
        let (trace, caller) = TraceContext::of_request(headers);
        let given = headers.get(REQUEST_ID).filter(|value| {
            !value.is_empty() && value.len() <= MAX_REQUEST_ID && value.as_bytes().iter().all(u8::is_ascii_graphic)
        });
        let request_id = given.cloned().unwrap_or_else(|| trace.trace_id_header());
        let mut span = match &recorder.span {
            // What is there to GET can be asked for its HEAD.
            Some(_) if request.method() == Method::HEAD => Span::server(trace, caller, || format!("HEAD {}", recorder.path)),
            Some(name) => Span::server(trace, caller, || name.clone()),
            None => Span::none(),
        };
        if span.is_recorded() {
            describe(&mut span, request, &request_id, recorder);
        }
        Self { started: Instant::now(), trace, span, request_id, has_long_body: has_long_body(headers) }
    }

    pub(super) fn trace(&self) -> TraceContext {
        self.trace
    }

    /// Counts, logs and labels the answer.
    pub(super) fn end(mut self, recorder: &Recorder, mut response: Response) -> Response {
        let status = response.status().as_u16();
        let cause = response.extensions_mut().remove::<Cause>().map(|Cause(cause)| cause);
        self.span.set("http.response.status_code", i64::from(status));
        if status >= 500 && self.span.is_recorded() {
            self.span.fail(status.to_string(), cause.as_deref().unwrap_or_default());
        }
        self.close(recorder, status, cause.as_deref(), "request");
        response.headers_mut().insert(REQUEST_ID, self.request_id);
        if status >= 400 && self.has_long_body {
            // Perhaps nobody has read it, and then the connection ends here. A client that is not told would send its next
            // request into the closing one.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Counts and logs that there will be no answer: the handler was dropped, as it is when its client goes away.
    pub(super) fn abandon(mut self, recorder: &Recorder) {
        self.span.fail("client-gone", "dropped before it was answered");
        self.close(recorder, CLIENT_GONE, None, "the client has gone before the answer");
    }

    fn close(&self, recorder: &Recorder, status: u16, cause: Option<&str>, message: &str) {
        let elapsed = self.started.elapsed().as_secs_f64();
        recorder.seconds.record(elapsed);
        recorder.count(status);
        match cause {
            Some(cause) => self.log_failure(recorder, status, cause),
            None => tracing::debug!(
                http.method = recorder.method,
                http.path = recorder.path,
                http.status = status,
                request.id = self.request_id(),
                trace.id = self.trace.trace_id(),
                span.id = self.trace.span_id(),
                duration_ms = elapsed * 1e3,
                "{message}"
            ),
        }
    }

    fn log_failure(&self, recorder: &Recorder, status: u16, cause: &str) {
        let (method, path, id) = (&*recorder.method, recorder.path, self.request_id());
        match status {
            503 | 504 => {
                if let Some(unlogged) = recorder.may_log_outage() {
                    tracing::warn!(
                        http.method = method,
                        http.path = path,
                        http.status = status,
                        request.id = id,
                        trace.id = self.trace.trace_id(),
                        span.id = self.trace.span_id(),
                        cause,
                        unlogged,
                        "request failed"
                    );
                }
            }
            500.. => tracing::error!(
                http.method = method,
                http.path = path,
                http.status = status,
                request.id = id,
                trace.id = self.trace.trace_id(),
                span.id = self.trace.span_id(),
                cause,
                "request failed"
            ),
            _ => tracing::debug!(
                http.method = method,
                http.path = path,
                http.status = status,
                request.id = id,
                trace.id = self.trace.trace_id(),
                span.id = self.trace.span_id(),
                cause,
                "request refused"
            ),
        }
    }

    fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }
}

/// By the semantic conventions for HTTP servers: what is known of a request before it is handled.
fn describe(span: &mut Span, request: &Request, request_id: &HeaderValue, recorder: &Recorder) {
    span.set("http.request.method", request.method().as_str().to_owned());
    span.set("http.route", recorder.path);
    span.set("url.path", request.uri().path().to_owned());
    // The client's, as a gateway tells it; this server itself speaks nothing else than HTTP.
    let is_https = request.headers().get(FORWARDED_PROTO).is_some_and(|scheme| scheme == "https");
    span.set("url.scheme", if is_https { "https" } else { "http" });
    span.set("orderflow.request.id", request_id.to_str().unwrap_or_default().to_owned());
}

fn has_long_body(headers: &HeaderMap) -> bool {
    match headers.get(header::CONTENT_LENGTH) {
        Some(length) => length.to_str().ok().and_then(|length| length.parse().ok()).is_none_or(|length: u64| length > SHORT_BODY),
        None => headers.contains_key(header::TRANSFER_ENCODING),
    }
}
