//! `/v1/products`.

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
        .route(Method::GET, "/v1/products/{id}", ALL, product)
        .described(openapi::product)
        .route(Method::GET, "/v1/products", ALL, products)
        .described(openapi::products)
}

/// The catalogue is everyone's.
async fn product(State(api): State<Api>, Path(id): Path<Uuid>, wanted: Wanted) -> Response {
    let outcome = match wanted.freshness {
        Some(freshness) => reading::view_at_least(&api.0.link, Context::Products, id, |_| true, freshness).await,
        None => reading::view(&api.0.link, Context::Products, id, |_| true).await,
    };
    respond::view(outcome, wanted)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductsQuery {
    /// What their names begin with, in any case of letters.
    prefix: Option<String>,
    /// Only those that can be ordered and of which no more pieces are available, the scarcest first; not with `prefix`.
    low_stock: Option<i64>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How many at most: 50 unless given.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u16>,
}

async fn products(State(api): State<Api>, Query(query): Query<ProductsQuery>) -> Result<Response, Problem> {
    let listing = match (query.prefix, query.low_stock) {
        (Some(_), Some(_)) => {
            return Err(Problem::invalid_parameter("low_stock", "cannot be combined with `prefix`"));
        }
        (prefix, None) => Listing::ProductsNamed(prefix.unwrap_or_default()),
        (None, Some(available)) => Listing::ProductsBelow(available),
    };
    let limit = paging::limit(query.limit)?;
    Ok(respond::page(&lists::page(&api.0.link, &listing, query.cursor.as_deref(), limit).await?))
}
