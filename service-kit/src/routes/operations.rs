//! `/health`, `/ready` and `/metrics`: for machines that watch, without a token. And what operators may change while all runs.

use axum::response::IntoResponse;
use http::{Method, StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Routes;
use crate::auth::{Principal, Role};
use crate::health::{Health, Report};
use crate::json::Json;
use crate::metrics::observe_process;
use crate::openapi::{Answer, Operation, Schemas};
use crate::problem::Problem;
use crate::telemetry::{self, LogFilter, Metrics, UnusableFilter};

/// Those who operate the system.
const OPERATORS: &[Role] = &[Role::Admin, Role::Service];

/// The group of these endpoints in a service's description.
const TAG: &str = "operations";

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Adds `GET /health` (alive), `/ready` (able to work) and `/metrics` (Prometheus), and `GET` and `PUT /admin/log-level`
    /// (what is logged).
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
                observe_process();
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
            })
            .described(describe_metrics)
            .route(Method::GET, "/admin/log-level", OPERATORS, log_level)
            .described(describe_log_level)
            .route(Method::PUT, "/admin/log-level", OPERATORS, set_log_level)
            .described(describe_set_log_level)
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

fn describe_log_level(schemas: &mut Schemas) -> Operation {
    let answer = Answer::json(schemas.answer::<LogLevel>(), "The filter.");
    Operation::new("log-level", TAG, "What this process logs.").answer(200, answer).refuses(&[404])
}

fn describe_set_log_level(schemas: &mut Schemas) -> Operation {
    let answer = Answer::json(schemas.answer::<LogLevel>(), "The filter as it is now, which may be in another order.");
    Operation::new("set-log-level", TAG, "Changes what this process logs, until the next change or its end.")
        .body::<LogLevel>(schemas)
        .answer(200, answer)
        .refuses(&[404])
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

/// What is logged, in the words of `LOG_LEVEL`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
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
    let unusable = |error: UnusableFilter| Problem::invalid_field("/filter", error.to_string());
    let parsed = telemetry::parse(&wanted.filter).map_err(unusable)?;
    let (former, now) = (filter.directives(), parsed.to_string());
    // At a level that is logged as a rule: who looks for lines that are missing should find this one.
    let tell = || tracing::warn!(log.filter = now, log.former = former, operator = operator.subject(), "what is logged changes");
    // By the former filter, for the new one may be silent; where the former was, by the new one.
    let is_heard = tracing::enabled!(tracing::Level::WARN);
    if is_heard {
        tell();
    }
    filter.set(parsed).map_err(unusable)?;
    if !is_heard {
        tell();
    }
    Ok(axum::Json(LogLevel { filter: now }))
}

fn filter() -> Result<&'static LogFilter, Problem> {
    LogFilter::of_process().ok_or_else(|| Problem::not_found("This process has no log of its own."))
}
