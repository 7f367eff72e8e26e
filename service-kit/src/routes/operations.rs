//! `/health`, `/ready` and `/metrics`: for machines that watch, without a token.

use axum::response::IntoResponse;
use http::{Method, StatusCode, header};
use serde_json::{Map, Value};

use super::Routes;
use crate::health::{Health, Report};
use crate::openapi::{Answer, Operation, Schemas};
use crate::telemetry::Metrics;

/// The group of these endpoints in a service's description.
const TAG: &str = "operations";

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Adds `GET /health` (alive), `/ready` (able to work) and `/metrics` (Prometheus).
    #[must_use]
    pub fn operations(self, health: &Health, metrics: &Metrics) -> Self {
        let (health, metrics) = (health.clone(), metrics.clone());
        self.public(Method::GET, "/health", async || json(StatusCode::OK, r#"{"status":"ok"}"#))
            .described(describe_health)
            .public(Method::GET, "/ready", async move || {
                let report = health.report().await;
                let status = if report.status == "ready" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                let body = serde_json::to_string(&report).unwrap_or_default();
                json(status, body)
            })
            .described(describe_ready)
            .public(Method::GET, "/metrics", async move || {
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
            })
            .described(describe_metrics)
    }
}

fn describe_health(schemas: &mut Schemas) -> Operation {
    let answer = Answer::json(schemas.answer::<Map<String, Value>>(), "It is.");
    Operation::new("health", TAG, "Says that the process is alive.").answer(200, answer)
}

fn describe_ready(schemas: &mut Schemas) -> Operation {
    let report = schemas.answer::<Report>();
    Operation::new("ready", TAG, "Says whether the process can do its work, and what each check found.")
        .answer(200, Answer::json(report.clone(), "It can."))
        .answer(503, Answer::json(report, "It can't: no requests should be sent here."))
}

fn describe_metrics(_: &mut Schemas) -> Operation {
    Operation::new("metrics", TAG, "The process's metrics, for Prometheus.")
        .answer(200, Answer::text("text/plain", "All of them."))
}

pub(super) fn describe_document(schemas: &mut Schemas) -> Operation {
    let answer = Answer::json(schemas.answer::<Map<String, Value>>(), "OpenAPI 3.1.");
    Operation::new("openapi", TAG, "This description.").answer(200, answer)
}

pub(super) fn describe_page(_: &mut Schemas) -> Operation {
    let answer = Answer::text("text/html", "A page that needs nothing else than the description.");
    Operation::new("docs", TAG, "This description, to read and to try.").answer(200, answer)
}

fn json(status: StatusCode, body: impl IntoResponse) -> impl IntoResponse {
    (status, [(header::CONTENT_TYPE, "application/json")], body)
}
