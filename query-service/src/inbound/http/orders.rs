//! `/v1/orders`.

use axum::{extract::State, response::Response};
use events::Context;
use http::Method;
use read_model::OrderStatus;
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
    QueryError,
    lists::{self, Listing},
    reading,
};

pub(super) fn routes() -> Routes<Api> {
    Routes::new()
        .route(Method::GET, "/v1/orders/{id}", ALL, order)
        .described(openapi::order)
        .route(Method::GET, "/v1/orders", ALL, orders)
        .described(openapi::orders)
        .route(Method::GET, "/v1/users/{id}/orders", ALL, orders_of)
        .described(openapi::orders_of_user)
}

async fn order(State(api): State<Api>, caller: Principal, Path(id): Path<Uuid>, wanted: Wanted) -> Response {
    let sight = owned_by_or_shop(&caller);
    let outcome = match wanted.freshness {
        Some(freshness) => reading::view_at_least(&api.0.link, Context::Orders, id, sight, freshness).await,
        None => reading::view(&api.0.link, Context::Orders, id, sight).await,
    };
    respond::view(outcome, wanted)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrdersQuery {
    /// Whose.
    user: Option<Uuid>,
    /// Which stand so.
    status: Option<OrderStatus>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How many at most: 50 unless given.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u16>,
}

/// Without a user: everyone's for the shop, their own for a customer.
async fn orders(State(api): State<Api>, caller: Principal, Query(query): Query<OrdersQuery>) -> Result<Response, Problem> {
    let user = if is_shop(&caller) { query.user } else { query.user.or(caller.subject_id()) };
    let listing = match (user, query.status) {
        (Some(user), _) if !caller.may_act_for(user) => return Err(QueryError::Missing.into()),
        (Some(user), Some(status)) => Listing::OrdersOfIn(user, status),
        (Some(user), None) => Listing::OrdersOf(user),
        // A customer whose subject is no user's id has no orders.
        (None, _) if !is_shop(&caller) => return Err(QueryError::Missing.into()),
        (None, Some(status)) => Listing::OrdersIn(status),
        (None, None) => Listing::Orders,
    };
    let limit = paging::limit(query.limit)?;
    Ok(respond::page(&lists::page(&api.0.link, &listing, query.cursor.as_deref(), limit).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrdersOfQuery {
    /// Which stand so.
    status: Option<OrderStatus>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How many at most: 50 unless given.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u16>,
}

async fn orders_of(
    State(api): State<Api>,
    caller: Principal,
    Path(user): Path<Uuid>,
    Query(query): Query<OrdersOfQuery>,
) -> Result<Response, Problem> {
    if !caller.may_act_for(user) {
        return Err(QueryError::Missing.into());
    }
    let listing = match query.status {
        Some(status) => Listing::OrdersOfIn(user, status),
        None => Listing::OrdersOf(user),
    };
    let limit = paging::limit(query.limit)?;
    Ok(respond::page(&lists::page(&api.0.link, &listing, query.cursor.as_deref(), limit).await?))
}
