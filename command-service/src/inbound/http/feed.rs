//! A lane's events in the order they were committed, for rebuilds and audits.

use std::sync::Arc;

use axum::{
    Json as JsonBody,
    extract::State,
    response::{IntoResponse, Response},
};
use events::{Context, RecordedEvent};
use http::header;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::{json::Query, problem::Problem};

use super::problems;
use crate::{
    application::{commands::Commands, lane::Lane},
    outbound::postgres::read,
};

/// Events in one answer, unless asked otherwise.
const DEFAULT_LIMIT: i64 = 1_000;
/// Events in one answer, at most.
const MAX_LIMIT: i64 = 10_000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedQuery {
    /// Whose.
    context: Context,
    /// From 0.
    lane: u16,
    /// The seq of the last event that the caller has.
    #[serde(default)]
    after: u64,
    /// How many events at most: 1,000 unless given.
    #[schemars(range(min = 1, max = MAX_LIMIT))]
    limit: Option<i64>,
}

/// `GET /v1/feed?context=orders&lane=3&after=0`: newline-delimited JSON; fewer lines than the limit: the end, for now.
pub(super) async fn feed(State(commands): State<Arc<Commands>>, Query(query): Query<FeedQuery>) -> Result<Response, Problem> {
    let store = problems::here(commands.stores.of(query.context), query.context)?;
    let lanes = store.lanes().count();
    if query.lane >= lanes {
        return Err(Problem::invalid_parameter("lane", format!("must be below {lanes}, the number of lanes")));
    }
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid_parameter("limit", format!("must be 1 to {MAX_LIMIT}")));
    }
    let events = read::feed(store.pool(), Lane(query.lane), query.after, limit).await.map_err(problems::read_failed)?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], lines(&events)?).into_response())
}

fn lines(events: &[RecordedEvent]) -> Result<Vec<u8>, Problem> {
    let mut lines = Vec::new();
    for event in events {
        serde_json::to_writer(&mut lines, event).map_err(Problem::internal)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LanesQuery {
    context: Context,
}

/// How far each lane has come: what a reader of the feed compares itself with.
#[derive(Serialize, JsonSchema)]
pub(super) struct Lanes {
    context: Context,
    lanes: u16,
    /// The seq of each lane's last event, by lane.
    heads: Vec<u64>,
}

/// `GET /v1/lanes?context=orders`
pub(super) async fn lanes(
    State(commands): State<Arc<Commands>>,
    Query(query): Query<LanesQuery>,
) -> Result<JsonBody<Lanes>, Problem> {
    let store = problems::here(commands.stores.of(query.context), query.context)?;
    let lanes = store.lanes().count();
    let heads = read::heads(store.pool(), lanes).await.map_err(problems::read_failed)?;
    Ok(JsonBody(Lanes { context: query.context, lanes, heads }))
}
