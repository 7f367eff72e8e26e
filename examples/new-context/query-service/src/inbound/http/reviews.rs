//! `/v1/reviews` and the reviews of a product.

use axum::{extract::State, response::Response};
use events::Context;
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use service_kit::{
    json::{Path, Query},
    problem::Problem,
    routes::Routes,
};
use uuid::Uuid;

use super::{ALL, Api, freshness::Wanted, openapi, paging, respond};
use crate::application::{
    lists::{self, Listing},
    reading,
};

pub(super) fn routes() -> Routes<Api> {
    Routes::new()
        .route(Method::GET, "/v1/reviews/{id}", ALL, review)
        .described(openapi::review)
        .route(Method::GET, "/v1/products/{id}/reviews", ALL, reviews_of)
        .described(openapi::reviews_of_product)
}

/// Reviews are everyone's.
async fn review(State(api): State<Api>, Path(id): Path<Uuid>, wanted: Wanted) -> Response {
    let outcome = match wanted.freshness {
        Some(freshness) => reading::view_at_least(&api.0.link, Context::Reviews, id, |_| true, freshness).await,
        None => reading::view(&api.0.link, Context::Reviews, id, |_| true).await,
    };
    respond::view(outcome, wanted)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReviewsOfQuery {
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How many at most: 50 unless given.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u16>,
}

/// Those of a product that were not withdrawn, newest first.
async fn reviews_of(
    State(api): State<Api>,
    Path(product): Path<Uuid>,
    Query(query): Query<ReviewsOfQuery>,
) -> Result<Response, Problem> {
    let limit = paging::limit(query.limit)?;
    let listing = Listing::ReviewsOf(product);
    Ok(respond::page(&lists::page(&api.0.link, &listing, query.cursor.as_deref(), limit).await?))
}
