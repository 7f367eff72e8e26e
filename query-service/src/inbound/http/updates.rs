//! `/v1/orders/{id}/updates` and `/v1/updates`.

use axum::{extract::State, response::Response};
use http::{HeaderMap, Method};
use schemars::JsonSchema;
use serde::Deserialize;
use service_kit::{
    auth::Principal,
    json::{Path, Query},
    problem::Problem,
    routes::Routes,
};
use uuid::Uuid;

use super::{ALL, Api, SHOP, openapi, owned_by_or_shop, sse};
use crate::application::updates::{ChangeUpdates, Filter, OrderPosition, OrderUpdates, Positions};

pub(super) fn routes() -> Routes<Api> {
    Routes::new()
        .route(Method::GET, "/v1/orders/{id}/updates", ALL, of_order)
        .described(openapi::order_updates)
        .route(Method::GET, "/v1/updates", SHOP, changes)
        .described(openapi::updates)
}

/// The order as it is, and then as it becomes.
async fn of_order(
    State(api): State<Api>,
    caller: Principal,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let from = sse::last_event_id(&headers)?.map(OrderPosition::decode).transpose()?;
    let place = api.0.streams.place(&caller)?;
    let sight = move |owner| owned_by_or_shop(&caller)(owner);
    let updates = OrderUpdates::open(api.0.link.clone(), id, sight, from).await?;
    Ok(sse::response(place, updates))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangesQuery {
    /// Event types, separated by commas: such as `order.placed`, `order.placed.v1`, or `order.*`; all unless given.
    types: Option<String>,
}

/// What changes from now on, anywhere.
async fn changes(
    State(api): State<Api>,
    caller: Principal,
    Query(query): Query<ChangesQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let filter = match query.types {
        Some(types) => Filter::parse(&types).map_err(|error| Problem::invalid_parameter("types", error.to_string()))?,
        None => Filter::ALL,
    };
    let from = sse::last_event_id(&headers)?.map(Positions::decode).transpose()?;
    let place = api.0.streams.place(&caller)?;
    Ok(sse::response(place, ChangeUpdates::open(api.0.feed.clone(), filter, from).await?))
}
