//! `/v1/orders`.

use axum::{extract::State, response::Response};
use events::Context;
use http::Method;
use read_model::{OrderStatus, OrderView};
use schemars::JsonSchema;
use serde::Deserialize;
use service_kit::{
    auth::Principal,
    json::{Path, Query},
    problem::Problem,
    routes::Routes,
};
use uuid::Uuid;

use super::{
    ALL, Api, is_shop, openapi,
    paging::{self, Paging},
    view::{Resource, view_of},
};
use crate::application::{QueryError, lists::Listing};

pub(super) fn routes() -> Routes<Api> {
    view_of::<OrderView>("/v1/orders/{id}")
        .route(Method::GET, "/v1/orders", ALL, orders)
        .described(openapi::orders)
        .route(Method::GET, "/v1/users/{id}/orders", ALL, orders_of)
        .described(openapi::orders_of_user)
}

impl Resource for OrderView {
    const CONTEXT: Context = Context::Orders;
    const SUMMARY: &'static str = "An order as it is.";
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
    paging::page(&api, &listing, Paging { cursor: query.cursor, limit: query.limit }).await
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
    paging::page(&api, &listing, Paging { cursor: query.cursor, limit: query.limit }).await
}
