//! `/v1/stats`.

use axum::{extract::State, response::Response};
use chrono::NaiveDate;
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use service_kit::{json::Query, problem::Problem, routes::Routes};

use super::{Api, SHOP, openapi, respond};
use crate::application::stats::MAX_TOP;

/// Top products where nothing is said.
const DEFAULT_TOP: usize = 10;

pub(super) fn routes() -> Routes<Api> {
    Routes::new().route(Method::GET, "/v1/stats", SHOP, stats).described(openapi::stats)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StatsQuery {
    /// The first day, UTC.
    from: Option<NaiveDate>,
    /// The last day, UTC.
    to: Option<NaiveDate>,
    /// How many of the products that sell best: 10 unless given.
    #[schemars(range(max = 100))]
    top: Option<usize>,
}

/// Days and totals from `from` to `to`, both included; top products are those of all time.
async fn stats(State(api): State<Api>, Query(query): Query<StatsQuery>) -> Result<Response, Problem> {
    let StatsQuery { from, to, top } = query;
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err(Problem::invalid_parameter("to", "is before `from`"));
    }
    let top = top.unwrap_or(DEFAULT_TOP);
    if top > MAX_TOP {
        return Err(Problem::invalid_parameter("top", format!("is at most {MAX_TOP}")));
    }
    let stats = api.0.statistics.get(from, to, top).await?;
    Ok(respond::json(serde_json::to_vec(&stats).map_err(Problem::internal)?))
}
