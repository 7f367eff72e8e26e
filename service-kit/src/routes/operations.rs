//! `/health`, `/ready` and `/metrics`: for machines that watch, without a token. And what operators may change while all runs.

use axum::response::IntoResponse;
use http::{Method, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::Routes;
use crate::auth::{Principal, Role};
use crate::health::Health;
use crate::json::Json;
use crate::metrics::observe_process;
use crate::problem::Problem;
use crate::telemetry::{LogFilter, Metrics};

/// Those who operate the system.
const OPERATORS: &[Role] = &[Role::Admin, Role::Service];

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Adds `GET /health` (alive), `/ready` (able to work) and `/metrics` (Prometheus), and `GET` and `PUT /admin/log-level`
    /// (what is logged).
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
            .route(Method::GET, "/admin/log-level", OPERATORS, log_level)
            .route(Method::PUT, "/admin/log-level", OPERATORS, set_log_level)
    }
}

fn json(status: StatusCode, body: impl IntoResponse) -> impl IntoResponse {
    (status, [(header::CONTENT_TYPE, "application/json")], body)
}

/// What is logged, in the words of `LOG_LEVEL`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogLevel {
    filter: String,
}

async fn log_level() -> Result<axum::Json<LogLevel>, Problem> {
    Ok(axum::Json(LogLevel { filter: filter()?.directives() }))
}

/// Until the next change, or the end of the process. The answer is what is logged now, which may be in another order.
async fn set_log_level(operator: Principal, Json(wanted): Json<LogLevel>) -> Result<axum::Json<LogLevel>, Problem> {
    let filter = filter()?;
    let former = filter.directives();
    filter.set(&wanted.filter).map_err(|error| Problem::invalid_field("/filter", error.to_string()))?;
    let now = filter.directives();
    // At a level that is logged as a rule: who looks for lines that are missing should find this one.
    tracing::warn!(log.filter = now, log.former = former, operator = operator.subject(), "what is logged has changed");
    Ok(axum::Json(LogLevel { filter: now }))
}

fn filter() -> Result<&'static LogFilter, Problem> {
    LogFilter::of_process().ok_or_else(|| Problem::not_found("This process has no log of its own."))
}
