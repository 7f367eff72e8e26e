//! `/v1/rebuilds`.

use axum::{
    Json as JsonBody,
    extract::{FromRef, State},
    response::Response,
};
use events::Context;
use http::{Method, StatusCode};
use read_model::Origin;
use serde::Deserialize;
use serde_json::{Value, json};
use service_kit::{
    json::{Path, Query},
    problem::Problem,
    routes::Routes,
};
use tokio::sync::mpsc;

use super::{
    Api, OPERATORS,
    lines::{MESSAGES, lines},
};
use crate::{
    application::{
        generations::Refusal,
        operating::Operating,
        rebuilding::{RebuildError, Rebuilding, Status, Verb},
    },
    outbound::redis::RedisStoreError,
};

impl FromRef<Api> for Operating {
    fn from_ref(api: &Api) -> Self {
        api.operating.clone()
    }
}

impl FromRef<Api> for Rebuilding {
    fn from_ref(api: &Api) -> Self {
        api.rebuilding.clone()
    }
}

pub(super) fn routes() -> Routes<Api> {
    Routes::new()
        .route(Method::GET, "/v1/rebuilds", OPERATORS, list)
        .route(Method::POST, "/v1/rebuilds/{context}/{verb}", OPERATORS, act)
        .route(Method::GET, "/v1/rebuilds/{context}/differences", OPERATORS, differences)
}

async fn list(State(rebuilding): State<Rebuilding>) -> Result<JsonBody<Value>, Problem> {
    let rebuilds = rebuilding.statuses().await?;
    Ok(JsonBody(json!({ "rebuilds": rebuilds })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActQuery {
    from: Option<Origin>,
}

async fn act(
    State(rebuilding): State<Rebuilding>,
    Path((context, verb)): Path<(Context, String)>,
    Query(ActQuery { from }): Query<ActQuery>,
) -> Result<JsonBody<Status>, Problem> {
    let verb = match verb.as_str() {
        "build" => match from.unwrap_or_default() {
            Origin::Kafka => Verb::Build,
            Origin::Store => Verb::BuildFromStore,
        },
        _ if from.is_some() => return Err(Problem::invalid_parameter("from", "is for `build` only")),
        "pause" => Verb::Pause,
        "abort" => Verb::Abort,
        "switch" => Verb::Switch,
        "rollback" => Verb::RollBack,
        "finish" => Verb::Finish,
        _ => return Err(Problem::not_found("A rebuild can be told to build, pause, abort, switch, rollback or finish.")),
    };
    Ok(JsonBody(rebuilding.act(context, verb).await?))
}

/// Newline-delimited JSON: progress, and the report or why there is none.
async fn differences(State(rebuilding): State<Rebuilding>, Path(context): Path<Context>) -> Result<Response, Problem> {
    let comparing = rebuilding.comparing(context).await?;
    let (told, messages) = mpsc::channel(MESSAGES);
    tokio::spawn(comparing.run(told));
    Ok(lines(messages))
}

impl From<RebuildError> for Problem {
    fn from(error: RebuildError) -> Self {
        match error {
            RebuildError::Refused(refusal) => {
                let slug = match refusal {
                    Refusal::NoLive | Refusal::NoBuilding | Refusal::NoPrevious => "no-such-generation",
                    Refusal::FromKafka(_) => "generation-begun",
                    Refusal::Behind(_) => "generation-behind",
                };
                Self::new(StatusCode::CONFLICT, slug, "The generations are not such that this could be done", refusal.to_string())
            }
            RebuildError::NotBegun | RebuildError::Contended => {
                Self::unavailable("It could not be done now; nothing was changed.", error)
            }
            RebuildError::Redis(error @ RedisStoreError::Redis(_)) => {
                Self::unavailable("The read models cannot be reached.", error)
            }
            RebuildError::Redis(error @ RedisStoreError::Malformed { .. }) => Self::internal(error),
        }
    }
}
