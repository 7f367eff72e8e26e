//! `/v1/reviews` and the reviews of a product.

use axum::{extract::State, response::Response};
use events::Context;
use http::Method;
use read_model::ReviewView;
use service_kit::{
    json::{Path, Query},
    problem::Problem,
    routes::Routes,
};
use uuid::Uuid;

use super::{
    ALL, Api, openapi,
    paging::{self, Paging},
    view::{Resource, view_of},
};
use crate::application::lists::Listing;

pub(super) fn routes() -> Routes<Api> {
    view_of::<ReviewView>("/v1/reviews/{id}")
        .route(Method::GET, "/v1/products/{id}/reviews", ALL, reviews_of)
        .described(openapi::reviews_of_product)
}

impl Resource for ReviewView {
    const CONTEXT: Context = Context::Reviews;
    const SUMMARY: &'static str = "A review as it is.";
    const PUBLIC: bool = true;
}

/// Those of a product that were not withdrawn, newest first.
async fn reviews_of(State(api): State<Api>, Path(product): Path<Uuid>, Query(query): Query<Paging>) -> Result<Response, Problem> {
    paging::page(&api, &Listing::ReviewsOf(product), query).await
}
