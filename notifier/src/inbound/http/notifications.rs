//! `/v1/notifications`: how many effects there are, what became of some, and what would be sent.

use std::convert::Infallible;

use axum::{Json as JsonBody, body::Body, extract::State, response::Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream;
use http::{HeaderValue, header};
use serde::Deserialize;
use serde_json::{Value, json};
use service_kit::{json::Query, problem::Problem};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Api, problems::database};
use crate::application::explaining::{Question, Told};

/// Lines that wait for their caller.
const LINES: usize = 64;
/// Effects that are told, where the caller does not say, and at most.
const EFFECTS: usize = 1_000;
const MOST_EFFECTS: usize = 100_000;
/// Events that are asked about at a time, at most, and what is told of them.
const EVENTS: usize = 200;
const RECEIPTS: u16 = 2_000;

/// Effects by kind and state.
pub(super) async fn summary(State(api): State<Api>) -> Result<JsonBody<Value>, Problem> {
    let counts = api.store.summary().await.map_err(database)?;
    let effects: Vec<Value> =
        counts.iter().map(|(kind, state, count)| json!({"kind": kind, "state": state, "count": count})).collect();
    Ok(JsonBody(json!({ "effects": effects })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiptsQuery {
    /// Ids of events, with commas between them.
    events: String,
}

/// What became of that which follows from some events.
pub(super) async fn receipts(State(api): State<Api>, Query(query): Query<ReceiptsQuery>) -> Result<JsonBody<Value>, Problem> {
    let wrong = || Problem::invalid_parameter("events", format!("must be 1 to {EVENTS} ids of events, with commas between them"));
    let events = query.events.split(',').map(str::parse::<Uuid>).collect::<Result<Vec<_>, _>>().map_err(|_| wrong())?;
    if events.len() > EVENTS {
        return Err(wrong());
    }
    let receipts = api.store.receipts(&events, RECEIPTS).await.map_err(database)?;
    Ok(JsonBody(json!({ "receipts": receipts })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainQuery {
    from: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
    limit: Option<usize>,
}

/// Newline-delimited JSON: each effect, and how it ended.
pub(super) async fn explain(State(api): State<Api>, Query(query): Query<ExplainQuery>) -> Result<Response, Problem> {
    let limit = query.limit.unwrap_or(EFFECTS);
    if !(1..=MOST_EFFECTS).contains(&limit) {
        return Err(Problem::invalid_parameter("limit", format!("must be between 1 and {MOST_EFFECTS}")));
    }
    let (told, lines) = mpsc::channel::<Told>(LINES);
    let question = Question { from: query.from, until: query.until, limit };
    tokio::spawn(async move { api.explaining.explain(question, told).await });
    let lines = stream::unfold(lines, async |mut lines| {
        let mut line = serde_json::to_vec(&lines.recv().await?).unwrap_or_default();
        line.push(b'\n');
        Some((Ok::<_, Infallible>(Bytes::from(line)), lines))
    });
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}
