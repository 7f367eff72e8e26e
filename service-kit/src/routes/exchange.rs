//! What surrounds each request: its id, its trace, its metrics and its log line.

use std::sync::OnceLock;
use std::time::Instant;

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};
use metrics::{Counter, Histogram};

use crate::problem::Cause;
use crate::trace::TraceContext;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A caller's request id is taken over up to this length.
const MAX_REQUEST_ID: usize = 128;

/// The statuses that are answered so often that their counters are kept at hand.
const STATUSES: [u16; 18] = [200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 500, 503, 504];

/// The metrics of one endpoint. Handles are looked up once: a look-up hashes and allocates labels.
pub(super) struct Recorder {
    method: String,
    path: &'static str,
    seconds: Histogram,
    requests: [OnceLock<Counter>; STATUSES.len()],
}

impl Recorder {
    pub(super) fn new(method: &str, path: &'static str) -> Self {
        Self {
            method: method.to_owned(),
            path,
            seconds: metrics::histogram!(
                "orderflow_http_request_seconds", "method" => method.to_owned(), "path" => path),
            requests: std::array::from_fn(|_| OnceLock::new()),
        }
    }

    fn count(&self, status: u16) {
        match STATUSES.iter().position(|known| *known == status) {
            // Made on first use, so that /metrics does not list what never happened.
            Some(slot) => self.requests[slot].get_or_init(|| self.counter(status)).increment(1),
            None => self.counter(status).increment(1),
        }
    }

    fn counter(&self, status: u16) -> Counter {
        let (method, status) = (self.method.clone(), status.to_string());
        metrics::counter!(
            "orderflow_http_requests_total", "method" => method, "path" => self.path, "status" => status)
    }
}

/// One request and its answer.
pub(super) struct Exchange {
    started: Instant,
    trace: TraceContext,
    request_id: HeaderValue,
}

impl Exchange {
    /// The caller's request id is kept if it is a plain one; otherwise the trace's id serves.
    pub(super) fn begin(headers: &HeaderMap) -> Self {
        let trace = TraceContext::from_headers(headers);
        let given = headers.get(REQUEST_ID).filter(|value| {
            !value.is_empty() && value.len() <= MAX_REQUEST_ID && value.as_bytes().iter().all(u8::is_ascii_graphic)
        });
        let request_id = given.cloned().unwrap_or_else(|| trace.trace_id_header());
        Self { started: Instant::now(), trace, request_id }
    }

    pub(super) fn trace(&self) -> TraceContext {
        self.trace
    }

    /// Counts, logs and labels the answer.
    pub(super) fn end(self, recorder: &Recorder, mut response: Response) -> Response {
        let (status, elapsed) = (response.status().as_u16(), self.started.elapsed().as_secs_f64());
        recorder.seconds.record(elapsed);
        recorder.count(status);
        let (method, path) = (&*recorder.method, recorder.path);
        let request_id = self.request_id.to_str().unwrap_or_default();
        if let Some(Cause(cause)) = response.extensions_mut().remove() {
            let trace_id = self.trace.trace_id();
            if status >= 500 {
                tracing::error!(
                    http.method = method,
                    http.path = path,
                    http.status = status,
                    request.id = request_id,
                    trace.id = trace_id,
                    cause,
                    "request failed"
                );
            } else {
                tracing::debug!(
                    http.method = method,
                    http.path = path,
                    http.status = status,
                    request.id = request_id,
                    trace.id = trace_id,
                    cause,
                    "request refused"
                );
            }
        } else {
            tracing::debug!(
                http.method = method,
                http.path = path,
                http.status = status,
                request.id = request_id,
                duration_ms = elapsed * 1e3,
                "request"
            );
        }
        response.headers_mut().insert(REQUEST_ID, self.request_id);
        response
    }
}
