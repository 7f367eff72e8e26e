//! `/v1/products`.

use axum::{extract::State, response::Response};
use events::Context;
use http::Method;
use serde::Deserialize;
use service_kit::{
    json::{Path, Query},
    problem::Problem,
    routes::Routes,
};
use uuid::Uuid;

use super::{ALL, Api, freshness::Wanted, paging, respond};
use crate::application::{
    lists::{self, Listing},
    reading,
};

pub(super) fn routes() -> Routes<Api> {
    Routes::new().route(Method::GET, "/v1/products/{id}", ALL, product).route(Method::GET, "/v1/products", ALL, products)
}

/// The catalogue is everyone's.
async fn product(State(api): State<Api>, Path(id): Path<Uuid>, wanted: Wanted) -> Response {
    let outcome = match wanted.freshness {
        Some(freshness) => reading::view_at_least(&api.0.link, Context::Products, id, |_| true, freshness).await,
        None => reading::view(&api.0.link, Context::Products, id, |_| true).await,
    };
    respond::view(outcome, wanted)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductsQuery {
    prefix: Option<String>,
    low_stock: Option<i64>,
    cursor: Option<String>,
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
