//! `/v1/payments` and the payments of an order.

use axum::{extract::State, response::Response};
use events::Context;
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use service_kit::{
    auth::Principal,
    json::{Path, Query},
    problem::Problem,
    routes::Routes,
};
use uuid::Uuid;

use super::{ALL, Api, freshness::Wanted, is_shop, openapi, owned_by_or_shop, paging, respond};
use crate::application::{
    lists::{self, Listing},
    reading,
};

pub(super) fn routes() -> Routes<Api> {
    Routes::new()
        .route(Method::GET, "/v1/payments/{id}", ALL, payment)
        .described(openapi::payment)
        .route(Method::GET, "/v1/orders/{id}/payments", ALL, payments_of)
        .described(openapi::payments_of_order)
}

async fn payment(State(api): State<Api>, caller: Principal, Path(id): Path<Uuid>, wanted: Wanted) -> Response {
    let sight = owned_by_or_shop(&caller);
    let outcome = match wanted.freshness {
        Some(freshness) => reading::view_at_least(&api.0.link, Context::Payments, id, sight, freshness).await,
        None => reading::view(&api.0.link, Context::Payments, id, sight).await,
    };
    respond::view(outcome, wanted)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PaymentsOfQuery {
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How many at most: 50 unless given.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u16>,
}

/// The payments of an order, newest first. To a customer another's order looks as if it did not exist.
async fn payments_of(
    State(api): State<Api>,
    caller: Principal,
    Path(order): Path<Uuid>,
    Query(query): Query<PaymentsOfQuery>,
) -> Result<Response, Problem> {
    let limit = paging::limit(query.limit)?;
    if !is_shop(&caller) {
        reading::view(&api.0.link, Context::Orders, order, owned_by_or_shop(&caller)).await?;
    }
    let listing = Listing::PaymentsOf(order);
    Ok(respond::page(&lists::page(&api.0.link, &listing, query.cursor.as_deref(), limit).await?))
}
