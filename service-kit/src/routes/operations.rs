//! `/health`, `/ready` and `/metrics`: for machines that watch, without a token.

use axum::response::IntoResponse;
use http::{Method, StatusCode, header};

use super::Routes;
use crate::health::Health;
use crate::metrics::observe_process;
use crate::telemetry::Metrics;

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Adds `GET /health` (alive), `/ready` (able to work) and `/metrics` (Prometheus).
    #[must_use]
    pub fn operations(self, health: &Health, metrics: &Metrics) -> Self {
        let (health, metrics) = (health.clone(), metrics.clone());
        self.public(Method::GET, "/health", async || json(StatusCode::OK, r#"{"status":"ok"}"#))
            .public(Method::GET, "/ready", async move || {
                let report = health.report().await;
                let status = if report.status == "ready" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                let body = serde_json::to_string(&report).unwrap_or_default();
                json(status, body)
            })
            .public(Method::GET, "/metrics", async move || {
                observe_process();
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
            })
    }
}

fn json(status: StatusCode, body: impl IntoResponse) -> impl IntoResponse {
    (status, [(header::CONTENT_TYPE, "application/json")], body)
}
