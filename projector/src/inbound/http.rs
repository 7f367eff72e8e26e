//! What operators ask over HTTP: `/v1/dead-letters`, and `/v1/rebuilds` of read models and of single streams.

pub(crate) mod lines;
mod rebuilds;
mod streams;

use axum::{Json as JsonBody, extract::State};
use chrono::{DateTime, Utc};
use events::{Context, StreamId};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use service_kit::{
    auth::{Principal, Role},
    json::{Json, Path, Query},
    problem::Problem,
    routes::Routes,
};

use crate::{
    application::{
        operating::{Details, Filter, Listing, Operating, OperatingError},
        rebuilding::Rebuilding,
        redrive::{Action, Answer, Outcome},
    },
    outbound::redis::RedisStoreError,
};

/// What the handlers work with. Cloning shares it.
#[derive(Clone)]
pub struct Api {
    /// Dead letters.
    pub operating: Operating,
    /// Generations.
    pub rebuilding: Rebuilding,
}

/// Operators, and the tools that work for them.
const OPERATORS: &[Role] = &[Role::Admin, Role::Service];

/// Entries of a list, where the caller does not say.
const LIMIT: usize = 200;
/// Entries of a list, at most.
const MOST: usize = 10_000;
/// Characters of a reason, at most.
const REASON: usize = 500;

/// Every endpoint, with who may use it.
#[must_use]
pub fn routes() -> Routes<Api> {
    rebuilds::routes()
        .merge(streams::routes())
        .route(Method::GET, "/v1/dead-letters", OPERATORS, list)
        .route(Method::GET, "/v1/dead-letters/log", OPERATORS, log)
        .route(Method::GET, "/v1/dead-letters/{context}/{stream}", OPERATORS, show)
        .route(Method::POST, "/v1/dead-letters/{context}/{stream}/retry", OPERATORS, retry)
        .route(Method::POST, "/v1/dead-letters/{context}/{stream}/discard", OPERATORS, discard)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    context: Option<Context>,
    fingerprint: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    #[serde(default)]
    discarded: bool,
    limit: Option<usize>,
}

async fn list(State(operating): State<Operating>, Query(query): Query<ListQuery>) -> Result<JsonBody<Listing>, Problem> {
    let ListQuery { context, fingerprint, event_type, since, until, discarded, limit } = query;
    let filter = Filter { context, fingerprint, event_type, since, until, discarded };
    Ok(JsonBody(operating.list(&filter, bounded(limit)?).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    limit: Option<usize>,
}

async fn log(State(operating): State<Operating>, Query(query): Query<LogQuery>) -> Result<JsonBody<Value>, Problem> {
    let operations = operating.log(bounded(query.limit)?).await?;
    Ok(JsonBody(json!({ "operations": operations })))
}

fn bounded(limit: Option<usize>) -> Result<usize, Problem> {
    match limit {
        None => Ok(LIMIT),
        Some(limit @ 1..=MOST) => Ok(limit),
        Some(_) => Err(Problem::invalid_parameter("limit", format!("must be between 1 and {MOST}"))),
    }
}

type Named = Path<(Context, StreamId)>;

async fn show(State(operating): State<Operating>, Path((context, stream)): Named) -> Result<JsonBody<Details>, Problem> {
    Ok(JsonBody(operating.show(context, stream).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryQuery {
    #[serde(default)]
    dry_run: bool,
}

async fn retry(
    State(operating): State<Operating>,
    caller: Principal,
    Path((context, stream)): Named,
    Query(RetryQuery { dry_run }): Query<RetryQuery>,
) -> Result<JsonBody<Answer>, Problem> {
    let action = if dry_run { Action::DryRun } else { Action::Retry };
    answered(operating.ask(context, stream, action, caller.subject(), String::new()).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DiscardBody {
    reason: String,
}

async fn discard(
    State(operating): State<Operating>,
    caller: Principal,
    Path((context, stream)): Named,
    Json(DiscardBody { reason }): Json<DiscardBody>,
) -> Result<JsonBody<Answer>, Problem> {
    if reason.trim().is_empty() || reason.chars().count() > REASON {
        return Err(Problem::invalid_field("/reason", format!("must say why, in at most {REASON} characters")));
    }
    answered(operating.ask(context, stream, Action::Discard, caller.subject(), reason).await?)
}

/// An answer that changed or would change something, or that says why it can't.
fn answered(answer: Answer) -> Result<JsonBody<Answer>, Problem> {
    match answer.outcome {
        Outcome::NotParked => Err(OperatingError::NotParked.into()),
        Outcome::Unavailable => {
            let cause = answer.cause.unwrap_or_default();
            Err(Problem::unavailable("What is needed for it does not answer; nothing was changed.", cause))
        }
        Outcome::Unknown => Err(Problem::not_found("Neither the event store nor the read model has a stream with this id.")),
        Outcome::Parked => Err(Problem::new(
            StatusCode::CONFLICT,
            "stream-parked",
            "The stream is parked",
            format!("{} (`orderctl dlq retry`).", answer.cause.unwrap_or_default()),
        )),
        Outcome::Redriven
        | Outcome::Failed
        | Outcome::WouldPass
        | Outcome::WouldFail
        | Outcome::Discarded
        | Outcome::Interrupted
        | Outcome::Rebuilt
        | Outcome::Differs
        | Outcome::Same => Ok(JsonBody(answer)),
    }
}

impl From<OperatingError> for Problem {
    fn from(error: OperatingError) -> Self {
        match error {
            OperatingError::NotParked => Self::not_found("No stream with this id is parked."),
            OperatingError::NoReadModel => Self::not_found("There is no read model of this context yet."),
            OperatingError::NoAnswer => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "no-answer",
                "The owner of the partition does not answer",
                "It was asked and did not answer in time. If it had begun, the log of operations tells what came of it.",
            )
            .with_retry_after(1),
            OperatingError::Redis(error @ RedisStoreError::Redis(_)) => {
                Self::unavailable("The read models cannot be reached.", error)
            }
            OperatingError::Redis(error @ RedisStoreError::Malformed { .. }) => Self::internal(error),
        }
    }
}
