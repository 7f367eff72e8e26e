//! `/v1/payments` and the payments of an order.

use axum::{extract::State, response::Response};
use events::Context;
use http::Method;
use read_model::PaymentView;
use service_kit::{
    auth::Principal,
    json::{Path, Query},
    problem::Problem,
    routes::Routes,
};
use uuid::Uuid;

use super::{
    ALL, Api, is_shop, openapi, owned_by_or_shop,
    paging::{self, Paging},
    view::{Resource, view_of},
};
use crate::application::{lists::Listing, reading};

pub(super) fn routes() -> Routes<Api> {
    view_of::<PaymentView>("/v1/payments/{id}")
        .route(Method::GET, "/v1/orders/{id}/payments", ALL, payments_of)
        .described(openapi::payments_of_order)
}

impl Resource for PaymentView {
    const CONTEXT: Context = Context::Payments;
    const SUMMARY: &'static str = "A payment as it is.";
}

/// The payments of an order, newest first. To a customer another's order looks as if it did not exist.
async fn payments_of(
    State(api): State<Api>,
    caller: Principal,
    Path(order): Path<Uuid>,
    Query(query): Query<Paging>,
) -> Result<Response, Problem> {
    if !is_shop(&caller) {
        reading::view(&api.0.link, Context::Orders, order, owned_by_or_shop(&caller)).await?;
    }
    paging::page(&api, &Listing::PaymentsOf(order), query).await
}
